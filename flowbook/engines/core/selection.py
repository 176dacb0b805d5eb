"""What may start next: counters and queues, never a search. A node costs its degree, a scope its size, once."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Container, Set

from flowbook.engines.core.messages import DECIDE, Ask
from flowbook.engines.core.run import Run
from flowbook.flows.plan import ROOT
from flowbook.states import UNFINISHED_ATOMS, AtomState

DONE = frozenset({AtomState.SUCCESS, AtomState.IGNORE})
TOUCHED = frozenset({AtomState.RUNNING, AtomState.SUCCESS, AtomState.FAILURE, AtomState.REVERTING})
"""States in which an atom stands in the way of its predecessors' reverting."""

TO_EXECUTE = frozenset({AtomState.PENDING, AtomState.RUNNING, AtomState.RETRYING})
"""States in which a queued atom is to be executed."""

TO_REVERT = frozenset({AtomState.SUCCESS, AtomState.FAILURE, AtomState.REVERTING})
"""States in which a queued atom is to be reverted."""


def prepare(run: Run) -> None:
    """Fill the counters and queues from the states that the records left: O(flow), once an entry."""
    plan, state = run.plan, run.state
    run.broken = AtomState.REVERT_FAILURE in state or (run.never_resolve and AtomState.FAILURE in state)
    due = {plan.index.get(name) for reverting in run.reverting.values() for name in reverting.due}
    due.update(plan.index.get(name) for name in run.owed)
    ready: list[int] = []
    for node, atom in enumerate(plan.atoms):
        run.left -= atom is not None and state[node] in DONE
        if run.waiting[node]:
            continue
        if atom is None:
            state[node] = AtomState.SUCCESS
        if state[node] in DONE:
            for successor in plan.successors[node]:
                run.waiting[successor] -= 1
        elif state[node] in (AtomState.RUNNING, AtomState.RETRYING) or (
            state[node] is AtomState.PENDING and (node in due or reverting_scope(run, node) is None)
        ):
            ready.append(node)
    if run.broken:
        _queue_the_last(run)
        return
    ready.sort(key=lambda node: state[node] is not AtomState.RUNNING)  # the interrupted were started before others
    enqueue(run, ready, decided=due)
    run.queued.update((node, run.wave) for node in due if node in run.queued)
    for scope in sorted(run.reverting):
        plan_reverts(run, scope)


def _queue_the_last(run: Run) -> None:
    """Queue what is still to end in a flow that has failed: what was interrupted, and what was to be started."""
    due, undo = set(run.flow_row.get("due", ())), set(run.flow_row.get("undo", ()))
    for states, names in ((TO_EXECUTE, due), (TO_REVERT, undo)):
        for node, state in enumerate(run.state):
            if state in states and (state in UNFINISHED_ATOMS or run.plan.names[node] in names):
                _queue(run, node)


def enqueue(run: Run, nodes: list[int], decided: Container[int | None] = ()) -> None:
    """Queue nodes that became ready together, higher priorities first, else in their order.

    Those that deciders vote on are queued when that is decided, unless it was already.
    """
    if run.broken:
        return
    if run.plan.votes:
        asked = [n for n in nodes if n in run.plan.votes and run.state[n] is AtomState.PENDING and n not in decided]
        run.asks.extend(Ask(node, DECIDE, run.wave) for node in by_priority(run, asked))
        nodes = [node for node in nodes if node not in asked]
    for node in by_priority(run, nodes):
        _queue(run, node)


def _queue(run: Run, node: int) -> None:
    run.queue.append(node)
    run.queued[node] = run.wave + 1


def drop_later(run: Run, first: int, end: int) -> None:
    """Take out of the queue what is to be executed between two nodes and became ready later than the present wave."""
    later = {
        node
        for node, wave in run.queued.items()
        if wave > run.wave and first <= node < end and run.state[node] is AtomState.PENDING
    }
    _drop(run, later)


def forget_queued(run: Run, first: int, end: int) -> None:
    """Take all between two nodes out of the queue: an owner that stopped half way had left it so."""
    _drop(run, {node for node in run.queued if first <= node < end})


def break_off(run: Run) -> None:
    """End the flow as soon as all of the present wave has ended.

    Nothing that became ready later is started, and nothing more becomes ready.
    """
    run.broken = True
    run.asks.clear()
    _drop(
        run, {node for node, wave in run.queued.items() if wave > run.wave and run.state[node] not in UNFINISHED_ATOMS}
    )


def wanted(run: Run, states: Set[AtomState], first: int = 0, end: int = sys.maxsize) -> list[str]:
    """Return the names of what is in flight, or queued and not of a later wave, between two nodes in these states."""
    nodes = [*run.in_flight, *(node for node, wave in run.queued.items() if wave <= run.wave)]
    return [run.plan.names[node] for node in sorted(nodes) if first <= node < end and run.state[node] in states]


