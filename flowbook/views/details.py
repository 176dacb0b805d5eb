"""One run in full: its header, its atoms in the order of the plan, their attempts and failures.

Results and inputs stay in their stored form: showing a run imports nothing and runs no code of its flow.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from flowbook.engines.checking import checked
from flowbook.engines.core.run import PROGRESS
from flowbook.engines.factories import Factory
from flowbook.engines.opening import unpack_plan
from flowbook.engines.options import SCHEMA
from flowbook.engines.results import live
from flowbook.engines.storage import as_inline
from flowbook.exceptions import Damaged, FlowbookError, NotFound
from flowbook.failure import Failure
from flowbook.persistence import codec
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import MISSING, Inline, Row
from flowbook.persistence.records import AtomDetail, FlowDetail
from flowbook.secrets.masking import masked, shown_document
from flowbook.states import UNFINISHED_ATOMS, AtomState, Direction
from flowbook.views.runs import OwnerView, owner_of_run


@dataclass(frozen=True, slots=True)
class FailureView:
    """Why an atom failed: the exception's type, its message, and its traceback as text."""

    type: str
    message: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True, slots=True)
class AtomView:
    """One atom of a run. ``attempts`` counts executions of this round; times are seconds since the epoch.

    ``duration_s`` is that of the last execution that ended, not of a revert. ``progress`` (0 to 1) is what the attempt
    under way has told, 1 after SUCCESS, None otherwise. ``notes`` is what it noted beside that; ``result`` is as it was
    stored.
    """

    name: str
    kind: str
    state: str
    round: int
    attempts: int
    reverts: int
    started_at: float | None
    ended_at: float | None
    duration_s: float | None
    progress: float | None
    provides: tuple[str, ...]
    place: str
    notes: Mapping[str, Any]
    result: Any  # JSON, as stored
    failure: FailureView | None
    revert_failure: FailureView | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. ``counts`` are its atoms by state; ``factory`` says what builds its flow, if that was recorded."""

    id: str
    book: str
    name: str
    state: str
    created_at: float
    updated_at: float
    owner: OwnerView | None
    factory: str
    inputs: Mapping[str, Any]  # JSON, as stored
    counts: Mapping[str, int]
    atoms: tuple[AtomView, ...]

    @property
    def failed(self) -> tuple[AtomView, ...]:
        """The atoms whose execution or revert failed."""
        return tuple(atom for atom in self.atoms if atom.failure or atom.revert_failure)


class Recorded(NamedTuple):
    """A run as it was read: its records, what they tell of its atoms, and its plan."""

    records: FlowRecords
    detail: FlowDetail
    plan: Mapping[str, Any]

    def names(self) -> Iterator[str]:
        """Yield the atoms of the plan, and behind them those that have a record and are planned no more."""
        planned = {atom["name"] for atom in self.plan["atoms"]}
        yield from (atom["name"] for atom in self.plan["atoms"])
        yield from (name for name in self.detail.atoms if name not in planned)


def read_run(backend: Backend, run_id: str) -> Recorded:
    """Return what the logbook holds of a run, checked. Raises NotFound, Damaged and NewerSchema."""
    records = checked(backend.load(run_id), backend.url, SCHEMA)
    return Recorded(records, FlowDetail.from_records(records), planned(records, backend.url))


def view_run(backend: Backend, run_id: str) -> RunView:
    """Return all that the logbook tells of a run. Raises NotFound, Damaged and NewerSchema."""
    recorded = read_run(backend, run_id)
    records, detail, plan = recorded
    plans = {atom["name"]: atom for atom in plan["atoms"]}
    atoms = tuple(atom_of(detail, name, plans.get(name, {})) for name in recorded.names())
    return RunView(
        detail.id,
        detail.book,
        detail.name,
        detail.state,
        detail.created_at,
        detail.updated_at,
        owner_of_run(backend, detail.id),
        _factory(detail.row, run_id),
        {name: stored(row.get("value")) for name, row in records.kind("input").items()},
        dict(Counter(atom.state for atom in atoms)),
        atoms,
    )


def narrowed(run: RunView, *, states: Collection[str] = (), names: str = "") -> RunView:
    """Return the run with only those of its atoms that are in these states, and whose names match a pattern.

    In ``names``, ``*`` stands for any characters, ``?`` for one, ``[ab]`` for one of these.
    """
    fits = re.compile(fnmatch.translate(names)).match if names else None
    wanted = frozenset(map(str, states))
    atoms = [atom for atom in run.atoms if not wanted or atom.state in wanted]
    return replace(run, atoms=tuple(atom for atom in atoms if fits is None or fits(atom.name)))


def _factory(row: Row, run_id: str) -> str:
    factory = row.get("factory")
    return str(Factory.from_row(factory, run_id)) if isinstance(factory, Mapping) else ""


def planned(records: FlowRecords, url: str) -> Mapping[str, Any]:
    """Return the record of the plan, one without atoms where there is none. Raises Damaged."""
    row = records.kind("plan").get("plan")
    plan: Mapping[str, Any] = {"atoms": []} if row is None else unpack_plan(row)
    atoms = plan.get("atoms")
    if not isinstance(atoms, list) or not all(map(_is_planned_atom, atoms)):
        raise Damaged(url, f"plan 'plan' of run {records.flow!r}: its atoms are not readable")
    return plan


def _is_planned_atom(atom: object) -> bool:
    return (
        isinstance(atom, Mapping)
        and isinstance(atom.get("name"), str)
        and all(isinstance(atom.get(name, ""), str) for name in ("kind", "place"))
        and isinstance(provides := atom.get("provides", []), list)
        and all(isinstance(symbol, str) for symbol in provides)
    )


def atom_of(detail: FlowDetail, name: str, plan: Mapping[str, Any]) -> AtomView:
    """Return the view of an atom, of which the plan's record says ``plan``."""
    try:
        atom = detail.find(name)
    except NotFound:
        atom = AtomDetail.from_row(name, {})
    ended = [
        row
        for row in atom.attempts
        if row.get("ended_at") is not None
        and row.get("round", 0) == atom.round
        and row.get("direction", Direction.EXECUTE) == Direction.EXECUTE
    ]
    last = ended[-1] if ended else None
    under_way = atom.state in UNFINISHED_ATOMS
    return AtomView(
        name,
        plan.get("kind", "task"),
        atom.state,
        atom.round,
        atom.attempt,
        atom.more.get("revert_attempt", 0),
        (atom.more.get("started_at") if under_way or last is None else last["started_at"]) or None,
        None if last is None or under_way else last["ended_at"],
        None if last is None else duration_s(last),
        _progress(atom),
        tuple(plan.get("provides", ())),
        plan.get("place", ""),
        {name: value for name, value in atom.metadata.items() if name != PROGRESS} if atom.metadata else {},
        stored(atom.result),
        failure_of(atom.failure or atom.more.get("hook_failure")),
        failure_of(atom.more.get("revert_failure")),
    )


