"""Deciding: the votes of deciders on links, and how far a no reaches."""

from __future__ import annotations

from collections.abc import Iterator

from flowbook.engines.core import resolution, selection
from flowbook.engines.core.messages import Answered, Ask, Decision
from flowbook.engines.core.run import Run
from flowbook.flows.deciders import Depth
from flowbook.flows.plan import Vote
from flowbook.persistence.changes import Inline
from flowbook.states import AtomEvent, AtomState, Direction


def put_question(run: Run, ask: Ask, decision: Decision) -> None:
    """Ask the deciders about an atom that may still be run; where none has a vote it is queued."""
    node = ask.node
    if run.state[node] is not AtomState.PENDING or selection.reverting_scope(run, node) is not None:
        return
    if voters(run, node):
        decision.ask = ask
    else:
        _queue(run, node)


def voters(run: Run, node: int) -> list[Vote]:
    """Return the votes that count: those of links whose source is a flow, or an atom that was not ignored."""
    votes = run.plan.votes[node]
    return [vote for vote in votes if vote.source is None or run.state[vote.source] is not AtomState.IGNORE]


def answered(run: Run, message: Answered, decision: Decision) -> None:
    """Queue the atom, or ignore it and what else the depth of the no reaches. A decider that raised fails the atom."""
    node = message.ask.node
    if message.failure is not None:
        _fail(run, node, message.failure, message.at, decision)
    elif message.value is None:
        _queue(run, node)
    else:
        for other in _reached(run, node, Depth(message.value)):
            if run.state[other] is AtomState.PENDING:
                resolution.move(run, other, AtomEvent.IGNORE, decision)
                run.ignored_by[other] = node
                decision.changes.append(run.put(other))
                run.left -= 1
        selection.release(run, node)


def _queue(run: Run, node: int) -> None:
    selection.enqueue(run, [node], decided=(node,))


def _fail(run: Run, node: int, failure: Inline, at: float, decision: Decision) -> None:
    run.attempt[node] += 1
    run.started_at[node] = at
    run.failure[node] = failure
    resolution.move(run, node, AtomEvent.START, decision)
    resolution.move(run, node, AtomEvent.FAIL, decision)
    decision.changes.append(run.put(node))
    decision.changes.append(run.attempt_ended(node, Direction.EXECUTE, "FAILURE", at))
    resolution.judge(run, node, decision)


def _reached(run: Run, node: int, depth: Depth) -> Iterator[int]:
    """Yield the atoms that a no ignores: ``node``, and those behind it that the depth says, the nearest first."""
    plan, flow = run.plan, run.plan.flow_of(node)
    yield node
    if depth is Depth.ATOM:
        return
    seen, level = {node}, [node]
    for source in level:
        for target in plan.successors[source]:
            if target in seen:
                continue
            seen.add(target)
            atom = plan.atoms[target]
            if atom is not None and depth is not Depth.ALL and (atom.kind != "task" or plan.flow_of(target) != flow):
                continue
            if atom is not None:
                yield target
            if atom is None or depth is not Depth.NEIGHBORS:
                level.append(target)
