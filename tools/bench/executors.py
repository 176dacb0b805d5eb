"""What executors add to the work, beside bare pools and a bare event loop.

One fan of functions computes for some milliseconds each, the same steps everywhere; another one, of coroutines, waits
for a timer, all at once. Pools and loops are made, used and ended within the time that is measured; of dask, whose
clusters take seconds to start, the time is that from the first result to the last. Cases are interleaved and medians
shown. ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import page
from page import Goal, NotMeasured, goal

from flowbook import Notice, Task, UnorderedFlow, engines


class Compute(Task):
    """Computes."""

    def __init__(self, name: str, steps: int) -> None:
        super().__init__(name)
        self.steps = steps

    def execute(self) -> int:
        """Return what it has computed."""
        return compute(self.steps)


class Wait(Task):
    """Waits for a timer."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(name)
        self.seconds = seconds

    async def execute(self) -> None:
        """Return when the time is over."""
        await asyncio.sleep(self.seconds)


def compute(steps: int) -> int:
    """Return a number that takes so many steps."""
    number = 1
    for step in range(steps):
        number = (number * 31 + step) % 1_000_003
    return number


def steps_of(milliseconds: float) -> int:
    """Return how many steps take so long here, at least."""
    if not milliseconds:
        return 0
    steps = 10_000
    least = min(_seconds(partial(compute, steps)) for _ in range(20))
    return round(steps * milliseconds / 1_000 / least)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def ours(executor: str, atoms: int, steps: int, workers: int) -> float:
    """Return the seconds of a run in memory, loading excluded."""
    flow = UnorderedFlow("fan").add(*[Compute(f"t{i}", steps) for i in range(atoms)])
    return _seconds(engines.load(flow, engine="parallel", executor=executor, max_workers=workers).run)


def bare(make: Callable[[int], Executor], atoms: int, steps: int, workers: int) -> float:
    """Return the seconds of the same calls on a pool that keeps nothing."""

    def run() -> None:
        with make(workers) as pool:
            for future in [pool.submit(compute, steps) for _ in range(atoms)]:
                future.result()

    return _seconds(run)


def ours_on_dask(atoms: int, steps: int, workers: int) -> float:
    """Return the seconds from the first committed result to the last, on a cluster of the run's own."""
    flow = UnorderedFlow("fan").add(*[Compute(f"t{i}", steps) for i in range(atoms)])
    engine = engines.load(flow, engine="parallel", executor="dask", max_workers=workers)
    times: list[float] = []

    def note(_: Notice) -> None:
        times.append(time.perf_counter())

    engine.atom_notifier.register("SUCCESS", note)
    engine.run()
    return times[-1] - times[0]


def bare_dask(atoms: int, steps: int, workers: int) -> float:
    """Return the seconds from the first result of `Client.map` to the last, on a cluster like ours."""
    from distributed import Client, LocalCluster, as_completed  # processes that are spawned would import it first

    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with LocalCluster(n_workers=workers, **options) as cluster, Client(cluster) as client:
        results = as_completed(client.map(compute, [steps] * atoms, pure=False), with_results=True)
        times = [time.perf_counter() for _ in results]
    return times[-1] - times[0]


def waiting(atoms: int, seconds: float, *, on_disk: bool = False) -> float:
    """Return the seconds of a run of so many coroutines, in memory or in a file of SQLite, loading excluded."""
    flow = UnorderedFlow("fan").add(*[Wait(f"w{i}", seconds) for i in range(atoms)])
    with tempfile.TemporaryDirectory() as folder:
        backend = f"sqlite:///{Path(folder, 'runs.db')}" if on_disk else "memory:"
        return _seconds(engines.load(flow, backend=backend, engine="parallel", executor="async").run)


def bare_waiting(atoms: int, seconds: float) -> float:
    """Return the seconds of the same timers on an event loop that keeps nothing."""

    async def wait() -> None:
        await asyncio.sleep(seconds)

    async def wait_for_all() -> None:
        await asyncio.gather(*[wait() for _ in range(atoms)])

    return _seconds(lambda: asyncio.run(wait_for_all()))


def _spawning(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _forking(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))


