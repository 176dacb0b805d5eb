"""One run in full: its header, its atoms in the order of the plan, their attempts and failures.

Results and inputs stay in their stored form: showing a run imports nothing and runs no code of its flow.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

from flowbook.engines.checking import checked
from flowbook.engines.core.run import PROGRESS
from flowbook.engines.factories import Factory
from flowbook.engines.opening import unpack_plan
from flowbook.engines.options import SCHEMA
from flowbook.engines.results import live
from flowbook.engines.storage import as_inline
from flowbook.exceptions import Damaged, FlowbookError
from flowbook.failure import Failure
from flowbook.persistence import codec
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import MISSING, Inline, Row
from flowbook.secrets.masking import masked, shown_document
from flowbook.states import UNFINISHED_ATOMS, AtomState, Direction
from flowbook.views.runs import OwnerView, owner_of_run

KINDS: Final = ("flow", "plan", "input", "atom", "attempt")
"""The kinds of records that a run is viewed by."""

NOT_BEGUN: Final[Row] = {"state": AtomState.PENDING.value}
"""What stands for the record of an atom that has none."""

_T = TypeVar("_T")


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
    stored. ``next_try_at`` is when a retry may begin its next round, while that is to come.
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
    next_try_at: float | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. ``counts`` are its atoms by state; ``factory`` says what builds its flow, if that was recorded.

    ``deadline`` is when its present round is to be finished; ``reason`` says why it is cancelled: CANCELLED, TIMED_OUT,
    or nothing.
    """

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
    deadline: float | None = None
    reason: str = ""

    @property
    def failed(self) -> tuple[AtomView, ...]:
        """The atoms whose execution or revert failed."""
        return tuple(atom for atom in self.atoms if atom.failure or atom.revert_failure)


class Recorded(NamedTuple):
    """A run as it was read from ``url``: its records, the one of the flow among them, and its plan."""

    url: str
    records: FlowRecords
    row: Row
    plan: Mapping[str, Any]

    def names(self) -> Sequence[str]:
        """Return the atoms of the plan, and behind them those that have a record and are planned no more."""
        names = [atom["name"] for atom in self.plan["atoms"]]
        planned = set(names)
        return names + [name for name in self.records.kind("atom") if name not in planned]

    def plans(self, names: Collection[str] | None = None) -> Mapping[str, Mapping[str, Any]]:
        """Return what the plan's record says of these atoms, or of all."""
        return {atom["name"]: atom for atom in self.plan["atoms"] if names is None or atom["name"] in names}

    def edges(self) -> Sequence[tuple[str, str]]:
        """Return which atom, or mark, waits for which: those that come first are named first. Raises Damaged."""
        links = self.plan.get("edges", [])
        if not isinstance(links, list) or not _are_pairs(links):
            raise Damaged(self.url, f"plan 'plan' of run {self.records.flow!r}: its links are not readable")
        return [(before, after) for before, after in links]

    def part(self, names: Iterable[str]) -> FlowRecords:
        """Return what is recorded of these atoms alone, checked. Raises Damaged."""
        wanted = tuple(names)
        kept = {"atom": _those_in(self.records.kind("atom"), wanted)}
        appended = {kind: _those_in(rows, wanted) for kind, rows in self.records.appended.items()}
        return checked(FlowRecords(self.records.flow, kept, appended), self.url, SCHEMA)


def _those_in(rows: Mapping[str, _T], names: Iterable[str]) -> Mapping[str, _T]:
    return {name: rows[name] for name in names if name in rows}


def read_run(backend: Backend, run_id: str, kinds: Sequence[str] | None = None) -> Recorded:
    """Return what the logbook holds of a run, of these kinds or of all, checked.

    ``kinds`` must have ``flow`` and ``plan``. Raises NotFound, Damaged and NewerSchema.
    """
    return _recorded(checked(backend.load(run_id, kinds), backend.url, SCHEMA), backend.url)


def look_into(
    backend: Backend, run_id: str, kinds: Sequence[str], choose: Callable[[Recorded], tuple[Iterable[str], _T]]
) -> tuple[Recorded, _T]:
    """Return the same where few of many atoms are shown, and what ``choose`` returns beside their names.

    What was appended of other atoms may be missing, and to ``choose`` that of all. No records of atoms are checked but
    those in a `part`.
    """
    chosen: list[tuple[Recorded, _T]] = []

    def wanted(records: FlowRecords) -> Iterable[str]:
        others = {kind: rows for kind, rows in records.rows.items() if kind != "atom"}
        checked(FlowRecords(records.flow, others), backend.url, SCHEMA)
        recorded = _recorded(records, backend.url)
        names, more = choose(recorded)
        chosen[:] = [(recorded, more)]
        return names

    records = backend.look(run_id, kinds, wanted)
    if not chosen or chosen[0][0].records.rows is not records.rows:  # of these nobody has been asked
        wanted(records)
    ((recorded, more),) = chosen
    return recorded._replace(records=records), more


def _recorded(records: FlowRecords, url: str) -> Recorded:
    return Recorded(url, records, records.kind("flow")[records.flow], planned(records, url))


