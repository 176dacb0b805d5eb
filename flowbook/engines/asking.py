"""Asking: the hooks of the user that decide, called in the engine's thread; what they raise is an answer too."""

from __future__ import annotations

from flowbook.atoms.retry import Decision, Retry
from flowbook.engines.core.messages import ON_FAILURE, Answered, Ask
from flowbook.engines.core.selection import voters
from flowbook.engines.results import live
from flowbook.engines.storage import Storage
from flowbook.exceptions import NotPossible
from flowbook.failure import Failure
from flowbook.flows.deciders import Depth, pick_widest


def answer(storage: Storage, ask: Ask, at: float) -> Answered:
    """Call the hook that is asked for and return the message that answers."""
    try:
        value = _ask_retry(storage, ask) if ask.question == ON_FAILURE else _ask_deciders(storage, ask)
    except (Exception, SystemExit) as error:
        return Answered(ask, at, failure=storage.encode(Failure.from_exception(error), "failure"))
    return Answered(ask, at, value)


def _ask_retry(storage: Storage, ask: Ask) -> Decision:
    retry = storage.plan.atom(ask.node)
    assert isinstance(retry, Retry)  # nothing else is asked about failures
    said = retry.on_failure(**storage.arguments_on_failure(retry))
    try:
        return Decision(said)
    except ValueError:
        known = ", ".join(Decision)
        raise NotPossible(f"on_failure of {retry.name!r} returned {said!r}, not one of {known}") from None


def _ask_deciders(storage: Storage, ask: Ask) -> Depth | None:
    """Return how far a no reaches, the widest of all; None when every vote is a yes."""
    votes, run = voters(storage.run, ask.node), storage.run
    history = {}
    for source in [vote.source for vote in votes if vote.source is not None]:
        handle = run.result[source]
        history[run.plan.names[source]] = None if handle is None else live(handle)
    against = [vote.depth for vote in votes if not vote.decider(history=dict(history))]
    return pick_widest(against) if against else None
