"""Whether an atom of a large flow costs what one of a small flow does: compiled, run, resumed, reverted and shown.

For each backend and shape it prints microseconds of the processor an atom, at both sizes, and their ratio; what one
atom and one edge take in memory; and how long after ``load`` the first new atom of a run that was half done starts.
Sizes are interleaved, small flows are measured many together, and the least of all rounds is shown. Time that the disk
takes is not counted; where the system has a folder in memory, files go there, so that nobody waits for a disk either.
``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import page
from page import Goal, NotMeasured, goal

from flowbook import Flow, GraphFlow, LinearFlow, Task, UnorderedFlow, engines
from flowbook.engines.engine import Engine
from flowbook.persistence import Backend, fetch
from flowbook.states import FlowState
from flowbook.views import overview

DEPTH = 1_000
"""How deep the flows of the shape ``deep`` nest."""

NAMES = {"memory": "memory", "sqlite": "SQLite", "dir": "directory"}

ENTER = "enter"
"""From ``load`` of a run that is half done until its next atom begins."""

FLAT = {"run": 1.3, "revert": 1.3, "resume": 1.3, "both": 2.0}
"""How many times what it costs in a small flow each thing may cost an atom of a large one."""

SAID = {
    "run": "run and store",
    "revert": "run and revert",
    "resume": "resume a half-done run",
    "both": "compile and run",
}
BOUND_TO = ("memory", "sqlite")
BOUND_SHAPES = ("chain", "fan", "layered", "deep")
COMPILED_WITHIN_S = {"layered": 3.0}
COMPILED_ELSE_WITHIN_S = 2.0
ENTERED_WITHIN_S = 2.0
ATOM_BYTES, LINK_BYTES = 1536, 100
COUNTED_ATOMS = 20_000
SERIES_ATOMS = 20_000
"""How many atoms are measured together, at least: those of a series of small flows, or of a large one."""

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

    def least(self, what: str, count: int) -> float:
        """Return how many seconds something took, at least."""
        return min(self.seconds[what, count])


def taken(shape: Callable[[int], Flow], count: int, url: str) -> Iterator[tuple[str, float]]:
    """Yield what was measured, and the seconds of the processor that it took a flow: the mean of a series of flows.

    A series is loaded before any of it runs, and garbage collected by hand only then: the garbage collector, which
    Python starts by what was made, comes to many small flows as it does to a large one.
    """
    series = max(1, SERIES_ATOMS // count)
    with page.folder() as folder, fetch(url.format(folder=folder)) as backend:
        for what, took in of_series(lambda: [shape(count) for _ in range(series)], count, backend):
            yield what, took / series


def of_series(make: Callable[[], list[Flow]], count: int, backend: Backend) -> Iterator[tuple[str, float]]:
    """Yield what was measured of all flows of a series, and the seconds of the processor that it took together."""
    loads, compiled = loaded(make(), backend, "run")
    ran = sum(seconds(engine.run) for engine in loads)
    yield "compile", compiled
    yield "run", ran
    yield "both", compiled + ran
    yield "show", sum(seconds(partial(overview, backend, engine.run_id)) for engine in loads)

    for engine in loaded(make(), backend, "half")[0]:
        leave_half(engine, count)
    loads, again = loaded(make(), backend, "half")
    entered = resumed = 0.0
    for engine in loads:
        states = engine.run_iter()
        entered += seconds(partial(next, (state for state in states if state == "WAITING")))
        resumed += seconds(partial(list, states))
    yield ENTER, again + entered
    yield "resume", entered + resumed

    flows = [LinearFlow("all").add(flow, Fails("last")) for flow in make()]
    loads, _ = loaded(flows, backend, "revert")
    yield "revert", sum(seconds(partial(list, engine.run_iter())) for engine in loads)
    assert all(engine.state is FlowState.REVERTED for engine in loads)


def loaded(flows: Sequence[Flow], backend: Backend, run_id: str) -> tuple[list[Engine], float]:
    """Return an engine for each flow, and the seconds that loading took: compiling, for the most part."""
    gc.collect()
    began = time.process_time()
    loads = [engines.load(flow, backend=backend, run_id=f"{run_id}-{number}") for number, flow in enumerate(flows)]
    took = time.process_time() - began
    gc.collect()
    return loads, took


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


def table(cases: Sequence[Case], small: int, large: int) -> Iterator[str]:
    """Yield the lines of the table."""
    whats = [what for what in dict.fromkeys(what for case in cases for what, _ in case.seconds) if what != ENTER]
    yield f"{'us an atom':18}" + "".join(f"{what:>24}" for what in whats) + f"{'first new atom':>18}"
    for case in cases:
        line = f"{case.backend:8}{case.shape:10}"
        for what in whats:
            low, high = case.least(what, small) / small * 1e6, case.least(what, large) / large * 1e6
            line += f"{low:8.1f} {high:8.1f} {high / low:5.2f}x"
        yield line + f"{case.least(ENTER, large):16.3f} s"


def table_of_bytes(kept: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Yield the lines of the table of what is kept in memory."""
    yield f"{'memory, bytes':18}{'an atom':>12}{'edges an atom':>16}{f'of {ATOM_BYTES} + {LINK_BYTES} an edge':>24}"
    for shape, (size, edges) in kept.items():
        yield f"{shape:18}{size:12.0f}{edges:16.2f}{size / (ATOM_BYTES + LINK_BYTES * edges):23.0%}"


