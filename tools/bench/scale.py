"""Whether an atom of a large flow costs what one of a small flow does: compiled, run, resumed, reverted and shown.

For each backend and shape it prints microseconds of the processor an atom, at both sizes, and their ratio; what one
atom and one edge take in memory; and how long after ``load`` the first new atom of a run that was half done starts.
Sizes are interleaved and medians shown. Time that the disk takes is not counted. ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from flowbook import Flow, GraphFlow, LinearFlow, Task, UnorderedFlow, engines
from flowbook.engines.engine import Engine
from flowbook.persistence import Backend, fetch
from flowbook.states import FlowState
from flowbook.views import overview

DEPTH = 1_000
"""How deep the flows of the shape ``deep`` nest."""

URLS = {"memory": "memory:", "sqlite": "sqlite:///{folder}/runs.db", "dir": "dir:{folder}/runs"}


class NoOp(Task):
    """Does nothing."""

    def execute(self) -> None:
        """Return nothing."""


class Takes(Task):
    """Takes what others gave."""

    def execute(self, **values: int) -> int:
        """Return a number."""
        return 1


class Fails(Task):
    """Fails."""

    def execute(self) -> None:
        """Raise."""
        raise ValueError("the last atom fails")


def no_ops(count: int, name: str = "t") -> list[Task]:
    """Return tasks without arguments."""
    return [NoOp(f"{name}{number}") for number in range(count)]


def chain(count: int) -> Flow:
    """Return atoms one behind the other."""
    return LinearFlow("chain").add(*no_ops(count))


def fan(count: int) -> Flow:
    """Return atoms side by side."""
    return UnorderedFlow("fan").add(*no_ops(count))


def layered(count: int) -> Flow:
    """Return layers of atoms, each of which takes the results of three of the layer before, drawn by chance."""
    drawn, width = random.Random(1), round(count**0.5)
    flow = GraphFlow("layered")
    for number in range(count):
        first = (number // width - 1) * width
        takes = sorted({f"s{drawn.randrange(first, first + width)}" for _ in range(3)}) if first >= 0 else None
        flow.add(Takes(f"t{number}", requires=takes, provides=f"s{number}"))
    return flow


def deep(count: int) -> Flow:
    """Return flows of all patterns, nested `DEPTH` levels deep."""
    share = -(-count // DEPTH)
    flow: Flow | None = None
    for level, first in enumerate(range(0, count, share)):
        outer = (LinearFlow, UnorderedFlow, GraphFlow)[level % 3](f"f{level}")
        outer.add(*no_ops(min(share, count - first), f"t{level}-"))
        flow = outer if flow is None else outer.add(flow)
    return flow or LinearFlow("deep")


def wide(count: int) -> Flow:
    """Return a row of flows, each of atoms side by side."""
    width = round(count**0.5)
    flow = LinearFlow("wide")
    for first in range(0, count, width):
        flow.add(UnorderedFlow(f"f{first}").add(*no_ops(min(width, count - first), f"t{first}-")))
    return flow


SHAPES: dict[str, Callable[[int], Flow]] = {
    "chain": chain,
    "fan": fan,
    "layered": layered,
    "deep": deep,
    "wide": wide,
}


@dataclass
class Case:
    """One shape on one backend; ``seconds`` are what each thing took, by its name and the number of atoms."""

    backend: str
    shape: str
    seconds: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def measure(self, count: int) -> None:
        """Measure all once more."""
        for what, took in taken(SHAPES[self.shape], count, URLS[self.backend]):
            self.seconds.setdefault((what, count), []).append(took)

    def median(self, what: str, count: int) -> float:
        """Return how many seconds something took."""
        return statistics.median(self.seconds[what, count])


def taken(shape: Callable[[int], Flow], count: int, url: str) -> Iterator[tuple[str, float]]:
    """Yield what was measured, and the seconds of the processor that it took."""
    with tempfile.TemporaryDirectory() as folder, fetch(url.format(folder=folder)) as backend:
        engine, compiled = loaded(shape(count), backend, "run")
        ran = seconds(engine.run)
        yield "compile", compiled
        yield "run", ran
        yield "both", compiled + ran
        yield "show", seconds(lambda: overview(backend, "run"))

        leave_half(loaded(shape(count), backend, "half")[0], count)
        engine, _ = loaded(shape(count), backend, "half")
        states = engine.run_iter()
        entered = seconds(lambda: next(state for state in states if state == "WAITING"))
        yield "enter", entered
        yield "resume", entered + seconds(lambda: list(states))

        engine, _ = loaded(LinearFlow("all").add(shape(count), Fails("last")), backend, "revert")
        yield "revert", seconds(lambda: list(engine.run_iter()))
        assert engine.state is FlowState.REVERTED


def loaded(flow: Flow, backend: Backend, run_id: str) -> tuple[Engine, float]:
    """Return an engine, and the seconds that loading took: compiling, for the most part."""
    gc.collect()
    began = time.process_time()
    engine = engines.load(flow, backend=backend, run_id=run_id)
    took = time.process_time() - began
    gc.collect()
    return engine, took


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of the processor that work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def leave_half(engine: Engine, count: int) -> None:
    """Run half of a flow, and leave it as one that was suspended."""
    states, begun = engine.run_iter(), 0
    while begun < count // 2:
        begun += next(states) == "SCHEDULING"
    engine.suspend()
    assert list(states)[-1] == FlowState.SUSPENDED


def kept_bytes(shape: Callable[[int], Flow], count: int) -> tuple[float, float]:
    """Return the bytes an atom beyond the tasks, of plan, run and records in memory; and the edges an atom."""
    flow, backend = shape(count), fetch("memory:")
    engines.run(shape(10), backend=backend)  # what is imported and made once is not counted
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    engine = engines.load(flow, backend=backend)
    engine.run()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / count, sum(map(len, engine.compilation.plan.successors)) / count


def table(cases: list[Case], small: int, large: int) -> Iterator[str]:
    """Yield the lines of the table."""
    whats = list(dict.fromkeys(what for case in cases for what, _ in case.seconds))
    yield f"{'us an atom':18}" + "".join(f"{what:>24}" for what in whats) + f"{'first new atom':>18}"
    for case in cases:
        line = f"{case.backend:8}{case.shape:10}"
        for what in whats:
            low, high = case.median(what, small) / small * 1e6, case.median(what, large) / large * 1e6
            line += f"{low:8.1f} {high:8.1f} {high / low:5.2f}x"
        yield line + f"{case.median('enter', large):16.3f} s"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=[1_000, 100_000], help="atoms of small and large flows")
    parser.add_argument("--backends", nargs="+", choices=URLS, default=list(URLS))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    logging.getLogger("flowbook").setLevel(logging.ERROR)  # it tells of each run that is resumed
    small, large = given.sizes
    cases = [Case(backend, shape) for backend in given.backends for shape in given.shapes]
    for number in range(given.rounds):
        for case in cases:
            for count in (small, small, large, small):
                case.measure(count)
            print(f"round {number + 1}: {case.backend} {case.shape}", file=sys.stderr, flush=True)
    print("\n".join(table(cases, small, large)))
    print(f"\n{'memory, bytes':18}{'an atom':>12}{'edges an atom':>16}{'of 1536 + 100 an edge':>24}")
    for shape in given.shapes:
        size, edges = kept_bytes(SHAPES[shape], min(large, 20_000))
        print(f"{shape:18}{size:12.0f}{edges:16.2f}{size / (1536 + 100 * edges):23.0%}")


if __name__ == "__main__":
    main()