def view_run(backend: Backend, run_id: str) -> RunView:
    """Return all that the logbook tells of a run. Raises NotFound, Damaged and NewerSchema."""
    recorded = read_run(backend, run_id, KINDS)
    plans = recorded.plans()
    atoms = [atom_of(recorded.records, name, plans.get(name, {})) for name in recorded.names()]
    return run_of(recorded, owner_of_run(backend, run_id), Counter(atom.state for atom in atoms), atoms)


def run_of(
    recorded: Recorded, owner: OwnerView | None, counts: Mapping[str, int], atoms: Iterable[AtomView]
) -> RunView:
    """Return the view of a run that shows these atoms."""
    row, flow = recorded.row, recorded.records.flow
    return RunView(
        flow,
        row["book"],
        row["name"],
        row["state"],
        row["created_at"],
        row["updated_at"],
        owner,
        _factory(row, flow),
        {name: stored(given.get("value")) for name, given in recorded.records.kind("input").items()},
        dict(counts),
        tuple(atoms),
        row.get("deadline"),
        row.get("reason", ""),
    )


def narrowed(run: RunView, *, states: Collection[str] = (), names: str = "") -> RunView:
    """Return the run with only those of its atoms that are in these states, and whose names match a pattern.

    In ``names``, ``*`` stands for any characters, ``?`` for one, ``[ab]`` for one of these.
    """
    fits, wanted = pattern_of(names), frozenset(map(str, states))
    atoms = [atom for atom in run.atoms if not wanted or atom.state in wanted]
    return replace(run, atoms=tuple(atom for atom in atoms if fits(atom.name)))


def pattern_of(names: str) -> Callable[[str], object]:
    """Return what tells whether a name matches a pattern; without a pattern every name does."""
    return re.compile(fnmatch.translate(names)).match if names else lambda name: True


def _factory(row: Row, run_id: str) -> str:
    factory = row.get("factory")
    return str(Factory.from_row(factory, run_id)) if isinstance(factory, Mapping) else ""


def planned(records: FlowRecords, url: str) -> Mapping[str, Any]:
    """Return the record of the plan, one without atoms where there is none. Raises Damaged."""
    row = records.kind("plan").get("plan")
    plan: Mapping[str, Any] = {"atoms": []} if row is None else unpack_plan(row)
    atoms = plan.get("atoms")
    if not isinstance(atoms, list) or not _are_planned_atoms(atoms):
        raise Damaged(url, f"plan 'plan' of run {records.flow!r}: its atoms are not readable")
    return plan


def _are_planned_atoms(atoms: Sequence[Any]) -> bool:  # JSON
    """Return whether each is the record of an atom; of 100,000 that takes 30 ms, and 100 ms one by one."""
    if not _are(dict, atoms):
        return False
    words = chain.from_iterable((atom.get("name"), atom.get("kind", ""), atom.get("place", "")) for atom in atoms)
    provided = [atom.get("provides", []) for atom in atoms]
    return _are(str, words) and _are(list, provided) and _are(str, chain.from_iterable(provided))


def _are_pairs(links: Sequence[Any]) -> bool:  # JSON
    return _are(list, links) and {2}.issuperset(map(len, links)) and _are(str, chain.from_iterable(links))


def _are(kind: type, values: Iterable[object]) -> bool:
    return {kind}.issuperset(map(type, values))


def atom_of(records: FlowRecords, name: str, plan: Mapping[str, Any]) -> AtomView:
    """Return the view of an atom, of which the plan's record says ``plan``."""
    row = records.kind("atom").get(name, NOT_BEGUN)
    state, number = row["state"], row.get("round", 0)
    last = _last_execution(records.appended.get("attempt", {}).get(name, ()), number)
    under_way = state in UNFINISHED_ATOMS
    notes = row.get("metadata") or {}
    return AtomView(
        name,
        plan.get("kind", "task"),
        state,
        number,
        row.get("attempt", 0),
        row.get("revert_attempt", 0),
        (row.get("started_at") if under_way or last is None else last["started_at"]) or None,
        None if last is None or under_way else last["ended_at"],
        None if last is None else duration_s(last),
        _progress(state, notes),
        tuple(plan.get("provides", ())),
        plan.get("place", ""),
        {name: value for name, value in notes.items() if name != PROGRESS} if notes else {},
        stored(row.get("result")),
        failure_of(row.get("failure") or row.get("hook_failure")),
        failure_of(row.get("revert_failure")),
        row.get("next_try_at"),
    )


def _last_execution(attempts: Sequence[Row], number: int) -> Row | None:
    """Return the last attempt of a round that executed the atom and has ended."""
    for row in reversed(attempts):
        if (
            row.get("ended_at") is not None
            and row.get("round", 0) == number
            and row.get("direction", Direction.EXECUTE) == Direction.EXECUTE
        ):
            return row
    return None


def _progress(state: str, notes: Row) -> float | None:
    """Return how far an atom is; what an attempt told is of no interest any more when that has ended."""
    if state in UNFINISHED_ATOMS:
        told = notes.get(PROGRESS)
        return told if isinstance(told, int | float) and 0 <= told <= 1 else None
    return 1.0 if state == AtomState.SUCCESS else None


def failures_in(row: Row) -> int:
    """Return how many failures an atom's record tells of: that of executing it, and that of reverting it."""
    executing, reverting = row.get("failure") or row.get("hook_failure"), row.get("revert_failure")
    return (executing is not None) + (reverting is not None)


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
