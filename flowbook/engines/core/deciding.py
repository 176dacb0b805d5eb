"""Deciding: the votes of deciders on links, and how far a no reaches."""

from __future__ import annotations

from collections.abc import Iterator

from flowbook.engines.core import resolution, selection
from flowbook.engines.core.messages import Answered, Ask, Decision
from flowbook.engines.core.run import Run
from flowbook.flows.deciders import Depth
from flowbook.persistence.changes import Inline
from flowbook.states import EXECUTE, AtomEvent, AtomState


def put_question(run: Run, ask: Ask, decision: Decision) -> None:
    """Ask the deciders about an atom, if it may still be run."""
    node = ask.node
    if run.state[node] is AtomState.PENDING and selection.reverting_scope(run, node) is None:
        decision.ask = ask


def answered(run: Run, message: Answered, decision: Decision) -> None:
    """Queue the atom, or ignore it and what else the depth of the no reaches. A decider that raised fails the atom."""
    node = message.ask.node
    if message.failure is not None:
        _fail(run, node, message.failure, message.at, decision)
    elif message.value is None:
        selection.queue(run, node)
    else:
        run.wave_of[node] -= 1  # it is passed with those that it waited for
        for other in _reached(run, node, Depth(message.value)):
            if selection.is_new(run, other):
                resolution.move(run, other, AtomEvent.IGNORE, decision)
                run.ignored_by[other] = node
                decision.changes.append(run.put(other))
                run.left -= 1
        selection.release(run, node)


def _fail(run: Run, node: int, failure: Inline, at: float, decision: Decision) -> None:
    run.wave = run.wave_of[node]
    run.attempt[node] += 1
    run.started_at[node] = at
    run.failure[node] = failure
    resolution.move(run, node, AtomEvent.START, decision)
    resolution.move(run, node, AtomEvent.FAIL, decision)
    decision.changes.append(run.put(node))
    decision.changes.append(run.attempt_ended(node, EXECUTE, "FAILURE", at))
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
