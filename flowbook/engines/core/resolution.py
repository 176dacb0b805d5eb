"""Resolution: what becomes of a failure. Retries are asked, and a scope is reverted, for a new round or for good."""

from __future__ import annotations

from collections.abc import Iterator

from flowbook.atoms import retry
from flowbook.engines.core import selection
from flowbook.engines.core.messages import ON_FAILURE, Answered, Ask, Decision, Event
from flowbook.engines.core.run import REASON, Reverting, Round, Run
from flowbook.flows.plan import ROOT
from flowbook.persistence.changes import Append, Delete, Inline
from flowbook.states import AtomEvent, AtomState, FlowEvent, atom_after, flow_after

HISTORY = "history"
"""The kind of record that a retry's rounds are appended under: ``result``, or ``atom`` and its ``failure``."""


def judge(run: Run, node: int, decision: Decision) -> None:
    """Find out what is to become of an atom's failure: its scope's retry is asked, without one all is reverted.

    A retry that fails itself is judged by the retry around it. Nobody is asked in a flow that is cancelled.
    """
    if REASON in run.flow_row:
        return
    scope = run.plan.scope_of[node]
    if run.plan.scopes[scope].retry == node:
        scope = run.plan.scopes[scope].parent
    scope = _asked_for(run, scope)
    if run.never_resolve:
        break_off(run, decision)
    elif scope == ROOT:
        resolve(run, ROOT, decision, retries=False)
    else:
        run.asks.append(_question(run, scope, node, run.failure[node], scope))


def break_off(run: Run, decision: Decision) -> None:
    """End the flow in FAILURE as soon as what became ready together has ended; a second failure changes nothing."""
    if run.broken:
        return
    _begin_due_rounds(run, 0, len(run.state), decision)
    for scope, reverting in run.reverting.items():
        if reverting.next_try_at is not None:  # there is no next try any more
            reverting.next_try_at = None
            decision.changes.append(run.put(run.plan.scopes[scope].first))
    selection.break_off(run)
    decision.changes.append(run.put_flow())


def judge_again(run: Run, decision: Decision) -> None:
    """Judge the failures that an earlier owner left without a word on what is to become of them."""
    for node in run.plan.atom_nodes():
        if run.state[node] is AtomState.FAILURE and selection.reverting_scope(run, node) is None:
            run.wave = run.wave_of[node]
            judge(run, node, decision)


def begin_left_rounds(run: Run, decision: Decision) -> None:
    """Begin the rounds that an earlier owner was beginning: their retries are RETRYING."""
    for scope in range(len(run.plan.scopes) - 1, ROOT, -1):
        if run.state[run.plan.scopes[scope].first] is AtomState.RETRYING:
            begin_round(run, scope, decision)  # `prepare` has queued it


def put_question(run: Run, ask: Ask, decision: Decision) -> None:
    """Ask a retry, whose history has the failure before it hears of it; one failure an atom and round is kept."""
    rounds, name = run.history.get(ask.node), run.plan.names[ask.about]
    if rounds and ask.failure is not None and name not in rounds[-1].failures:
        rounds[-1].failures[name] = ask.failure
        row = {"atom": name, "failure": ask.failure}
        decision.changes.append(Append(HISTORY, run.plan.names[ask.node], row))
    decision.ask = ask


def answered(run: Run, message: Answered, decision: Decision) -> None:
    """Do what a retry said. One that raised has failed its flow as a whole: all is reverted."""
    ask, plan = message.ask, run.plan
    scope = plan.scope_of[ask.node]
    parent = _asked_for(run, plan.scopes[scope].parent)
    if message.failure is not None:
        run.hook_failure[ask.node] = message.failure
        decision.changes.append(run.put(ask.node))
        resolve(run, ROOT, decision, retries=False)
    elif message.value is retry.Decision.RETRY:
        resolve(run, scope, decision, retries=True, delay_s=message.delay_s)
    elif message.value is retry.Decision.REVERT_ALL or (parent == ROOT and run.defer_reverts):
        resolve(run, ROOT, decision, retries=False)
    elif parent == ROOT:
        resolve(run, ask.first, decision, retries=False)
    else:
        assert ask.failure is not None  # so it was asked
        run.asks.appendleft(_question(run, parent, ask.node, ask.failure, ask.first))


def resolve(run: Run, scope: int, decision: Decision, *, retries: bool, delay_s: float = 0.0) -> None:
    """Revert a scope, unless it or one around it is being reverted already; reverting wins over a new round.

    A new round begins ``delay_s`` from now, or when all is reverted, if that is later.
    """
    plan, around = run.plan, scope
    while True:
        reverting = run.reverting.get(around)
        if reverting is not None:
            if around == scope and reverting.retries and not retries:
                break
            return
        if around == ROOT:
            break
        around = plan.scopes[around].parent
    _begin_revert(run, scope, decision, retries=retries, next_try_at=run.now + delay_s if delay_s else None)


def cover(run: Run) -> None:
    """Let go of scopes that lie inside others which are reverted: those take care of all."""
    for scope in [scope for scope in run.reverting if _is_covered(run, scope)]:
        del run.reverting[scope]


