"""One atom of a run in full: where its inputs come from, each attempt, the rounds of a retry, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowbook.clock import to_text
from flowbook.exceptions import NotFound
from flowbook.persistence.backend import Backend
from flowbook.persistence.changes import Row
from flowbook.states import FINISHED, AtomState, FlowState
from flowbook.views.details import (
    KINDS,
    AtomView,
    FailureView,
    Recorded,
    atom_of,
    duration_s,
    failure_of,
    look_into,
    planned,
    stored,
)
from flowbook.views.runs import OwnerView, may_work, owner_of_run

INPUT = "input"
"""What stands among the sources of a symbol when the run was given it."""

_KINDS = (*KINDS, "history")
_DONE = (AtomState.SUCCESS, AtomState.IGNORE)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt: which of an atom's two methods it called, who ran it and when, and how it ended."""

    round: int
    attempt: int
    direction: str
    outcome: str
    owner: str
    started_at: float
    ended_at: float | None
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class RoundView:
    """One round of a retry: what the retry gave for it (as stored), and the failures that came of it, by atom."""

    given: Any  # JSON, as stored
    failures: Mapping[str, FailureView]


@dataclass(frozen=True, slots=True)
class AtomReport:
    """One atom in full. ``requires`` says of each symbol which atoms may give it, or `INPUT`.

    While the atom is PENDING, ``waits_for`` are the atoms before it that are not done, with their states, and
    ``why_not`` says in sentences why it does not run.
    """

    run: str
    run_state: str
    atom: AtomView
    requires: Mapping[str, tuple[str, ...]]
    attempts: tuple[AttemptView, ...]
    rounds: tuple[RoundView, ...]
    waits_for: Mapping[str, str]
    why_not: tuple[str, ...]


def view_atom(backend: Backend, run_id: str, name: str) -> AtomReport:
    """Return all that the logbook tells of one atom. Raises NotFound, Damaged and NewerSchema."""

    def choose(recorded: Recorded) -> tuple[Sequence[str], Mapping[str, Any]]:
        plan = recorded.plans([name]).get(name)
        if plan is None and name not in recorded.records.kind("atom"):
            raise NotFound("atom", name, tuple(recorded.names()))
        return [name], plan or {}

    recorded, plan = look_into(backend, run_id, _KINDS, choose)
    records, state = recorded.part([name]), recorded.row["state"]
    atom = atom_of(records, name, plan)
    pending = atom.state == AtomState.PENDING
    waits = dict(_not_done_before(recorded, name)) if pending else {}
    why_not = _why_not(state, owner_of_run(backend, run_id), waits) if pending else ()
    return AtomReport(
        records.flow,
        state,
        atom,
        {symbol: tuple(_sources(recorded, symbol)) for symbol in plan.get("requires", ())},
        tuple(map(_attempt, records.appended.get("attempt", {}).get(name, ()))),
        tuple(_rounds(records.appended.get("history", {}).get(name, ()))),
        waits,
        tuple(why_not),
    )


def atom_names(backend: Backend, run_id: str) -> tuple[str, ...]:
    """Return the names of a run's atoms, in the order of the plan. Raises NotFound and Damaged."""
    plan = planned(backend.load(run_id, ("flow", "plan")), backend.url)
    return tuple(atom["name"] for atom in plan["atoms"])


def _sources(recorded: Recorded, symbol: str) -> Iterator[str]:
    if symbol in recorded.records.kind("input"):
        yield INPUT
    yield from (atom["name"] for atom in recorded.plan["atoms"] if symbol in atom.get("provides", ()))


def _attempt(row: Row) -> AttemptView:
    return AttemptView(
        row.get("round", 0),
        row["attempt"],
        row["direction"],
        row["outcome"],
        row.get("owner", ""),
        row["started_at"],
        row.get("ended_at"),
        duration_s(row),
    )


def _rounds(rows: Sequence[Row]) -> Iterator[RoundView]:
    """Yield the rounds of a retry: each begins with what it gave, and the failures of its round follow."""
    failures: dict[str, FailureView] = {}
    for row in rows:
        if "result" in row:
            failures = {}
            yield RoundView(stored(row["result"]), failures)
        elif (failure := failure_of(row["failure"])) is not None:
            failures[row["atom"]] = failure


def _not_done_before(recorded: Recorded, name: str) -> Iterator[tuple[str, str]]:
    """Yield the atoms right before this one that are not done, with their states."""
    before = list(_right_before(recorded, name))
    rows = recorded.part(before).kind("atom")
    for one in before:
        state = rows[one]["state"] if one in rows else AtomState.PENDING
        if state not in _DONE:
            yield one, str(state)


def _right_before(recorded: Recorded, name: str) -> Iterator[str]:
    """Yield the atoms that this one waits for; marks between them are passed."""
    before = _predecessors(recorded)
    marks = set(recorded.plan.get("marks", ()))
    seen, waiting = {name}, [name]
    while waiting:
        for one in before.get(waiting.pop(), ()):
            if one in seen:
                continue
            seen.add(one)
            if one in marks:
                waiting.append(one)
            else:
                yield one


def _predecessors(recorded: Recorded) -> Mapping[str, Sequence[str]]:
    before: dict[str, list[str]] = {}
    for first, second in recorded.edges():
        before.setdefault(second, []).append(first)
    return before


def _why_not(state: str, owner: OwnerView | None, waits: Mapping[str, str]) -> Iterator[str]:
    """Yield why a PENDING atom does not run: the run first, then what lies before it."""
    if state in FINISHED:
        yield f"the run has ended in {state}"
    elif state in (FlowState.SUSPENDED, FlowState.PENDING):
        yield f"the run is {state}: it goes on when it is resumed"
    elif not may_work(owner):
        yield f"the run was interrupted as it was {state}: nobody works on it"
    elif state == FlowState.SUSPENDING:
        yield "the run is SUSPENDING: nothing more is started"
    if owner is not None and may_work(owner):
        yield f"the run is owned by {owner.name} since {to_text(owner.since)}"
    if waits:
        yield f"it waits for {', '.join(f'{name} ({is_})' for name, is_ in waits.items())}"
    elif state == FlowState.RUNNING:
        yield "nothing lies before it: it runs as soon as there is a free worker"
