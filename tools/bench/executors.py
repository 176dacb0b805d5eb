"""What executors add to the work: a fan of functions that compute, on our processes and threads and on bare pools.

Each function computes for some milliseconds, the same steps everywhere. Pools are made, used and ended within the time
that is measured; of dask, whose clusters take seconds to start, the time is that from the first result to the last.
Cases are interleaved and medians shown. ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

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


def _spawning(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _forking(workers: int) -> Executor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))


@dataclass
class Case:
    """One thing that is measured, and what it is compared with."""

    name: str
    measure: Callable[[int, int, int], float]
    against: str = ""
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of its rounds, in seconds."""
        return statistics.median(self.seconds)


def cases() -> list[Case]:
    """Return all that is measured."""
    return [
        Case("processes", partial(ours, "processes"), "bare processes, spawned"),
        Case("bare processes, spawned", partial(bare, _spawning)),
        Case("bare processes, forked", partial(bare, _forking)),
        Case("threads", partial(ours, "threads"), "bare threads"),
        Case("bare threads", partial(bare, ThreadPoolExecutor)),
        Case("dask", ours_on_dask, "bare dask (Client.map)"),
        Case("bare dask (Client.map)", bare_dask),
    ]


def main() -> None:
    """Measure, and print a table (or, with --json, the figures)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=200)
    parser.add_argument("--milliseconds", type=float, default=10.0, help="of computing in each, or 0")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a word in the names of the cases")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    steps = steps_of(asked.milliseconds)
    measured = [case for case in cases() if asked.only in case.name]
    for _ in range(asked.rounds):
        for case in measured:
            case.seconds.append(case.measure(asked.atoms, steps, asked.workers))
    medians = {case.name: case.median for case in measured}
    ratios = {case.name: medians[case.against] / case.median for case in measured if case.against}
    if asked.json:
        print(json.dumps({"seconds": medians, "of_bare": ratios}))
        return
    print(f"{asked.atoms} atoms of {asked.milliseconds:g} ms on {asked.workers} workers\n")
    print(f"{'':26} {'seconds':>8} {'of bare':>8}")
    for case in measured:
        print(f"{case.name:26} {case.median:8.3f} {f'{ratios[case.name]:.2f}' if case.against else '':>8}")


if __name__ == "__main__":
    main()
