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

from distributed import Client, LocalCluster, as_completed

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


def cases() -> list[Case]:
    """Return what is measured of computing."""
    return [
        Case("processes", partial(ours, "processes"), "bare processes, spawned"),
        Case("bare processes, spawned", partial(bare, _spawning)),
        Case("bare processes, forked", partial(bare, _forking)),
        Case("threads", partial(ours, "threads"), "bare threads"),
        Case("bare threads", partial(bare, ThreadPoolExecutor)),
        Case("dask", ours_on_dask, "bare dask (Client.map)"),
        Case("bare dask (Client.map)", bare_dask),
    ]


def cases_of_waiting() -> list[Case]:
    """Return what is measured of waiting."""
    return [
        Case("async", waiting, "bare event loop"),
        Case("async, SQLite", partial(waiting, on_disk=True), "bare event loop"),
        Case("bare event loop", bare_waiting),
    ]


def measure(cases: list[Case], rounds: int, *asked: float) -> dict[str, dict[str, float]]:
    """Measure cases in turn, and return the medians, and what part of the rate of bare ones they reach."""
    for _ in range(rounds):
        for case in cases:
            case.seconds.append(case.measure(*asked))
    medians = {case.name: case.median for case in cases}
    return {"seconds": medians, "of_bare": {c.name: medians[c.against] / c.median for c in cases if c.against}}


def _print(title: str, measured: dict[str, dict[str, float]]) -> None:
    print(f"{title}\n\n{'':26} {'seconds':>8} {'of bare':>8}")
    for name, seconds in measured["seconds"].items():
        ratio = measured["of_bare"].get(name)
        print(f"{name:26} {seconds:8.3f} {'' if ratio is None else f'{ratio:.2f}':>8}")


def main() -> None:
    """Measure, and print tables (or, with --json, the figures)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=200)
    parser.add_argument("--milliseconds", type=float, default=10.0, help="of computing in each, or 0")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--waiting", type=int, default=10_000, help="how many coroutines wait")
    parser.add_argument("--seconds", type=float, default=1.0, help="for how long")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a word in the names of the cases")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    fans = [case for case in cases() if asked.only in case.name]
    waits = [case for case in cases_of_waiting() if asked.only in case.name]
    computing = measure(fans, asked.rounds, asked.atoms, steps_of(asked.milliseconds), asked.workers)
    of_waiting = measure(waits, asked.rounds, asked.waiting, asked.seconds)
    if asked.json:
        print(json.dumps({"computing": computing, "waiting": of_waiting}))
        return
    _print(f"{asked.atoms} atoms of {asked.milliseconds:g} ms on {asked.workers} workers", computing)
    _print(f"\n{asked.waiting} coroutines that wait for {asked.seconds:g} s", of_waiting)


if __name__ == "__main__":
    main()
