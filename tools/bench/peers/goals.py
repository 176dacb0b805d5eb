"""What the measured figures are to say, and whether they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from comparisons import ABSURD, BARE, BY_ORDER, DASK, DBOS, DURABLE, FAN, OURS, PARSL, TASKFLOW
from judging import Goal, NotMeasured, goal
from measuring import Measured

Found = Mapping[str, Mapping[str, Measured]]
"""What was measured: by the key of the comparison, and the label of the side."""

_QUICK_STORAGE_PER_S = 5_000
_OWN_CPU_AT_MOST_US = 100.0


def judged(found: Found) -> list[Goal]:
    """Return all goals with what was measured."""
    return [*_in_memory(found), *_compiling(found), *_durable(found), *_resuming(found)]


def speed(found: Found, key: str, of: str, against: str) -> float:
    """Return how many times as quick one side is as another: the median of the rounds, each with its neighbour."""
    ours, theirs = _side(found, key, of).each("seconds"), _side(found, key, against).each("seconds")
    if len(ours) != len(theirs):
        return median(theirs) / median(ours)
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def _side(found: Found, key: str, label: str) -> Measured:
    measured = found.get(key, {}).get(label)
    if measured is None or not measured.rounds:
        raise NotMeasured(measured.why_not if measured else "left out")
    return measured


def _times(found: Found, key: str, against: str, least: float, says: str, of: str = OURS) -> Goal:
    def value() -> tuple[str, bool]:
        times = speed(found, key, of, against)
        return f"{_short(times)} x", times >= least

    return goal(says, f"at least {least:g} x", value)


def _within(found: Found, key: str, most_s: float, says: str, of: str = OURS) -> Goal:
    def value() -> tuple[str, bool]:
        measured = _side(found, key, of)
        seconds = median(figures["seconds"] for figures in measured.rounds)
        return f"{seconds:.3f} s", seconds <= most_s

    return goal(says, f"at most {most_s:g} s", value)


def _in_memory(found: Found) -> Sequence[Goal]:
    return [
        _times(found, "run chain", DASK, 1.5, "memory, chain of 10,000, against dask.get"),
        _times(found, "run fan", DASK, 1.0, "memory, fan of 10,000, against dask.get"),
        _times(found, "run layers", DASK, 4.0, "memory, DAG of 10,000 in layers of 100, against dask.get", BY_ORDER),
        _times(found, "run layers", DASK, 4.0, "memory, DAG of 10,000 that hands on values, in layers of 100"),
        _times(found, "run wide layers", DASK, 4.0, "memory, DAG of 10,000 that hands on values, in layers of 1,000"),
        _times(found, "whole chain", TASKFLOW, 500, "memory, chain of 1,000 with its compile, against TaskFlow"),
        _times(found, "threads fan", BARE, 0.25, "memory, fan of 10,000 on 8 threads, of a bare pool"),
        _times(found, "threads fan", PARSL, 1.0, "memory, fan of 10,000 on 8 threads, against parsl"),
    ]


def _compiling(found: Found) -> Sequence[Goal]:
    return [
        _within(found, "compile chain", 0.15, "compile, chain of 10,000"),
        _within(found, "compile layers", 0.15, "compile, DAG of 10,000 in layers of 100"),
        _within(found, "compile wide layers", 0.15, "compile, DAG of 10,000 in layers of 1,000"),
        _within(found, "compile layers", 0.15, "compile, DAG of 10,000 in layers of 100, by order only", BY_ORDER),
        _within(found, "compile long chain", 2.0, "compile, chain of 100,000"),
        _within(found, "compile large layers", 3.0, "compile, DAG of 100,000 in layers of 100"),
        _within(
            found, "compile large layers", 3.0, "compile, DAG of 100,000 in layers of 100, by order only", BY_ORDER
        ),
    ]


def _durable(found: Found) -> Sequence[Goal]:
    goals = [_of_bare(found, storage, 0.8 if storage == "dir" else 0.7) for storage in DURABLE]
    goals += [
        _times(found, "durable sqlite", DBOS, 4.0, "durable chain on SQLite, against DBOS"),
        _times(found, "durable postgresql", DBOS, 2.5, "durable chain on PostgreSQL, against DBOS"),
        _times(found, "durable postgresql", ABSURD, 1.0, "durable chain on PostgreSQL, against absurd"),
    ]
    for storage, name in DURABLE.items():
        says = f"durable fan on {name}, 8 threads, against the chain"
        goals.append(_times(found, f"durable {storage}", OURS, 4.0, says, FAN))
    return goals


def _of_bare(found: Found, storage: str, least: float) -> Goal:
    """Return the goal of a chain: a share of bare where the storage is slow, else a bound on our own CPU."""

    def value() -> tuple[str, bool]:
        key = f"durable {storage}"
        ours, bare = _side(found, key, OURS), _side(found, key, BARE)
        share = speed(found, key, OURS, BARE)
        rate = 1e6 / bare.median()
        pairs = zip(ours.each("cpu_s"), bare.each("cpu_s"), strict=False)
        added_us = median(our - their for our, their in pairs)
        said = f"{share:.2f} of bare, which makes {rate:,.0f}/s; {added_us:.0f} us of CPU above it"
        return said, share >= least if rate <= _QUICK_STORAGE_PER_S else added_us <= _OWN_CPU_AT_MOST_US

    quick = f"{_OWN_CPU_AT_MOST_US:g} us more CPU where that makes over {_QUICK_STORAGE_PER_S:,}/s"
    return goal(f"durable chain on {DURABLE[storage]}, of bare", f"at least {least:g}, or {quick}", value)


def _resuming(found: Found) -> Sequence[Goal]:
    says = "half-done chain of 10,000, from load to the next atom"
    return [
        _within(found, f"resume {storage}", 0.2, f"{DURABLE[storage]}, {says}") for storage in ("sqlite", "postgresql")
    ]


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 100 else f"{number:.0f}"
