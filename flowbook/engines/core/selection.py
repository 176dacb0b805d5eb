"""What may start next: counters and queues, never a search. A node costs its degree, a scope its size, once."""

from __future__ import annotations

from heapq import heappop, heappush

from flowbook.engines.core.messages import DECIDE, Ask
from flowbook.engines.core.run import REASON, Run
from flowbook.flows.plan import ROOT, Vote
from flowbook.states import UNFINISHED_ATOMS, AtomState

DONE = frozenset({AtomState.SUCCESS, AtomState.IGNORE})
TOUCHED = frozenset({AtomState.RUNNING, AtomState.SUCCESS, AtomState.FAILURE, AtomState.REVERTING})
"""States in which an atom stands in the way of its predecessors' reverting."""

TO_EXECUTE = frozenset({AtomState.PENDING, AtomState.RUNNING, AtomState.RETRYING})
"""States in which a queued atom is to be executed."""

TO_REVERT = frozenset({AtomState.SUCCESS, AtomState.FAILURE, AtomState.REVERTING})
"""States in which a queued atom is to be reverted."""


def prepare(run: Run) -> None:
    """Fill the counters and queues from the states that the records left: O(flow), once an entry.

    What is ready becomes one wave, unless a failure was left unjudged or is being reverted: then only what became ready
    no later than that is started.
    """
    plan, state, wave_of = run.plan, run.state, run.wave_of
    run.broken = AtomState.REVERT_FAILURE in state or (run.never_resolve and AtomState.FAILURE in state)
    run.broken |= REASON in run.flow_row and ROOT not in run.reverting
    run.wave = max(wave_of, default=-1)
    keeps_waves = any(_is_unjudged(run, node) for node in range(len(state)))
    ready: list[int] = []
    for node, atom in enumerate(plan.atoms):
        run.left -= atom is not None and state[node] in DONE
        if run.waiting[node]:
            continue
        wave = ready_wave(run, node)
        if atom is None:
            state[node] = AtomState.SUCCESS
        if state[node] in DONE:
            if atom is None or state[node] is AtomState.IGNORE:
                wave_of[node] = wave - 1
            for successor in plan.successors[node]:
                run.waiting[successor] -= 1
        elif state[node] in TO_EXECUTE and (not is_new(run, node) or _is_owed(run, node, wave)):
            ready.append(node)
            if not keeps_waves:
                wave_of[node] = run.wave + 1
            elif is_new(run, node):
                wave_of[node] = wave
    if run.broken:
        _queue_the_last(run)
        return
    ready.sort(key=lambda node: is_new(run, node))  # the interrupted were started before others
    enqueue(run, ready)
    for scope in sorted(run.reverting):
        plan_reverts(run, scope)


def _queue_the_last(run: Run) -> None:
    """Queue what is still to end in a flow that has failed: what was interrupted, and what was to be started."""
    due, undo = set(run.flow_row.get("due", ())), set(run.flow_row.get("undo", ()))
    for states, names in ((TO_EXECUTE, due), (TO_REVERT, undo)):
        for node, state in enumerate(run.state):
            if state in states and (_is_interrupted(run, node) or run.plan.names[node] in names):
                queue(run, node)


def is_new(run: Run, node: int) -> bool:
    """Return whether an atom is PENDING and nobody has begun it in this round.

    One that an earlier owner left RUNNING is PENDING too once its restart was withdrawn, but has attempts: it is
    started again, whatever else is to become of it.
    """
    return run.state[node] is AtomState.PENDING and not run.attempt[node]


def ready_wave(run: Run, node: int) -> int:
    """Return the wave in which a node became ready, now that all before it are done."""
    before, wave_of = run.plan.predecessors[node], run.wave_of
    if len(before) == 1:
        return wave_of[before[0]] + 1
    return max(map(wave_of.__getitem__, before), default=-1) + 1


def ending_wave(run: Run, node: int) -> int:
    """Return the wave of an atom that ends; one that ends after a failure counts as of that failure's wave at least.

    Nothing behind it then looks as if it had been ready before.
    """
    scope = reverting_scope(run, node)
    if scope is not None:
        run.wave_of[node] = max(run.wave_of[node], run.reverting[scope].wave)
    return run.wave_of[node]


def enqueue(run: Run, nodes: list[int]) -> None:
    """Queue nodes that became ready together, higher priorities first, else in their order.

    Those that deciders vote on are queued when that is decided.
    """
    if run.plan.votes:
        asked = {node for node in nodes if is_new(run, node) and voters(run, node)}
        run.asks.extend(Ask(node, DECIDE, run.wave_of[node] - 1) for node in by_priority(run, sorted(asked)))
        nodes = [node for node in nodes if node not in asked]
    if run.plan.priorities:
        nodes = by_priority(run, nodes)
    run.queue.extend(nodes)
    run.queued.update(nodes)


