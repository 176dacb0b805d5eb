"""Asking: the hooks of the user that decide, called in the engine's thread; what they raise is an answer too."""

from __future__ import annotations

from collections.abc import Callable

from flowbook.atoms.retry import Decision, Retry
from flowbook.engines.core.messages import ON_FAILURE, Answered, Ask
from flowbook.engines.core.selection import voters
from flowbook.engines.results import live
from flowbook.engines.storage import Storage
from flowbook.exceptions import FlowFailed, NotPossible
from flowbook.failure import Failure
from flowbook.flows.deciders import Depth, pick_widest


def answer(storage: Storage, ask: Ask, at: float) -> Answered:
    """Call the hook that is asked for and return the message that answers.

    Raises DecodeError and Damaged when its values cannot be read: that is no failure of the hook.
    """
    try:
        call = _retry_of(storage, ask) if ask.question == ON_FAILURE else _deciders_of(storage, ask)
    except FlowFailed as error:
        return _raised(storage, ask, at, error)
    try:
        return Answered(ask, at, call())
    except (Exception, SystemExit) as error:
        return _raised(storage, ask, at, error)


def _raised(storage: Storage, ask: Ask, at: float, error: BaseException) -> Answered:
    return Answered(ask, at, failure=storage.encode(Failure.from_exception(error), "failure"))


def _retry_of(storage: Storage, ask: Ask) -> Callable[[], Decision]:
    retry = storage.plan.atom(ask.node)
    assert isinstance(retry, Retry)  # nothing else is asked about failures
    arguments = storage.arguments_on_failure(retry)

    def call() -> Decision:
        said = retry.on_failure(**arguments)
        try:
            return Decision(said)
        except ValueError:
            known = ", ".join(Decision)
            raise NotPossible(f"on_failure of {retry.name!r} returned {said!r}, not one of {known}") from None

    return call


def _deciders_of(storage: Storage, ask: Ask) -> Callable[[], Depth | None]:
    """Return what says how far a no reaches, the widest of all; None when every vote is a yes."""
    votes, run = voters(storage.run, ask.node), storage.run
    history = {}
    for source in [vote.source for vote in votes if vote.source is not None]:
        handle = run.result[source]
        history[run.plan.names[source]] = None if handle is None else live(handle)

    def call() -> Depth | None:
        against = [vote.depth for vote in votes if not vote.decider(history=dict(history))]
        return pick_widest(against) if against else None

    return call
