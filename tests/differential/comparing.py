"""When two outcomes of a case are equal, and where they are not.

Equal are: the state in which the flow ends, the states of all atoms, the value of every symbol, the result of every
task, what was raised, the order that compilation gave; of the log, for each atom its own lines (states and calls, with
what they were called with) and, for each two atoms of which one comes after the other, the order of their states. How
branches interleave is no matter, nor when an atom is ignored or reset beside others. Where a case suspends, a hook may
be asked the same question twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from differential.recording import FLOW, Spec

RESET, IGNORED = "PENDING", "IGNORE"
"""States that many atoms enter together: resets that follow each other have no order, ignored atoms wait for nobody."""

HOOKS = {"on_failure", "decide"}
ASIDE = "flow_failures"


@dataclass(frozen=True)
class Mismatch:
    """One thing that is not equal: which, of whom, what they have and what we have."""

    kind: str
    where: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.kind} of {self.where or 'the flow'}:\n    theirs {self.theirs}\n    ours   {self.ours}"


def compare(spec: Spec, theirs: Spec, ours: Spec) -> list[Mismatch]:
    """Return all that is not equal."""
    found = [Mismatch("end", FLOW, theirs["ends"][-1], ours["ends"][-1])]
    found += [Mismatch("raised", FLOW, theirs["raised"][-1], ours["raised"][-1])]
    for kind in ("atoms", "values", "results", "order"):
        found += _by_name(kind, theirs[kind], ours[kind])
    collapses = bool(spec["suspends"])
    found += _by_name("log", _own_lines(theirs["log"], collapses), _own_lines(ours["log"], collapses))
    found += _by_name("failures", _failures(theirs["log"]), _failures(ours["log"]))
    if not any(mismatch.theirs != mismatch.ours for mismatch in found):
        found += _pairs(theirs, ours)
    return [mismatch for mismatch in found if mismatch.theirs != mismatch.ours]


def _by_name(kind: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[Mismatch]:
    for name in dict.fromkeys([*theirs, *ours]):
        yield Mismatch(kind, name, theirs.get(name), ours.get(name))


def _own_lines(log: list[list[Any]], collapses: bool) -> dict[str, list[Any]]:
    """Return the lines of each atom and link, without the failures that a revert is told of."""
    found: dict[str, list[Any]] = {}
    for who, what, *rest in log:
        if who == FLOW:
            continue
        if what == "revert":
            rest = [{key: value for key, value in rest[0].items() if key != ASIDE}]
        lines = found.setdefault(who, [])
        if not (collapses and what in HOOKS and [what, *rest] in lines):
            lines.append([what, *rest])
    return found


def _failures(log: list[list[Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for who, what, *rest in log:
        if what == "revert":
            found.setdefault(who, []).append(rest[0][ASIDE])
    return found


def _pairs(theirs: Spec, ours: Spec) -> Iterator[Mismatch]:
    their_states, our_states = _states(theirs["log"]), _states(ours["log"])
    for first, behind in theirs["order"].items():
        for second in behind:
            names = {first, second}
            yield Mismatch("pair", f"{first}, {second}", _merged(their_states, names), _merged(our_states, names))


def _states(log: list[list[Any]]) -> list[tuple[str, str]]:
    return [(who, rest[0]) for who, what, *rest in log if what == "state" and who != FLOW]


def _merged(states: list[tuple[str, str]], names: set[str]) -> list[str]:
    found: list[str] = []
    together: list[str] = []
    for who, state in states:
        if who not in names or state == IGNORED:
            continue
        if state == RESET:
            together.append(f"{who} {state}")
            continue
        found += sorted(together)
        together.clear()
        found.append(f"{who} {state}")
    return found + sorted(together)
