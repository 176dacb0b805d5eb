"""What may start next: counters and queues, never a search. A node costs its degree, a scope its size, once."""

from __future__ import annotations

from flowbook.engines.core.run import Run
from flowbook.states import UNFINISHED_ATOMS, AtomState, Intention

DONE = frozenset({AtomState.SUCCESS, AtomState.IGNORE})
TOUCHED = frozenset({AtomState.RUNNING, AtomState.SUCCESS, AtomState.FAILURE, AtomState.REVERTING})
"""States in which an atom stands in the way of its predecessors' reverting."""


def prepare(run: Run) -> None:
    """Fill the counters and queues from the states that the records left: O(flow), once an entry."""
    plan, state = run.plan, run.state
    run.broken = AtomState.REVERT_FAILURE in state
    pending_due = {plan.index[name] for name in run.flow_row.get("due", ()) if name in plan.index}
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
        elif state[node] is AtomState.RUNNING or (
            state[node] is AtomState.PENDING and (not run.reverting or node in pending_due)
        ):
            ready.append(node)
    ready.sort(key=lambda node: state[node] is not AtomState.RUNNING)  # the interrupted were started before others
    enqueue(run, ready)
    if run.reverting:
        _plan_reverts(run)


def enqueue(run: Run, nodes: list[int]) -> None:
    """Queue nodes that became ready together, higher priorities first, else in their order."""
    nodes = _by_priority(run, nodes)
    run.due.extend(nodes)
    run.queued.update(nodes)


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


def begin_revert(run: Run) -> None:
    """Turn the whole flow to reverting; what is queued or running is still finished, then reverted as well."""
    run.reverting = True
    run.flow_row["intention"] = Intention.REVERT.value
    run.flow_row["due"] = [  # a start that is withdrawn leaves no other trace
        run.plan.names[node] for node, state in enumerate(run.state) if state is AtomState.RUNNING or node in run.queued
    ]
    _plan_reverts(run)


def _plan_reverts(run: Run) -> None:
    plan, state, blocking = run.plan, run.state, run.blocking
    # Interrupted atoms that a changed flow put behind new ones: the new ones are not run any more.
    enqueue(run, [node for node, at in enumerate(state) if at is AtomState.RUNNING and run.waiting[node]])
    free: list[int] = []
    for node in range(len(plan.names) - 1, -1, -1):  # successors first: a node's count is whole when it is reached
        touched = _is_touched(run, node)
        run.to_revert += touched and plan.atoms[node] is not None
        if touched and blocking.setdefault(node, 0) == 0:
            free.append(node)
        elif node not in blocking:
            continue
        for predecessor in plan.predecessors[node]:
            blocking[predecessor] = blocking.get(predecessor, 0) + 1
    for node in _by_priority(run, free):
        revert_when_free(run, node)


def revert_when_free(run: Run, node: int) -> None:
    """Queue a node for reverting when nothing behind it is in the way and it is not under way itself.

    Marks, and what a changed flow put in between and was never run, are passed at once.
    """
    free = [] if run.blocking[node] else [node]
    for source in free:
        if run.plan.atoms[source] is None or not _is_touched(run, source):
            free += _unblocked(run, source)
        elif run.state[source] is not AtomState.RUNNING and source not in run.queued:
            run.undo.append(source)


def unblock(run: Run, node: int) -> None:
    """Take a reverted node out of its predecessors' way."""
    for predecessor in _unblocked(run, node):
        revert_when_free(run, predecessor)


def has_interrupted(run: Run) -> bool:
    """Return whether an attempt that an earlier owner left has still to be made again."""
    return any(run.state[node] in UNFINISHED_ATOMS for node in (*run.due, *run.undo))


def _is_touched(run: Run, node: int) -> bool:
    return run.state[node] in TOUCHED or node in run.queued


def _unblocked(run: Run, node: int) -> list[int]:
    """Count a node as passed by reverting; return the predecessors that it was the last to block."""
    free: list[int] = []
    for predecessor in reversed(run.plan.predecessors[node]):  # later ones first, as when reverting is planned
        run.blocking[predecessor] -= 1
        if run.blocking[predecessor] == 0:
            free.append(predecessor)
    return _by_priority(run, free)


def _by_priority(run: Run, nodes: list[int]) -> list[int]:
    priorities = run.plan.priorities
    return sorted(nodes, key=lambda node: -priorities.get(node, 0)) if priorities else nodes