def begin_round(run: Run, scope: int, decision: Decision) -> None:
    """Begin a new round of a scope that was reverted: all is PENDING again, and its retry RETRYING."""
    plan, first, end = run.plan, run.plan.scopes[scope].first, run.plan.scopes[scope].end
    run.reverting.pop(scope, None)
    if run.state[first] is not AtomState.RETRYING:  # an earlier owner may have come so far
        move(run, first, AtomEvent.RETRY, decision)
        run.left += 1
        run.round[first] = run.round.get(first, 0) + 1
        run.attempt[first] = 0
    run.queued.difference_update(selection.queued_in(run, first + 1, end))
    behind = {target for node in range(first, end) for target in plan.successors[node] if target >= end}
    ignored = [node for node, by in run.ignored_by.items() if node >= end and first <= by < end]
    for node in (*range(first + 1, end), *sorted(ignored)):
        run.left += plan.atoms[node] is not None and run.state[node] in selection.DONE
        run.blocking.pop(node, None)
        reset(run, node, decision)
    for node in range(first + 1, end):
        run.waiting[node] = len(plan.predecessors[node])
    for target in behind:
        run.waiting[target] = sum(not _is_passed(run, source) for source in plan.predecessors[target])


def reset(run: Run, node: int, decision: Decision) -> None:
    """Make an atom PENDING that was not, in the next round; a mark is passed again, a retry begins anew."""
    if run.plan.atoms[node] is None:
        run.state[node] = AtomState.PENDING
    elif run.state[node] is not AtomState.PENDING:
        move(run, node, AtomEvent.RESET, decision)
        run.clear(node)
        forget_history(run, node, decision)
        decision.changes.append(run.put(node))


def forget_history(run: Run, node: int, decision: Decision) -> None:
    """Empty the history of a retry that was reverted or begins anew."""
    if run.history.pop(node, None):
        decision.changes.append(Delete(HISTORY, run.plan.names[node]))


def remember(run: Run, node: int, result: Inline | None, decision: Decision) -> None:
    """Open a round in the history of a retry with what it gave."""
    run.history.setdefault(node, []).append(Round(result, {}))
    decision.changes.append(Append(HISTORY, run.plan.names[node], {"result": result}))


def move(run: Run, node: int, event: AtomEvent, decision: Decision) -> None:
    """Lead an atom where ``event`` says, and tell of it."""
    old = run.state[node]
    state = run.state[node] = atom_after(old, event)
    if run.listening:
        decision.endings.append(Event(node, state, old, run.attempt[node]))


def move_flow(run: Run, event: FlowEvent, decision: Decision) -> None:
    """Lead the flow where ``event`` says, and tell of it."""
    old = run.flow_state
    run.flow_state = flow_after(old, event)
    if run.listening:
        decision.endings.append(Event(None, run.flow_state, old))


def _asked_for(run: Run, scope: int) -> int:
    """Return the scope whose retry can be asked: this one, or the next around it whose retry was not ignored."""
    while scope != ROOT and run.state[run.plan.scopes[scope].first] is AtomState.IGNORE:
        scope = run.plan.scopes[scope].parent
    return scope


def _question(run: Run, scope: int, about: int, failure: Inline, first: int) -> Ask:
    return Ask(run.plan.scopes[scope].first, ON_FAILURE, run.wave, about, failure, first)


def _begin_revert(run: Run, scope: int, decision: Decision, *, retries: bool, next_try_at: float | None = None) -> None:
    """Turn a scope to reverting; what is queued or running in it is still finished, then reverted as well."""
    plan, first, end = run.plan, run.plan.scopes[scope].first, run.plan.scopes[scope].end
    _begin_due_rounds(run, first, end, decision)
    selection.drop_later(run, first, end)
    was = run.reverting.get(scope)  # then what it dropped stays so
    wave = run.wave if was is None else min(run.wave, was.wave)
    run.reverting[scope] = Reverting(wave, retries=retries, next_try_at=next_try_at)
    for inner in _inner(run, scope):
        if run.reverting.pop(inner, None) is not None:
            decision.changes.append(run.put(plan.scopes[inner].first))
    selection.plan_reverts(run, scope)
    if scope == ROOT:
        run.flow_row.update(intention=run.reverting[ROOT].intention.value, last_wave=wave)
        decision.changes.append(run.put_flow())
    else:
        decision.changes.append(run.put(first))


def _begin_due_rounds(run: Run, first: int, end: int, decision: Decision) -> None:
    """Begin the rounds between two nodes that became ready with what fails now: their retries are still run."""
    for node in selection.queued_in(run, first, end):
        if run.wave_of[node] <= run.wave and selection.awaits_round(run, node):
            begin_round(run, run.plan.scope_of[node], decision)
            decision.changes.append(run.put(node))


def _inner(run: Run, scope: int) -> Iterator[int]:
    """Yield the scopes inside another."""
    scopes = run.plan.scopes
    for inner in range(scope + 1, len(scopes)):
        if scopes[inner].first >= scopes[scope].end:
            return
        yield inner


def _is_covered(run: Run, scope: int) -> bool:
    while scope != ROOT:
        scope = run.plan.scopes[scope].parent
        if scope in run.reverting:
            return True
    return False


def _is_passed(run: Run, node: int) -> bool:
    """Return whether those behind a node need not wait for it."""
    is_done = run.state[node] in selection.DONE and not run.waiting[node]
    return is_done and selection.reverting_scope(run, node) is None
