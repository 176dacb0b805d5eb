"""Following a run: what happens in it, from the engine that runs it or, in another process, from its logbook.

Both give `Notice` values; `RunEvent` is one of them, or something else that was told, as programs read it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from flowbook.engines.checking import checked
from flowbook.engines.core.run import PROGRESS as NOTED_PROGRESS
from flowbook.engines.engine import Engine
from flowbook.engines.opening import unpack_plan
from flowbook.engines.options import SCHEMA
from flowbook.events import PROGRESS, Notice
from flowbook.failure import Failure
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import Row
from flowbook.states import FINISHED, UNFINISHED_ATOMS, AtomState, Direction, FlowState
from flowbook.views.details import FailureView, failure_of, view_of
from flowbook.views.documents import iso
from flowbook.views.runs import OwnerView, may_work, owner_of_run
from flowbook.views.schemas import EVENT

EVERY_S: Final = 0.5
"""How long to wait between two looks into a logbook, unless a look takes long."""

_SHARE_OF_READING: Final = 0.05
"""How much of the time may be spent looking: a run of 10,000 atoms takes a tenth of a second to read."""

_KINDS: Final = ("flow", "atom", "attempt")
_BEGUN: Final = {Direction.EXECUTE: AtomState.RUNNING, Direction.REVERT: AtomState.REVERTING}
_ENDED: Final[Mapping[tuple[str, str], AtomState]] = {
    (Direction.EXECUTE, "SUCCESS"): AtomState.SUCCESS,
    (Direction.EXECUTE, "FAILURE"): AtomState.FAILURE,
    (Direction.REVERT, "SUCCESS"): AtomState.REVERTED,
    (Direction.REVERT, "FAILURE"): AtomState.REVERT_FAILURE,
}
"""The state that an attempt has led to, by its direction and outcome; one that was interrupted led nowhere."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened in a run, at seconds since the epoch; ``atom`` is empty where it is no atom's."""

    at: float
    run: str
    atom: str
    event: str
    state: str = ""
    attempt: int = 0
    progress: float | None = None
    message: str = ""

    @classmethod
    def from_notice(cls, notice: Notice, message: str = "") -> RunEvent:
        """Return a notice as an event."""
        told = notice.state == PROGRESS
        event = "progress" if told else "atom" if notice.atom else "flow"
        state = notice.old_state if told else notice.state
        return cls(notice.at, notice.run, notice.atom, event, str(state), notice.attempt, notice.progress, message)

    def document(self) -> dict[str, Any]:
        """Return the event as a document of the schema `EVENT`."""
        values = asdict(self)
        return {"schema": EVENT.name, "ts": iso(values.pop("at")), **values}


class Source(Protocol):
    """Where it can be asked what a notice does not tell."""

    def saved(self) -> Sequence[str]:
        """Return the atoms that were done before anybody followed the run here."""
        ...

    def failure(self, notice: Notice) -> FailureView | None:
        """Return why an atom failed, if it did."""
        ...

    def attempt(self, notice: Notice) -> tuple[int, int | None]:
        """Return the number of the attempt, from 1, and how many there may be, where that is known."""
        ...