def _progress(atom: AtomDetail) -> float | None:
    """Return how far an atom is; what an attempt told is of no interest any more when that has ended."""
    if atom.state in UNFINISHED_ATOMS:
        told = atom.metadata.get(PROGRESS)
        return told if isinstance(told, int | float) and 0 <= told <= 1 else None
    return 1.0 if atom.state == AtomState.SUCCESS else None


def duration_s(attempt: Row) -> float | None:
    """Return how long an attempt took; None for one that was interrupted."""
    ended_at = attempt.get("ended_at")
    return None if ended_at is None else max(0.0, float(ended_at) - float(attempt["started_at"]))


def stored(value: Any) -> Any:  # a row's field: a handle, or the JSON document that stands for one
    """Return a value in its stored form, as JSON that may be shown: secrets masked; None for no value."""
    if not isinstance(value, Inline):
        return shown_document(value)
    if value.document is not MISSING:
        return shown_document(value.document)
    try:
        return shown_document(json.loads(codec.encode(value.live) if value.text is None else value.text))
    except FlowbookError:  # a backend that keeps live objects may hold what has no stored form
        return {"!repr": masked(repr(value.live))}


def failure_of(value: Any) -> FailureView | None:  # as above
    """Return what a stored failure says, or None where there is none."""
    if value is None:
        return None
    try:
        failure = live(as_inline(value))
    except FlowbookError as error:
        return FailureView(type(error).__name__, str(error), "")
    if not isinstance(failure, Failure):
        return FailureView("Damaged", "what is stored is no failure", "")
    return view_of(failure)


def view_of(failure: Failure) -> FailureView:
    """Return a failure as it is shown."""
    return FailureView(failure.type_names[0], failure.exception_str, failure.traceback_str)
