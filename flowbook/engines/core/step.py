"""The core: messages in, one decision out. It decides and does nothing else: no I/O, no time, no threads.

``step`` changes its own `Run` in place and says in the decision what that changed. A step costs the degree of the
atoms that it touches; a decision about a scope (a revert, a new round) costs the size of the scope, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowbook.engines.core import deciding, resolution, selection, starting, wishes
from flowbook.engines.core.messages import DECIDE, Answered, Begin, Decision, Ended, Event, Message
from flowbook.engines.core.run import Run
from flowbook.exceptions import InternalError
from flowbook.states import FINISHED, FLOW_TRANSITIONS, AtomEvent, AtomState, FlowEvent, FlowState, atom_after


def step(run: Run, messages: Sequence[Message]) -> Decision:
    """Take in ``messages`` in their order and return the one decision that answers them all.

    When nothing is in flight or parked any more after it, the flow has reached a state in which the run ends.
    """
    decision = Decision()
    for message in messages:
        _RULES[type(message)](run, message, decision)
    if run.parked:
        selection.wake(run)
    while run.asks and decision.ask is None and not run.broken:
        ask = run.asks.popleft()
        (deciding if ask.question == DECIDE else resolution).put_question(run, ask, decision)
    if decision.ask is None:
        starting.fill_slots(run, decision, may_begin_rounds=not messages)
        if not run.in_flight and not decision.goes_on:
            _settle(run, decision)
    return decision


def _begin(run: Run, message: Begin, decision: Decision) -> None:
    run.now = message.at
    resolution.cover(run)
    selection.prepare(run)
    if (run.flow_state, FlowEvent.RECOVER) in FLOW_TRANSITIONS:
        resolution.move_flow(run, FlowEvent.RECOVER, decision)
        resolution.move_flow(run, FlowEvent.RECOVERED, decision)
    resolution.move_flow(run, FlowEvent.BEGIN, decision)
    decision.changes.append(run.put_flow())
    if AtomState.RETRYING in run.state and not run.broken:
        resolution.begin_left_rounds(run, decision)
    if AtomState.FAILURE in run.state and not run.broken:
        resolution.judge_again(run, decision)


def _ended(run: Run, message: Ended, decision: Decision) -> None:
    start, run.now = message.start, message.at
    node, direction = start.node, start.direction
    old = run.state[node]
    if not starting.is_current(run, start):
        return  # a late thread or a second copy: its round or attempt is over
    failed = message.failure is not None
    event = (starting.FAILING if failed else starting.SUCCEEDING)[direction]
    state = run.state[node] = atom_after(old, event)
    run.in_flight.discard(node)
    if run.windows is not None:
        run.windows.ended(node)
    run.wave = selection.ending_wave(run, node) if run.reverting else run.wave_of[node]
    if message.began_at is not None:
        run.started_at[node] = message.began_at
    run.keep_outcome(message)
    decision.changes.append(run.put(node))
    decision.changes.append(run.attempt_ended(node, direction, "FAILURE" if failed else "SUCCESS", message.at))
    if run.listening:
        decision.endings.append(Event(node, state, old, start.attempt))
    _AFTER[event](run, node, decision)


def _after_success(run: Run, node: int, decision: Decision) -> None:
    run.left -= 1
    if node in run.plan.failure_heads:  # a retry
        resolution.remember(run, node, run.result[node], decision)
    if run.reverting and selection.reverting_scope(run, node) is not None:
        selection.revert_when_free(run, node)
    else:
        selection.release(run, node)


def _after_failure(run: Run, node: int, decision: Decision) -> None:
    if selection.reverting_scope(run, node) is not None:
        selection.revert_when_free(run, node)
    if not run.broken:
        resolution.judge(run, node, decision)


def _after_revert(run: Run, node: int, decision: Decision) -> None:
    resolution.forget_history(run, node, decision)
    selection.unblock(run, node)
    scope = selection.reverting_scope(run, node)
    if scope is not None:
        run.reverting[scope].left -= 1
        if not run.reverting[scope].left:
            selection.passed(run, scope)


def _after_failed_revert(run: Run, node: int, decision: Decision) -> None:
    resolution.break_off(run, decision)


def _answered(run: Run, message: Answered, decision: Decision) -> None:
    run.now, run.wave = message.at, message.ask.wave
    (deciding if message.ask.question == DECIDE else resolution).answered(run, message, decision)


def _settle(run: Run, decision: Decision) -> None:
    """Nothing is in flight: say how the run ends, if nothing is parked either."""
    if run.flow_state in FINISHED or run.flow_state is FlowState.SUSPENDED:
        return
    is_over = not run.queued and selection.next_waking(run) is None
    if run.broken and is_over:
        event = FlowEvent.FAIL
    elif is_over and run.reverting:
        event = FlowEvent.REVERT
    elif is_over and not run.left:
        event = FlowEvent.FINISH
    elif run.flow_state is FlowState.SUSPENDING:
        event = FlowEvent.DRAIN
    elif not (run.queued or is_over):
        return
    else:
        raise InternalError(f"{run.plan.flow_name!r} has {run.left} atoms left and nothing that may start")
    resolution.move_flow(run, event, decision)
    if run.flow_state in FINISHED:
        for field in ("last_wave", "due", "undo"):
            run.flow_row.pop(field, None)
    decision.changes.append(run.put_flow())


_AFTER: dict[AtomEvent, Callable[[Run, int, Decision], None]] = {
    AtomEvent.SUCCEED: _after_success,
    AtomEvent.FAIL: _after_failure,
    AtomEvent.REVERT_SUCCEED: _after_revert,
    AtomEvent.REVERT_FAIL: _after_failed_revert,
}

_RULES: dict[type[Message], Callable[[Run, Any, Decision], None]] = {
    Begin: _begin,
    Ended: _ended,
    Answered: _answered,
    **wishes.RULES,
}