@dataclass
class Case:
    """One thing that is measured, and what it is compared with."""

    name: str
    measure: Callable[..., float]
    against: str = ""
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of its rounds, in seconds."""
        return statistics.median(self.seconds)


DASK = "dask"
BARE_DASK = "bare dask (Client.map)"


def cases() -> list[Case]:
    """Return what is measured of computing."""
    return [
        Case("processes", partial(ours, "processes"), "bare processes, spawned"),
        Case("bare processes, spawned", partial(bare, _spawning)),
        Case("bare processes, forked", partial(bare, _forking)),
        Case("threads", partial(ours, "threads"), "bare threads"),
        Case("bare threads", partial(bare, ThreadPoolExecutor)),
        *cases_of_dask(),
    ]


def cases_of_dask() -> list[Case]:
    """Return what is measured of functions that do nothing: what dask adds is more than they take."""
    return [Case(DASK, ours_on_dask, BARE_DASK), Case(BARE_DASK, bare_dask)]


def cases_of_waiting() -> list[Case]:
    """Return what is measured of waiting."""
    return [
        Case("async", waiting, "bare event loop"),
        Case("async, SQLite", partial(waiting, on_disk=True), "bare event loop"),
        Case("bare event loop", bare_waiting),
    ]


@dataclass
class Series:
    """Cases that are measured in turn, and what their functions do."""

    title: str
    cases: list[Case]

    def measure(self, rounds: int, *asked: float) -> None:
        """Measure all of them so many times."""
        for _ in range(rounds):
            for case in self.cases:
                case.seconds.append(case.measure(*asked))

    def case(self, name: str) -> Case:
        """Return a case by its name. Raises NotMeasured."""
        for case in self.cases:
            if case.name == name and case.seconds:
                return case
        raise NotMeasured("left out")

    def of_bare(self, name: str) -> float:
        """Return what part of the rate of its bare one a case reaches, the median of the rounds. Raises NotMeasured."""
        own = self.case(name)
        bare = self.case(own.against)
        return statistics.median(their / our for our, their in zip(own.seconds, bare.seconds, strict=True))

    def figures(self) -> dict[str, dict[str, float]]:
        """Return the medians of seconds, and what part of the rate of bare ones is reached where both were measured."""
        names = {case.name for case in self.cases}
        medians = {case.name: case.median for case in self.cases}
        ratios = {case.name: self.of_bare(case.name) for case in self.cases if case.against in names}
        return {"seconds": medians, "of_bare": ratios}


def judged(computing: Series, no_ops: Series, waits: Series) -> list[Goal]:
    """Return the goals with what was measured."""
    return [
        _of_bare(computing, "processes", 0.9, "a bare ProcessPoolExecutor that spawns as well"),
        _within(waits, "async", 3.0, "memory"),
        _within(waits, "async, SQLite", 3.0, "SQLite"),
        _of_bare(computing, DASK, 0.7, "a bare Client.map"),
        _of_bare(no_ops, DASK, 0.7, "a bare Client.map"),
    ]


def _of_bare(series: Series, name: str, least: float, bare: str) -> Goal:
    def value() -> tuple[str, bool]:
        ratio = series.of_bare(name)
        return f"{ratio:.2f}", ratio >= least

    return goal(f"{name}: {series.title}, of {bare}", f"at least {least:g}", value)


def _within(series: Series, name: str, most_s: float, where: str) -> Goal:
    def value() -> tuple[str, bool]:
        seconds = series.case(name).median
        return f"{seconds:.2f} s", seconds < most_s

    return goal(f"async: {series.title}, {where}", f"less than {most_s:g} s", value)


def _print(series: Series) -> None:
    figures = series.figures()
    print(f"{series.title}\n\n{'':26} {'seconds':>8} {'of bare':>8}")
    for name, seconds in figures["seconds"].items():
        ratio = figures["of_bare"].get(name)
        print(f"{name:26} {seconds:8.3f} {'' if ratio is None else f'{ratio:.2f}':>8}")
    print()


def options() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=200, help="that compute")
    parser.add_argument("--milliseconds", type=float, default=10.0, help="of computing in each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-ops", type=int, default=2_000, help="how many functions that do nothing dask is given")
    parser.add_argument("--waiting", type=int, default=10_000, help="how many coroutines wait")
    parser.add_argument("--seconds", type=float, default=1.0, help="for how long")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a word in the names of the cases")
    parser.add_argument("--json", action="store_true")
    page.add_write(parser, "executors")
    return parser


def series(asked: argparse.Namespace) -> tuple[Series, Series, Series]:
    """Return what is to be measured: of computing, of doing nothing, and of waiting."""

    def chosen(cases: list[Case]) -> list[Case]:
        return [case for case in cases if asked.only in case.name]

    workers = f"on {asked.workers} workers"
    return (
        Series(f"{asked.atoms:,} functions of {asked.milliseconds:g} ms {workers}", chosen(cases())),
        Series(f"{asked.no_ops:,} functions that do nothing {workers}", chosen(cases_of_dask())),
        Series(f"{asked.waiting:,} coroutines that wait for {asked.seconds:g} s", chosen(cases_of_waiting())),
    )


def main() -> None:
    """Measure, and print tables (or, with --json, the figures)."""
    asked = options().parse_args()
    computing, no_ops, waits = series(asked)
    computing.measure(asked.rounds, asked.atoms, steps_of(asked.milliseconds), asked.workers)
    no_ops.measure(asked.rounds, asked.no_ops, 0, asked.workers)
    waits.measure(asked.rounds, asked.waiting, asked.seconds)
    if asked.json:
        named = {"computing": computing, "no_ops": no_ops, "waiting": waits}
        print(json.dumps({name: measured.figures() for name, measured in named.items()}))
    else:
        for measured in (computing, no_ops, waits):
            _print(measured)
    if asked.write:
        page.write_goals("executors", judged(computing, no_ops, waits))


if __name__ == "__main__":
    main()
