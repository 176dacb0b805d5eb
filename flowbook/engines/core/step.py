"""The core: messages in, one decision out. It decides and does nothing else: no I/O, no time, no threads.

``step`` changes its own `Run` in place and says in the decision what that changed. A step costs the degree of the
atoms that it touches; a decision about a scope (a revert) costs the size of the scope, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowbook.engines.core import selection
from flowbook.engines.core.messages import Annotate, Begin, Decision, Ended, Event, Message, Start, Suspend
from flowbook.engines.core.run import Run
from flowbook.exceptions import InternalError
from flowbook.persistence.changes import Delete
from flowbook.states import (
    FINISHED,
    FLOW_TRANSITIONS,
    AtomEvent,
    AtomState,
    Direction,
    FlowEvent,
    FlowState,
    atom_after,
    flow_after,
)

EXECUTE, REVERT = Direction.EXECUTE, Direction.REVERT
UNDER_WAY = {EXECUTE: AtomState.RUNNING, REVERT: AtomState.REVERTING}
STARTING = {EXECUTE: AtomEvent.START, REVERT: AtomEvent.REVERT}
SUCCEEDING = {EXECUTE: AtomEvent.SUCCEED, REVERT: AtomEvent.REVERT_SUCCEED}
FAILING = {EXECUTE: AtomEvent.FAIL, REVERT: AtomEvent.REVERT_FAIL}


def step(run: Run, messages: Sequence[Message]) -> Decision:
    """Take in ``messages`` in their order and return the one decision that answers them all.

    When nothing is in flight any more after it, the flow has reached a state in which the run ends.
    """
    decision = Decision()
    for message in messages:
        _RULES[type(message)](run, message, decision)
    if run.flow_state is FlowState.RUNNING:
        _fill_slots(run, decision)
    if not run.in_flight:
        _settle(run, decision)
    return decision


def _begin(run: Run, message: Begin, decision: Decision) -> None:
    run.now = message.at
    selection.prepare(run)
    if (run.flow_state, FlowEvent.RECOVER) in FLOW_TRANSITIONS:
        _move_flow(run, FlowEvent.RECOVER, decision)
        _move_flow(run, FlowEvent.RECOVERED, decision)
    _move_flow(run, FlowEvent.BEGIN, decision)
    if AtomState.FAILURE in run.state and not run.reverting:
        selection.begin_revert(run)
    decision.changes.append(run.put_flow())


def _ended(run: Run, message: Ended, decision: Decision) -> None:
    start, run.now = message.start, message.at
    node, direction = start.node, start.direction
    old = run.state[node]
    current = (run.round.get(node, 0), _attempt(run, node, direction))
    if node not in run.in_flight or old is not UNDER_WAY[direction] or (start.round, start.attempt) != current:
        return  # a late thread or a second copy: its round or attempt is over
    failed = message.failure is not None
    event = (FAILING if failed else SUCCEEDING)[direction]
    state = run.state[node] = atom_after(old, event)
    run.in_flight.discard(node)
    if message.began_at is not None:
        run.started_at[node] = message.began_at
    _keep_outcome(run, message)
    decision.changes.append(run.put(node))
    decision.changes.append(run.attempt_ended(node, direction, "FAILURE" if failed else "SUCCESS", message.at))
    if run.listening:
        decision.endings.append(Event(node, state, old, start.attempt))
    _AFTER[event](run, node, decision)


def _keep_outcome(run: Run, message: Ended) -> None:
    node = message.start.node
    if message.start.direction is EXECUTE:
        if message.failure is not None:
            run.failure[node] = message.failure
        else:
            run.result[node] = message.result
            if message.absent:
                run.absent[node] = message.absent
    elif message.failure is not None:
        run.revert_failure[node] = message.failure
    elif message.result is not None:
        run.revert_result[node] = message.result


def _after_success(run: Run, node: int, decision: Decision) -> None:
    run.left -= 1
    if run.reverting:
        selection.revert_when_free(run, node)
    else:
        selection.release(run, node)


def _after_failure(run: Run, node: int, decision: Decision) -> None:
    if run.reverting:
        selection.revert_when_free(run, node)
    else:
        selection.begin_revert(run)
        decision.changes.append(run.put_flow())


def _after_revert(run: Run, node: int, decision: Decision) -> None:
    run.to_revert -= 1
    selection.unblock(run, node)


def _after_failed_revert(run: Run, node: int, decision: Decision) -> None:
    run.broken = True  # what is in flight or was interrupted ends; nothing more is started


def _suspend(run: Run, message: Suspend, decision: Decision) -> None:
    run.now = message.at
    for start in message.withdrawn:
        _withdraw(run, start, decision)
    if run.flow_state is FlowState.RUNNING:
        _move_flow(run, FlowEvent.SUSPEND, decision)
        if run.in_flight:
            decision.changes.append(run.put_flow())


def _withdraw(run: Run, start: Start, decision: Decision) -> None:
    node, executes = start.node, start.direction is EXECUTE
    run.in_flight.discard(node)
    if executes:
        run.state[node] = atom_after(run.state[node], AtomEvent.WITHDRAW)
        run.attempt[node] -= 1
        selection.enqueue(run, [node])  # still due, also when a failure comes before the flow is drained
    else:
        run.state[node] = AtomState.FAILURE if node in run.failure else AtomState.SUCCESS
        run.revert_attempt[node] -= 1
    untouched = executes and not run.attempt[node] and node not in run.round and node not in run.metadata
    decision.changes.append(Delete("atom", run.plan.names[node]) if untouched else run.put(node))


def _annotate(run: Run, message: Annotate, decision: Decision) -> None:
    run.metadata[message.node] = {**run.metadata.get(message.node, {}), **message.metadata}
    decision.changes.append(run.put(message.node))


def _fill_slots(run: Run, decision: Decision) -> None:
    while len(run.in_flight) < run.window and (run.due or run.undo):
        direction, queue = (EXECUTE, run.due) if run.due else (REVERT, run.undo)
        node = queue.popleft()
        run.queued.discard(node)
        if not run.broken or run.state[node] is UNDER_WAY[direction]:
            _start(run, node, direction, decision)


def _start(run: Run, node: int, direction: Direction, decision: Decision) -> None:
    old = run.state[node]
    if old is UNDER_WAY[direction]:
        decision.changes.append(run.attempt_ended(node, direction, "INTERRUPTED", None))
    if direction is EXECUTE:
        run.attempt[node] = attempt = run.attempt[node] + 1
    else:
        run.revert_attempt[node] = attempt = run.revert_attempt.get(node, 0) + 1
    state = run.state[node] = atom_after(old, STARTING[direction])
    run.started_at[node] = run.now
    run.in_flight.add(node)
    decision.changes.append(run.put(node))
    decision.starts.append(Start(node, direction, run.round.get(node, 0), attempt))
    if run.listening:
        decision.startings.append(Event(node, state, old, attempt))


def _settle(run: Run, decision: Decision) -> None:
    """Nothing is in flight: say how the run ends."""
    if run.flow_state in FINISHED or run.flow_state is FlowState.SUSPENDED:
        return
    if run.broken and not selection.has_interrupted(run):
        event = FlowEvent.FAIL
    elif run.reverting and not run.to_revert:
        event = FlowEvent.REVERT
    elif not run.reverting and not run.left:
        event = FlowEvent.FINISH
    elif run.flow_state is FlowState.SUSPENDING:
        event = FlowEvent.DRAIN
    else:
        raise InternalError(f"{run.plan.flow_name!r} has {run.left} atoms left and nothing that may start")
    _move_flow(run, event, decision)
    if run.flow_state in FINISHED:
        run.flow_row.pop("due", None)
    decision.changes.append(run.put_flow())


def _move_flow(run: Run, event: FlowEvent, decision: Decision) -> None:
    old = run.flow_state
    run.flow_state = flow_after(old, event)
    if run.listening:
        decision.endings.append(Event(None, run.flow_state, old))


def _attempt(run: Run, node: int, direction: Direction) -> int:
    return run.attempt[node] if direction is EXECUTE else run.revert_attempt.get(node, 0)


_AFTER: dict[AtomEvent, Callable[[Run, int, Decision], None]] = {
    AtomEvent.SUCCEED: _after_success,
    AtomEvent.FAIL: _after_failure,
    AtomEvent.REVERT_SUCCEED: _after_revert,
    AtomEvent.REVERT_FAIL: _after_failed_revert,
}

_RULES: dict[type[Message], Callable[[Run, Any, Decision], None]] = {
    Begin: _begin,
    Ended: _ended,
    Suspend: _suspend,
    Annotate: _annotate,
}