def judged(cases: Sequence[Case], kept: Mapping[str, tuple[float, float]], small: int, large: int) -> list[Goal]:
    """Return the goals with what was measured in all shapes, the worst of which decides."""
    goals = []
    for backend in BOUND_TO:
        own = [case for case in cases if case.backend == backend]
        goals += [_flat(own, what, most, small, large, NAMES[backend]) for what, most in FLAT.items()]
        goals.append(_entered(own, large, NAMES[backend]))
    in_memory = [case for case in cases if case.backend == "memory"]
    return [*goals, _compiled(in_memory, large), _kept(kept, large)]


def _flat(cases: Sequence[Case], what: str, most: float, small: int, large: int, backend: str) -> Goal:
    def value() -> tuple[str, bool]:
        each = {case.shape: case.least(what, large) / large / (case.least(what, small) / small) for case in cases}
        return _each(each, "{:.2f}"), max(each.values()) <= most

    says = f"{backend}: {SAID[what]}, an atom of {large:,} against one of {small:,}"
    return goal(says, f"at most {most:g} x", value)


def _entered(cases: Sequence[Case], large: int, backend: str) -> Goal:
    def value() -> tuple[str, bool]:
        each = {case.shape: case.least(ENTER, large) - case.least("compile", large) for case in cases}
        return _each(each, "{:.2f} s"), max(each.values()) <= ENTERED_WITHIN_S

    says = f"{backend}: half-done run of {large:,}, from load to the next atom, without compiling"
    return goal(says, f"at most {ENTERED_WITHIN_S:g} s", value)


def _compiled(cases: Sequence[Case], large: int) -> Goal:
    def value() -> tuple[str, bool]:
        each = {case.shape: case.least("compile", large) for case in cases}
        met = all(took <= COMPILED_WITHIN_S.get(shape, COMPILED_ELSE_WITHIN_S) for shape, took in each.items())
        return _each(each, "{:.2f} s"), met

    bound = f"at most {COMPILED_ELSE_WITHIN_S:g} s, layered {COMPILED_WITHIN_S['layered']:g} s"
    return goal(f"memory: compile and load {large:,}", bound, value)


def _kept(kept: Mapping[str, tuple[float, float]], large: int) -> Goal:
    def value() -> tuple[str, bool]:
        each = {shape: size - LINK_BYTES * links for shape, (size, links) in kept.items()}
        return _each(each, "{:,.0f} B"), max(each.values()) <= ATOM_BYTES

    atoms = min(large, COUNTED_ATOMS)
    says = f"memory of a run of {atoms:,}, beyond the task objects and {LINK_BYTES} B a link"
    return goal(says, f"at most {ATOM_BYTES:,} B an atom", value)


def _each(values: Mapping[str, float], how: str) -> str:
    """Return the values of all shapes as text. Raises NotMeasured when there are none."""
    if not values:
        raise NotMeasured("left out")
    return ", ".join(f"{shape} {how.format(value)}" for shape, value in values.items())


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs=2, default=[1_000, 100_000], help="atoms of small and large flows")
    parser.add_argument("--backends", nargs="+", choices=URLS, default=list(BOUND_TO))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(BOUND_SHAPES))
    parser.add_argument("--rounds", type=int, default=2)
    page.add_write(parser, "scale")
    given = parser.parse_args()
    logging.getLogger("flowbook").setLevel(logging.ERROR)  # it tells of each run that is resumed
    small, large = given.sizes
    cases = [Case(backend, shape) for backend in given.backends for shape in given.shapes]
    for number in range(given.rounds):
        for case in cases:
            for count in (small, large, small):
                case.measure(count)
            print(f"round {number + 1}: {case.backend} {case.shape}", file=sys.stderr, flush=True)
    kept = {shape: kept_bytes(SHAPES[shape], min(large, COUNTED_ATOMS)) for shape in given.shapes}
    print("\n".join([*table(cases, small, large), "", *table_of_bytes(kept)]))
    if given.write:
        page.write_goals("scale", judged(cases, kept, small, large))


if __name__ == "__main__":
    main()
