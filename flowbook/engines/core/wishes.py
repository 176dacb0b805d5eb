"""What reaches the core from outside of attempts and hooks: a wish to suspend, what a task tells, and the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowbook.engines.core import resolution, starting
from flowbook.engines.core.messages import Annotate, Decision, Event, Message, Suspend, Woke
from flowbook.engines.core.run import PROGRESS, Run
from flowbook.states import FlowEvent, FlowState


def _suspend(run: Run, message: Suspend, decision: Decision) -> None:
    run.now = message.at
    for start in reversed(message.withdrawn):
        starting.withdraw(run, start, decision)
    if run.flow_state is FlowState.RUNNING:
        resolution.move_flow(run, FlowEvent.SUSPEND, decision)
        if run.in_flight or run.asks:
            decision.changes.append(run.put_flow())


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
    Annotate: _annotate,
    Woke: _woke,
}
