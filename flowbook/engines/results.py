"""Results: what a user may read of a run, by names and symbols, decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flowbook.atoms.history import History
from flowbook.clock import to_text
from flowbook.engines.core.arguments import nearest
from flowbook.engines.core.run import PROGRESS, READABLE, REASON, Run
from flowbook.engines.errors import FlowCancelled, FlowTimedOut
from flowbook.exceptions import InvalidState, NotFound, NotPossible
from flowbook.failure import Failure, WrappedFailure
from flowbook.flows.plan import Plan
from flowbook.flows.scopes import Provider
from flowbook.persistence import codec
from flowbook.persistence.changes import MISSING, Inline
from flowbook.states import FINISHED, AtomState, FlowState

CANCELLED, TIMED_OUT = "CANCELLED", "TIMED_OUT"
"""Why a flow is cancelled, in its record: somebody wished it, or its time has passed."""


class Results:
    """What a run has given so far, as this process knows it. Reading needs no claim."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.failures_of_gone: dict[str, Inline] = {}  # of atoms that are recorded, and no longer in the flow
        self.recorded_state = FlowState.PENDING  # what the logbook said before the run was entered
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        """The state of the run as this process knows it. Raises InvalidState before there is any."""
        if self._run is None:
            raise InvalidState("read the results", "the run has not been entered")
        return self._run

    def get_flow_state(self) -> FlowState:
        """Return the state of the flow: as this process knows it, before that as it was recorded."""
        return self.recorded_state if self._run is None else self._run.flow_state

    def get_atom_state(self, name: str) -> AtomState:
        """Return the state of an atom. Raises NotFound."""
        return self.run.state[self._node(name)]

    def get(self, name: str) -> Any:  # whatever the task returned
        """Return the result of an atom, or its Failure. Raises NotFound when it has neither, or was reverted."""
        node = self._node(name)
        handle = self.run.failure.get(node)
        if handle is None and self.run.state[node] in READABLE:
            handle = self.run.result[node]
        if handle is None:
            raise NotFound("result of atom", name)
        return live(handle)

    def get_revert_result(self, name: str) -> Any:  # whatever revert returned
        """Return what the revert of an atom returned, or its Failure. Raises NotFound when it has neither."""
        node = self._node(name)
        handle = self.run.revert_failure.get(node) or self.run.revert_result.get(node)
        if handle is None:
            raise NotFound("result of reverting", name)
        return live(handle)

    def get_metadata(self, name: str) -> dict[str, Any]:
        """Return what was recorded beside an atom, its ``progress`` too where it told some. Raises NotFound."""
        return dict(self.run.metadata.get(self._node(name), {}))

    def get_progress(self, name: str) -> float:
        """Return how far an atom is, from 0.0 to 1.0, which is SUCCESS. Raises NotFound."""
        node = self._node(name)
        if self.run.state[node] is AtomState.SUCCESS:
            return 1.0
        told = self.run.metadata.get(node, {}).get(PROGRESS, 0.0)
        return told if isinstance(told, float) else 0.0

    def get_failures(self) -> dict[str, Failure]:
        """Return the failures of execution by atom, in the order recorded; atoms that the flow no longer has first."""
        gone = {name: _failure(handle) for name, handle in self.failures_of_gone.items()}
        return gone | self._failures(self.run.failure) | self._failures(self.run.hook_failure)

    def get_revert_failures(self) -> dict[str, Failure]:
        """Return the failures of reverting by atom."""
        return self._failures(self.run.revert_failure)

    def get_retry_history(self, name: str) -> History:
        """Return what a retry gave in each round, and which failures came of it. Raises NotFound and NotPossible."""
        node = self._node(name)
        if node not in self.plan.failure_heads:
            raise NotPossible(f"{name!r} is no retry: it has no history")
        return self.history(node)

    def history(self, node: int) -> History:
        """Return the history of a retry, decoded."""
        rounds = [
            (None if result is None else live(result), {name: _failure(handle) for name, handle in failures.items()})
            for result, failures in self.run.history.get(node, ())
        ]
        failure = self.run.failure.get(node)
        return History(rounds, None if failure is None else _failure(failure))

    def fetch(self, symbol: str) -> Any:  # whatever was given
        """Return what a symbol stands for: an input, else what the first atom that provides it gave.

        Raises NotFound when nobody has given it.
        """
        values = self._values(symbol)
        if not values:
            raise NotFound("value of", symbol, [*self.run.inputs, *self.plan.providers])
        return values[0]

    def fetch_all(self) -> dict[str, Any]:
        """Return every symbol that has a value: the value, or a list of them when several atoms gave one."""
        everything: dict[str, Any] = {}
        for symbol in dict.fromkeys([*self.run.inputs, *self.plan.providers]):
            values = self._values(symbol)
            if values:
                everything[symbol] = values[0] if len(values) == 1 else values
        return everything

    def raise_failures(self) -> None:
        """Raise what made the flow fail or revert; nothing after SUCCESS, or before the run has ended.

        That is the exception itself when it is one and happened in this process, else a WrappedFailure. Of a flow that
        was cancelled it is FlowCancelled or FlowTimedOut, caused by what failed while it was reverted.
        """
        state = self.get_flow_state()
        if state not in FINISHED or state is FlowState.SUCCESS:
            return
        failures, reverts = self.get_failures(), self.get_revert_failures()
        if self.reason:
            whose, deadline = self.run.flow_row["id"], self.run.flow_row.get("deadline", 0.0)
            error = FlowTimedOut(whose, to_text(deadline)) if self.reason == TIMED_OUT else FlowCancelled(whose)
            raise error from (WrappedFailure(_of_reverts(reverts)) if reverts else None)
        if len(failures) == 1 and not reverts:
            (failure,) = failures.values()
            if failure.exception is not None:
                raise failure.exception
        raise WrappedFailure({**failures, **_of_reverts(reverts)})

    @property
    def reason(self) -> str:
        """Why the flow is cancelled: CANCELLED, TIMED_OUT, or nothing."""
        return "" if self._run is None else str(self._run.flow_row.get(REASON, ""))

    def _failures(self, handles: Mapping[int, Inline]) -> dict[str, Failure]:
        return {self.plan.names[node]: _failure(handle) for node, handle in tuple(handles.items())}

    def _values(self, symbol: str) -> list[object]:
        run = self.run
        values = [live(run.inputs[symbol])] if symbol in run.inputs else []
        for node, index in self.plan.providers.get(symbol, ()):
            if nearest(run, Provider(node, index, None)) is not None:
                whole: Any = live(run.result[node] or Inline(None))
                values.append(whole if index is None else whole[index])  # `nearest` saw to it
        return values

    def _node(self, name: str) -> int:
        try:
            return self.plan.index[name]
        except KeyError:
            raise NotFound("atom", name, self.plan.index) from None


def _of_reverts(failures: Mapping[str, Failure]) -> dict[str, Failure]:
    return {f"{name} (revert)": failure for name, failure in failures.items()}


UNCHANGING: Final = frozenset({type(None), bool, int, float, str, bytes, Failure})
"""Types whose values nobody can change: they are decoded once, all others for each reader."""


def live(handle: Inline) -> Any:  # whatever a task or user gave
    """Return the value of a handle: the live object, or one that is decoded for this reader alone.

    Raises DecodeError and Damaged.
    """
    if handle.live is not MISSING:
        return handle.live
    value = codec.decode_document(handle.document) if handle.text is None else codec.decode(handle.text)
    if type(value) in UNCHANGING:
        handle.live = value
    return value


def _failure(handle: Inline) -> Failure:
    failure = live(handle)
    assert isinstance(failure, Failure)  # nothing else is written there
    return failure
