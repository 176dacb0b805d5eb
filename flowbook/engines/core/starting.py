"""Starting: what is queued goes out as slots become free, and comes back when a wish to suspend came first."""

from __future__ import annotations

from flowbook.engines.core import resolution, selection
from flowbook.engines.core.messages import Decision, Event, Start
from flowbook.engines.core.run import Run
from flowbook.persistence.changes import Delete
from flowbook.states import EXECUTE, REVERT, AtomEvent, AtomState, Direction, FlowState, atom_after

UNDER_WAY = {EXECUTE: AtomState.RUNNING, REVERT: AtomState.REVERTING}
STARTING = {EXECUTE: AtomEvent.START, REVERT: AtomEvent.REVERT}
SUCCEEDING = {EXECUTE: AtomEvent.SUCCEED, REVERT: AtomEvent.REVERT_SUCCEED}
FAILING = {EXECUTE: AtomEvent.FAIL, REVERT: AtomEvent.REVERT_FAIL}
_RUNNING = FlowState.RUNNING


def fill_slots(run: Run, decision: Decision, *, may_begin_rounds: bool) -> None:
    """Start what is queued as far as the window allows, in its order; what a full executor holds back lets others by.

    Nothing is started unless the flow is RUNNING.
    A new round begins in a step of its own, so that what led there is told, and a wish to suspend heard, before it.
    """
    if run.flow_state is not _RUNNING:
        return
    windows = run.windows
    while run.queued and len(run.in_flight) < run.window:
        node = run.queue.popleft() if windows is None else windows.take(run.queue, run.queued)
        if node is None:  # all that is left waits for full executors
            return
        if node not in run.queued:  # not meant any more
            continue
        if run.reverting and selection.awaits_round(run, node):
            if not may_begin_rounds:
                run.queue.appendleft(node)
                decision.goes_on = True
                return
            resolution.begin_round(run, run.plan.scope_of[node], decision)
        run.queued.discard(node)
        _start(run, node, EXECUTE if run.state[node] in selection.TO_EXECUTE else REVERT, decision)
        if windows is not None:
            windows.started(node)


def is_current(run: Run, start: Start) -> bool:
    """Return whether this is the attempt that its atom is in: neither withdrawn nor of another round."""
    node, direction = start.node, start.direction
    if node not in run.in_flight or run.state[node] is not UNDER_WAY[direction]:
        return False
    attempt = run.attempt[node] if direction is EXECUTE else run.revert_attempt.get(node, 0)
    return start.attempt == attempt and start.round == run.round.get(node, 0)


def withdraw(run: Run, start: Start, decision: Decision) -> None:
    """Lead an atom back to what it was before its start; it stays queued, should the flow not be suspended after all.

    Nobody is told: nobody was told of the start.
    """
    node, executes = start.node, start.direction is EXECUTE
    run.in_flight.discard(node)
    if run.windows is not None:
        run.windows.ended(node)
    if executes:
        had_rounds = run.history.get(node)  # of a retry
        run.state[node] = AtomState.RETRYING if had_rounds else atom_after(run.state[node], AtomEvent.WITHDRAW)
        run.attempt[node] -= 1
    else:
        run.state[node] = AtomState.FAILURE if node in run.failure else AtomState.SUCCESS
        run.left -= run.state[node] is AtomState.SUCCESS
        run.revert_attempt[node] -= 1
    run.queue.appendleft(node)
    run.queued.add(node)
    untouched = executes and not run.attempt[node] and node not in run.round and node not in run.metadata
    decision.changes.append(Delete("atom", run.plan.names[node]) if untouched else run.put(node))


def _start(run: Run, node: int, direction: Direction, decision: Decision) -> None:
    old = run.state[node]
    if old is UNDER_WAY[direction]:
        decision.changes.append(run.attempt_ended(node, direction, "INTERRUPTED", None))
    if direction is EXECUTE:
        run.attempt[node] = attempt = run.attempt[node] + 1
    else:
        run.left += old is AtomState.SUCCESS
        run.revert_attempt[node] = attempt = run.revert_attempt.get(node, 0) + 1
    state = run.state[node] = atom_after(old, STARTING[direction])
    run.started_at[node] = run.now
    run.in_flight.add(node)
    decision.changes.append(run.put(node))
    decision.starts.append(Start(node, direction, run.round.get(node, 0), attempt))
    if run.listening:
        decision.startings.append(Event(node, state, old, attempt))
