"""What reaches the core from neither attempts nor hooks: wishes to suspend and to cancel, what tasks tell, the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowbook.engines.core import resolution, starting
from flowbook.engines.core.messages import Annotate, Cancel, Decision, Event, Message, Suspend, Woke
from flowbook.engines.core.run import PROGRESS, REASON, Run
from flowbook.flows.plan import ROOT
from flowbook.states import FlowEvent, FlowState


def _suspend(run: Run, message: Suspend, decision: Decision) -> None:
    run.now = message.at
    for start in reversed(message.withdrawn):
        starting.withdraw(run, start, decision)
    if run.flow_state is FlowState.RUNNING:
        resolution.move_flow(run, FlowEvent.SUSPEND, decision)
        if run.in_flight or run.asks:
            decision.changes.append(run.put_flow())


def _cancel(run: Run, message: Cancel, decision: Decision) -> None:
    """Revert all that was begun; nothing that was not is, and nobody is asked. What runs is ended or waited for."""
    run.now = message.at
    for start in reversed(message.withdrawn):
        starting.withdraw(run, start, decision)
    if run.broken or ROOT in run.reverting:
        return  # it comes to its end already
    run.flow_row[REASON] = message.reason
    run.asks.clear()
    run.wave = -1  # whatever is ready became so later than that
    if run.never_resolve:
        resolution.break_off(run, decision)
    else:
        resolution.resolve(run, ROOT, decision, retries=False)


def _annotate(run: Run, message: Annotate, decision: Decision) -> None:
    node = message.node
    if message.start is not None and not starting.is_current(run, message.start):
        return  # a late thread: its round or attempt is over
    run.metadata[node] = {**run.metadata.get(node, {}), **message.metadata}
    decision.changes.append(run.put(node))
    if run.listening and PROGRESS in message.metadata:
        decision.endings.append(Event(node, "PROGRESS", run.state[node], run.attempt[node]))


def _woke(run: Run, message: Woke, decision: Decision) -> None:
    run.now = message.at  # the step sees what may go on by then


RULES: dict[type[Message], Callable[[Run, Any, Decision], None]] = {
    Suspend: _suspend,
    Cancel: _cancel,
    Annotate: _annotate,
    Woke: _woke,
}
