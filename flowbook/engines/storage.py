"""Storage: where the core meets the backend. It encodes, commits and remembers the claim; the logbook is first to know.

Values are encoded when they arrive, before the core decides, and decoded when somebody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from flowbook.atoms.retry import HISTORY, Retry
from flowbook.engines.checking import checked
from flowbook.engines.commits import CommitPolicy, Waiting
from flowbook.engines.context import Outcome
from flowbook.engines.core.arguments import NotProvided, sources
from flowbook.engines.core.messages import ON_FAILURE, Ended, Start
from flowbook.engines.core.run import Round, Run
from flowbook.engines.options import SCHEMA
from flowbook.engines.results import UNCHANGING, Results, live
from flowbook.engines.secrecy import refuse_clear
from flowbook.exceptions import EncodeError, InvalidState, NotFound, StorageError, TooLarge
from flowbook.failure import Failure
from flowbook.flows.plan import Plan
from flowbook.garbage import uncollected
from flowbook.persistence import codec
from flowbook.persistence.backend import Backend, Claim, FlowRecords
from flowbook.persistence.changes import MISSING, Change, Inline, Put, Row
from flowbook.states import EXECUTE, Direction, FlowState

CURRENT = ("flow", "plan", "input", "injected", "atom", "history", "request")
"""The kinds of records that an engine enters a run with."""

NOTHING: Final = Inline(None, codec.encode(None))
"""The handle of what most atoms give; nobody writes to it."""

VALUES = ("result", "failure", "hook_failure", "revert_result", "revert_failure")
"""The fields of an atom's record that hold values."""