class InEngine:
    """Answers from the engine that runs here; to be asked in the engine's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plan, self._storage = engine.compilation.plan, engine.storage

    def saved(self) -> Sequence[str]:
        """Return the atoms that an earlier owner has saved; none when there was none."""
        if self._engine.resumed is None:
            return ()
        names, state = self._plan.names, self._storage.run.state
        return tuple(names[node] for node in self._plan.atom_nodes() if state[node] is AtomState.SUCCESS)

    def failure(self, notice: Notice) -> FailureView | None:
        """Return why an atom failed, if it did."""
        failure: Failure | None = None
        if notice.state == AtomState.FAILURE:
            failure = self._storage.get_failures().get(notice.atom)
        elif notice.state == AtomState.REVERT_FAILURE:
            failure = self._storage.get_revert_failures().get(notice.atom)
        return None if failure is None else view_of(failure)

    def attempt(self, notice: Notice) -> tuple[int, int | None]:
        """Return the number of the attempt: under a retry that of its round, with the most that the retry allows.

        A retry tells the most by a number ``attempts``, as `Times` does.
        """
        plan, node = self._plan, self._plan.index[notice.atom]
        retry = plan.scopes[plan.scope_of[node]].retry
        if retry is None or retry == node:
            return notice.attempt, None
        rounds = len(self._storage.run.history.get(retry, ()))
        most = getattr(plan.atom(retry), "attempts", None)
        return max(rounds, notice.attempt), most if type(most) is int else None


class Following:
    """Answers from a logbook: each `look` reads the run and gives what has happened since the one before.

    ``kinds`` are the records that are read: with ``("flow",)`` alone nothing is heard of atoms. Nothing is imported
    and no code of the flow is run. Raises NotFound when there is no such run.
    """

    def __init__(self, backend: Backend, run_id: str, kinds: Sequence[str] = _KINDS) -> None:
        self._backend = backend
        self._kinds = kinds
        records = self._read(run_id, ("flow", "plan") if "atom" in kinds else ("flow",))
        row = records.kind("flow")[run_id]
        self.run = run_id
        self.flow: str = row.get("name", "")
        self.atoms: int = row.get("atoms", 0)
        self.created_at: float = row.get("created_at", 0.0)
        self.updated_at = self.created_at
        self.state = FlowState(row["state"])
        self.owner: OwnerView | None = None
        self.is_over = False
        self._looked = False
        self._kind_of = _kinds_of_atoms(records)
        self._saved: tuple[str, ...] = ()
        self._rows: Mapping[str, Row] = {}
        self._seen: dict[str, int] = {}  # how many ended attempts were told of each atom
        self._begun: dict[str, tuple[str, int, int]] = {}  # the newest attempt of each that was told as begun
        self._states: dict[str, str] = {}  # as told last
        self._progress: dict[str, float] = {}

    @property
    def is_worked_on(self) -> bool:
        """Whether an owner holds the run that lives, as far as that can be seen from here."""
        return may_work(self.owner)

    def saved(self) -> Sequence[str]:
        """Return the atoms that were done at the first look."""
        return self._saved

    def failure(self, notice: Notice) -> FailureView | None:
        """Return why an atom failed, if it did and has not begun anew since."""
        field = {AtomState.FAILURE: "failure", AtomState.REVERT_FAILURE: "revert_failure"}.get(AtomState(notice.state))
        return None if field is None else failure_of(self._rows.get(notice.atom, {}).get(field))

    def attempt(self, notice: Notice) -> tuple[int, int | None]:
        """Return the number of the attempt; how many there may be is not recorded."""
        return notice.attempt, None

    def looks(self, every_s: float = EVERY_S, timeout_s: float | None = None) -> Iterator[Sequence[Notice]]:
        """Look until the run has ended or nobody works on it, and yield what each look gives, perhaps nothing.

        Between two looks ``every_s`` pass, or more where reading is slow. Stops before the end after ``timeout_s``.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            began = time.monotonic()
            yield self.look()
            if self.is_over:
                return
            now = time.monotonic()
            pause = max(every_s, (now - began) / _SHARE_OF_READING)
            if until is not None:
                if now >= until:
                    return
                pause = min(pause, until - now)
            time.sleep(pause)

    def look(self) -> Sequence[Notice]:
        """Read the run; return what has happened since the last look, in order of time.

        At the first look that is the state of the flow, and what runs.
        """
        owner = owner_of_run(self._backend, self.run)  # before the records: who has ended since still counts as there
        records = self._read(self.run, self._kinds)
        row = records.kind("flow")[self.run]
        before, self.state = self.state, FlowState(row["state"])
        self.owner, self.updated_at, self.atoms = owner, row.get("updated_at", 0.0), row.get("atoms", 0)
        notices = list(self._atoms(records))
        if self.state is not before or not self._looked:
            notices.append(Notice(self.run, self.flow, "flow", "", self.state, before, self.updated_at))
        self._looked = True
        self.is_over = self.state in FINISHED or self._is_left()
        return sorted(notices, key=lambda notice: notice.at)

    def _is_left(self) -> bool:
        """Return whether nobody works on the run: asked twice, as somebody may just have come."""
        if not self.is_worked_on:
            self.owner = owner_of_run(self._backend, self.run)
        return not self.is_worked_on

    def _read(self, run_id: str, kinds: Sequence[str]) -> FlowRecords:
        return checked(self._backend.load(run_id, kinds), self._backend.url, SCHEMA)

    # -- what has happened to atoms --

    def _atoms(self, records: FlowRecords) -> Iterator[Notice]:
        self._rows, attempts = records.kind("atom"), records.appended.get("attempt", {})
        if not self._looked:
            self._saved = tuple(name for name, row in self._rows.items() if row["state"] == AtomState.SUCCESS)
        now = time.time()
        for name, row in self._rows.items():
            ended = attempts.get(name, ())
            if self._looked:
                yield from self._ended(name, ended[self._seen.get(name, 0) :])
            self._seen[name] = len(ended)
            yield from self._is_now(name, row, now)

    def _ended(self, name: str, attempts: Sequence[Row]) -> Iterator[Notice]:
        """Yield the beginning, unless it was told, and the end of each attempt."""
        for row in attempts:
            direction, number = Direction(row["direction"]), row.get("attempt", 0)
            yield from self._begins(name, direction, row.get("round", 0), number, row.get("started_at", 0.0))
            state = _ENDED.get((direction, row.get("outcome", "")))
            if state is not None and row.get("ended_at") is not None:
                yield self._notice(name, state, row["ended_at"], number)

    def _is_now(self, name: str, row: Row, now: float) -> Iterator[Notice]:
        state = AtomState(row["state"])
        if state in UNFINISHED_ATOMS:
            executes = state is AtomState.RUNNING
            direction = Direction.EXECUTE if executes else Direction.REVERT
            number = row.get("attempt" if executes else "revert_attempt", 0)
            yield from self._begins(name, direction, row.get("round", 0), number, row.get("started_at", now))
            told = (row.get("metadata") or {}).get(NOTED_PROGRESS)
            if isinstance(told, int | float) and self._progress.get(name) != told:
                self._progress[name] = told
                yield self._notice(name, PROGRESS, now, number, progress=float(told))
        elif self._looked and self._states.get(name) != state:
            yield self._notice(name, state, now, row.get("attempt", 0))
        else:
            self._states[name] = state

    def _begins(self, name: str, direction: Direction, round_: int, number: int, at: float) -> Iterator[Notice]:
        attempt = (direction, round_, number)
        if self._begun.get(name) != attempt:
            self._begun[name] = attempt
            self._progress.pop(name, None)
            yield self._notice(name, _BEGUN[direction], at, number)

    def _notice(self, name: str, state: str, at: float, number: int, progress: float | None = None) -> Notice:
        before = self._states.get(name, AtomState.PENDING)
        if progress is None:
            self._states[name] = state
        kind = self._kind_of.get(name, "task")
        return Notice(self.run, self.flow, kind, name, state, before, at, number, progress)


def _kinds_of_atoms(records: FlowRecords) -> Mapping[str, str]:
    """Return which atoms are tasks and which retries, as far as the recorded plan says so."""
    row = records.kind("plan").get("plan")
    atoms = [] if row is None else unpack_plan(row).get("atoms", [])
    return {atom["name"]: atom.get("kind", "task") for atom in atoms if isinstance(atom, dict) and "name" in atom}