def _drop(run: Run, nodes: Set[int]) -> None:
    if nodes:
        run.queue = deque(node for node in run.queue if node not in nodes)
        for node in nodes:
            del run.queued[node]


def reverting_scope(run: Run, node: int) -> int | None:
    """Return the scope that reverts a node, its own or one around it; None when nothing does.

    A retry stands outside of what a new round of its own scope reverts.
    """
    if not run.reverting:
        return None
    scopes, scope = run.plan.scopes, run.plan.scope_of[node]
    while True:
        reverting = run.reverting.get(scope)
        if reverting is not None and not (reverting.retries and scopes[scope].retry == node):
            return scope
        if scope == ROOT:
            return None
        scope = scopes[scope].parent


def release(run: Run, node: int) -> None:
    """Count a node as done for its successors; queue those that thereby became ready.

    Marks are passed at once, and so are atoms that are done already: those that a changed flow put behind new ones.
    """
    plan, waiting, state = run.plan, run.waiting, run.state
    ready: list[int] = []
    done = [node]
    for source in done:
        for successor in plan.successors[source]:
            waiting[successor] -= 1
            if waiting[successor] == 0:
                if plan.atoms[successor] is None:
                    state[successor] = AtomState.SUCCESS
                if state[successor] in DONE:
                    done.append(successor)
                else:
                    ready.append(successor)
    if ready:
        enqueue(run, ready)


def plan_reverts(run: Run, scope: int) -> None:
    """Count who is in whose way within a scope that is to be reverted, anew, and queue those who are free."""
    plan, blocking = run.plan, run.blocking
    reverting, first, end = run.reverting[scope], plan.scopes[scope].first, plan.scopes[scope].end
    first += reverting.retries
    # Interrupted atoms that a changed flow put behind new ones: the new ones are not run any more.
    enqueue(run, [node for node in range(first, end) if _is_left_behind(run, node)])
    for node in range(first, end):
        blocking.pop(node, None)
    reverting.left = 0
    free: list[int] = []
    for node in range(end - 1, first - 1, -1):  # successors first: a node's count is whole when it is reached
        touched = _is_touched(run, node)
        reverting.left += touched and plan.atoms[node] is not None
        if touched and blocking.setdefault(node, 0) == 0:
            free.append(node)
        elif node not in blocking:
            continue
        for predecessor in plan.predecessors[node]:
            if predecessor >= first:
                blocking[predecessor] = blocking.get(predecessor, 0) + 1
    for node in by_priority(run, free):
        revert_when_free(run, node)
    if not reverting.left:
        passed(run, scope)


def passed(run: Run, scope: int) -> None:
    """Take note that reverting has reached every atom of a scope: its retry is queued, if a new round is wanted."""
    retry = run.plan.scopes[scope].retry
    if run.reverting[scope].retries and retry is not None and retry not in run.queued and not run.broken:
        _queue(run, retry)


def awaits_round(run: Run, node: int) -> bool:
    """Return whether a queued node is a retry whose scope was reverted for a new round, which its start begins."""
    if not run.reverting or run.state[node] is not AtomState.SUCCESS:
        return False
    scope = run.plan.scope_of[node]
    reverting = run.reverting.get(scope)
    return reverting is not None and reverting.retries and run.plan.scopes[scope].retry == node


def revert_when_free(run: Run, node: int) -> None:
    """Queue a node for reverting when nothing behind it is in the way and it is not under way itself.

    Marks, and what a changed flow put in between and was never run, are passed at once.
    """
    free = [] if run.broken or run.blocking[node] else [node]
    for source in free:
        if run.plan.atoms[source] is None or not _is_touched(run, source):
            free += _unblocked(run, source)
        elif source not in run.in_flight and source not in run.queued:
            _queue(run, source)


def unblock(run: Run, node: int) -> None:
    """Take a reverted node out of its predecessors' way."""
    for predecessor in _unblocked(run, node):
        revert_when_free(run, predecessor)


def _is_touched(run: Run, node: int) -> bool:
    return run.state[node] in TOUCHED or node in run.queued


def _is_left_behind(run: Run, node: int) -> bool:
    is_interrupted = run.state[node] is AtomState.RUNNING and node not in run.in_flight
    return is_interrupted and bool(run.waiting[node]) and node not in run.queued


def _unblocked(run: Run, node: int) -> list[int]:
    """Count a node as passed by reverting; return the predecessors that it was the last to block."""
    free: list[int] = []
    for predecessor in reversed(run.plan.predecessors[node]):  # later ones first, as when reverting is planned
        if predecessor in run.blocking:  # else it lies outside of what is reverted
            run.blocking[predecessor] -= 1
            if run.blocking[predecessor] == 0:
                free.append(predecessor)
    return by_priority(run, free)


def by_priority(run: Run, nodes: list[int]) -> list[int]:
    """Return nodes with higher priorities first, else in their order."""
    priorities = run.plan.priorities
    return sorted(nodes, key=lambda node: -priorities.get(node, 0)) if priorities else nodes