class Storage(Results):
    """The records of one run: what the engine writes through, and what its user reads results from.

    Writing is the engine's alone, between its entry to ``run()`` and its exit.
    """

    def __init__(self, backend: Backend, run_id: str, plan: Plan, policy: CommitPolicy = "each") -> None:
        self.backend = backend
        self.run_id = run_id
        self.key = f"flow:{run_id}"
        super().__init__(plan)
        self.claim: Claim | None = None
        self.commits = 0
        self._waiting = Waiting(policy)
        self.gathers = self._waiting.gathers  # a commit policy may let changes wait
        self._gathered: dict[str, Failure] = {}
        self._gathered_from: list[Inline] = []
        self._refused: dict[int, object] = {}  # results that could not be stored, for the atoms' own reverts

    # -- the engine's half --

    def read(self, kinds: Sequence[str] = CURRENT) -> FlowRecords | None:
        """Return what the logbook holds of this run (by default all but its history); None when it holds nothing.

        Raises Damaged and NewerSchema for records that no engine of this version writes so.
        """
        try:
            records = self.backend.load(self.run_id, kinds)
        except NotFound:
            return None
        return checked(records, self.backend.url, SCHEMA)

    @uncollected()
    def restore(self, records: FlowRecords, *, owner: str = "", window: int = 1) -> Run:
        """Build the run from its records; atoms match by name, those that the flow no longer has are left alone."""
        flow_row = next(iter(records.kind("flow").values()))
        self.failures_of_gone = {}
        self._gathered = {}
        self._refused.clear()
        run = self._run = Run(self.plan, flow_row, owner=owner, window=window)
        run.inputs = {name: as_inline(row["value"]) for name, row in records.kind("input").items()}
        index = self.plan.index
        run.injected = {
            index[name]: {symbol: as_inline(value) for symbol, value in row.items()}
            for name, row in records.kind("injected").items()
            if name in index
        }
        run.history = {
            index[name]: rounds_of(rows) for name, rows in records.appended.get("history", {}).items() if name in index
        }
        for name, row in records.kind("atom").items():
            node = index.get(name)
            handles = {key: as_inline(value) if key in VALUES else value for key, value in row.items()}
            if node is not None:
                run.restore(node, handles)
            elif "failure" in handles:
                self.failures_of_gone[name] = handles["failure"]
        return run

    def commit(self, changes: Sequence[Change]) -> None:
        """Write the changes of one decision, durably and at once, under the claim; a commit policy may let them wait.

        Whatever the policy, nothing waits once the flow is finished or suspended.
        """
        if self.claim is None:
            raise InvalidState("write", f"run {self.run_id!r} is not claimed")
        if self._waiting.gathers and self._run is not None:
            self._waiting.add(changes, self._run.now)
            if self._run.flow_state is FlowState.RUNNING and not self._waiting.is_due(self._run.now):
                return
            changes = self._waiting.take()
        if changes:
            self.claim = self.backend.commit(self.claim, changes)
            self.commits += 1
            if self._run is not None:
                self.recorded_state = self._run.flow_state

    @property
    def due_at(self) -> float | None:
        """When `commit` is to be called, be it with nothing new, for what waits; None when nothing presses."""
        return self._waiting.due_at

    def forget(self) -> None:
        """Let go of the run as this process knew it: only what was committed counts, until it is entered again.

        What a commit policy let wait is committed first, if that can be.
        """
        waited = self._waiting.take()
        self._run = None
        if waited and self.claim is not None:
            with suppress(StorageError):
                self.claim = self.backend.commit(self.claim, waited)
                self.commits += 1

    def encode(self, value: object, what: str) -> Inline:
        """Return the handle of a value, as `handle_of` makes it for the backend."""
        return handle_of(value, what, self.backend)

    def accept(self, start: Start, at: float, outcome: Outcome) -> Ended:
        """Return the message that an attempt ended, its value encoded; what cannot be stored is its failure."""
        value, failure, began_at = outcome
        executes = start.direction is EXECUTE
        if failure is None:
            try:
                result = self._encoded(start.node, value) if executes or value is not None else None
                absent = self.absent(start.node, value) if executes else None
                if self._refused:
                    self._refused.pop(start.node, None)
                return Ended(start, at, result=result, absent=absent, began_at=began_at)
            except (EncodeError, TooLarge) as error:
                failure = Failure.from_exception(error)
                if executes:
                    self._refused[start.node] = value
        return Ended(start, at, failure=self.encode(failure, "failure"), began_at=began_at)

    def _encoded(self, node: int, value: object) -> Inline:
        if value is None:
            return NOTHING
        if self.backend.keeps_references:
            return Inline(value)
        return self.encode(value, f"result of {self.plan.names[node]!r}")

    def put_inputs(self, inputs: Mapping[str, object]) -> list[Change]:
        """Return the changes that record inputs, and let the run read them. Raises EncodeError and TooLarge."""
        return [Put("input", name, {"value": self.encode(value, f"input {name!r}")}) for name, value in inputs.items()]

    def absent(self, node: int, value: object) -> frozenset[int | str] | None:
        """Return the provided parts that a result does not have; None when it has them all."""
        save_as = self.plan.atom(node).save_as
        if not save_as or (len(save_as) == 1 and None in save_as.values()):  # all of it under one name, as mostly
            return None
        lacking = [index for index in save_as.values() if index is not None and not _has(value, index)]
        return frozenset(lacking) if lacking else None

    def arguments(self, node: int, direction: Direction) -> dict[str, Any]:
        """Return what an attempt is called with, decoded. Raises NotProvided, and DecodeError for a foreign type."""
        plan = self.plan
        atom, executes = plan.atom(node), direction is EXECUTE
        if executes and node not in plan.execute_heads and node not in plan.failure_heads:
            return dict(atom.execute_inject)  # most atoms of a large flow
        arguments = self._fetched(node, direction, atom.execute_inject if executes else atom.revert_inject)
        if not executes:
            if "result" in atom.revert_takes:
                arguments["result"] = self._own_result(node)
            if "flow_failures" in atom.revert_takes:
                arguments["flow_failures"] = dict(self._flow_failures())
        if isinstance(atom, Retry) and (executes or HISTORY in atom.revert_takes):
            arguments[HISTORY] = self.history(node)
        return arguments

    def never_called(self, node: int) -> bool:
        """Return whether an atom failed because its arguments were not there: then there is nothing to revert."""
        handle = self.run.failure.get(node)
        failure = None if handle is None else live(handle)
        return isinstance(failure, Failure) and failure.check(NotProvided) is not None

    def arguments_on_failure(self, retry: Retry) -> dict[str, Any]:
        """Return what a retry is asked with, decoded. Raises NotProvided, and DecodeError for a foreign type."""
        node = self.plan.index[retry.name]
        return {**self._fetched(node, ON_FAILURE, retry.on_failure_inject), HISTORY: self.history(node)}

    def _fetched(self, node: int, method: Direction | str, injected: Mapping[str, object]) -> dict[str, Any]:
        fetched: dict[str, Any] = dict(injected) if injected else {}
        for name, handle, index in sources(self.run, node, method):
            value: Any = live(handle) if handle.live is MISSING else handle.live
            fetched[name] = value if index is None else value[index]  # `absent` saw to it
        return fetched

    def _flow_failures(self) -> Mapping[str, Failure]:
        """Return all failures so far, gathered when they have changed: a revert of many would gather them for each."""
        handles = [*self.run.failure.values(), *self.run.hook_failure.values()]
        if handles != self._gathered_from or not self._gathered:
            self._gathered, self._gathered_from = self.get_failures(), handles
        return self._gathered

    def _own_result(self, node: int) -> object:
        if node in self._refused:
            return self._refused[node]
        handle = self.run.failure.get(node) or self.run.result[node]
        return None if handle is None else live(handle)


def handle_of(value: object, what: str, backend: Backend) -> Inline:
    """Return the handle of a value, encoded unless the backend keeps live objects; a failure may be kept in brief.

    What was encoded and may change is not kept beside its text: whoever reads it gets what the logbook holds, the
    same before a crash and after. Raises EncodeError (for the text of a secret in clear, too) and TooLarge, which name
    ``what``.
    """
    if backend.keeps_references:
        return Inline(value)
    try:
        text = codec.encode(value, limit_bytes=backend.value_limit_bytes, what=what)
        refuse_clear(text, what)
    except (EncodeError, TooLarge):
        if not isinstance(value, Failure):
            raise
        text = codec.encode(value.brief())
    return Inline(value, text) if type(value) in UNCHANGING else Inline(text=text)


def rounds_of(rows: Sequence[Row]) -> list[Round]:
    """Return the rounds of a retry from its appended records: each begins with a result, failures follow it."""
    rounds: list[Round] = []
    for row in rows:
        if "result" in row:
            rounds.append(Round(as_inline(row["result"]), {}))
        elif rounds:
            rounds[-1].failures[row["atom"]] = as_inline(row["failure"])
    return rounds


def as_inline(value: Any) -> Inline:  # a row's field: a handle, or the JSON document that stands for one
    """Return the handle of a value as a backend gave it: undecoded."""
    return value if isinstance(value, Inline) else Inline(document=value)


def _has(value: Any, index: int | str) -> bool:
    try:
        value[index]
    except Exception:  # indexing may be the user's code
        return False
    return True