def voters(run: Run, node: int) -> list[Vote]:
    """Return the votes on a node that count: of links whose source is a flow, or an atom that was not ignored."""
    votes = run.plan.votes.get(node, ())
    return [vote for vote in votes if vote.source is None or run.state[vote.source] is not AtomState.IGNORE]


def queue(run: Run, node: int) -> None:
    """Queue a node, to be started behind those that are queued already."""
    run.queue.append(node)
    run.queued.add(node)


def queued_in(run: Run, first: int, end: int) -> list[int]:
    """Return what is queued of the nodes ``first <= node < end``."""
    if end - first < len(run.queued):
        return [node for node in range(first, end) if node in run.queued]
    return [node for node in run.queued if first <= node < end]


def drop_later(run: Run, first: int, end: int) -> None:
    """Take out of the queue what is new between two nodes and became ready later than the present wave."""
    for node in queued_in(run, first, end):
        if run.wave_of[node] > run.wave and is_new(run, node):
            run.queued.discard(node)


def break_off(run: Run) -> None:
    """End the flow as soon as all of the present wave has ended; the flow's row names what that is.

    Nothing that became ready later is started, and nothing more becomes ready.
    """
    run.broken = True
    run.asks.clear()
    run.parked.clear()
    run.queued = {n for n in run.queued if run.wave_of[n] <= run.wave or _is_interrupted(run, n)}
    last = sorted({*run.in_flight, *run.queued})
    for field, states in (("due", TO_EXECUTE), ("undo", TO_REVERT)):
        run.flow_row[field] = [run.plan.names[node] for node in last if run.state[node] in states]


def _is_unjudged(run: Run, node: int) -> bool:
    return run.state[node] is AtomState.FAILURE and reverting_scope(run, node) is None


def _is_interrupted(run: Run, node: int) -> bool:
    """Return whether an earlier owner was at an atom that is queued, or is left by it."""
    is_withdrawn = run.state[node] is AtomState.PENDING and run.attempt[node] > 0
    return is_withdrawn or run.state[node] in UNFINISHED_ATOMS


def _is_owed(run: Run, node: int, wave: int) -> bool:
    """Return whether what became ready in ``wave`` is executed, whatever failed; new atoms before old ones are not."""
    scope = reverting_scope(run, node)
    if scope is None:
        return True
    behind = run.plan.successors[node]
    return wave <= run.reverting[scope].wave and not any(run.state[target] in TOUCHED for target in behind)


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
            waiting[successor] = left = waiting[successor] - 1
            if not left:
                wave = ready_wave(run, successor)
                if plan.atoms[successor] is None:
                    state[successor] = AtomState.SUCCESS
                if state[successor] in DONE:
                    run.wave_of[successor] = wave - 1
                    done.append(successor)
                elif state[successor] in TO_EXECUTE and (not run.reverting or _is_owed(run, successor, wave)):
                    run.wave_of[successor] = wave
                    ready.append(successor)
    if ready and not run.broken:
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
    """Take note that reverting has reached every atom of a scope: its retry is queued, if a new round is wanted.

    It is parked while that may not begin yet.
    """
    retry, reverting = run.plan.scopes[scope].retry, run.reverting[scope]
    if reverting.retries and retry is not None and retry not in run.queued and not run.broken:
        run.wave_of[retry] = run.wave + 1
        if reverting.next_try_at is not None and reverting.next_try_at > run.now:
            heappush(run.parked, (reverting.next_try_at, scope))
        else:
            queue(run, retry)


def next_waking(run: Run) -> float | None:
    """Return when the first of those that are parked may go on; None when nothing is."""
    while run.parked:
        at, scope = run.parked[0]
        reverting = run.reverting.get(scope)
        if reverting is not None and reverting.retries and reverting.next_try_at == at and not reverting.left:
            return at
        heappop(run.parked)  # something else has become of it
    return None


def wake(run: Run) -> None:
    """Queue the retries that were parked and may begin their rounds by now."""
    while (at := next_waking(run)) is not None and at <= run.now:
        queue(run, run.plan.scopes[heappop(run.parked)[1]].first)


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
            run.wave_of[source] = run.wave + 1
            queue(run, source)


def unblock(run: Run, node: int) -> None:
    """Take a reverted node out of its predecessors' way."""
    for predecessor in _unblocked(run, node):
        revert_when_free(run, predecessor)


def _is_touched(run: Run, node: int) -> bool:
    return run.state[node] in TOUCHED or node in run.queued


def _is_left_behind(run: Run, node: int) -> bool:
    is_interrupted = run.state[node] in TO_EXECUTE and not is_new(run, node) and node not in run.in_flight
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
