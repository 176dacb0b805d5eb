"""Asking: the hooks of the user that decide, called in the engine's thread; what they raise is an answer too."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from flowbook.atoms.history import History
from flowbook.atoms.retry import HISTORY, Decision, Retry
from flowbook.engines.core.messages import ON_FAILURE, Answered, Ask
from flowbook.engines.core.selection import voters
from flowbook.engines.results import live
from flowbook.engines.storage import Storage
from flowbook.exceptions import FlowFailed, NotPossible
from flowbook.failure import Failure
from flowbook.flows.deciders import Depth, pick_widest

LONGEST_DELAY_S: Final = 365 * 86_400.0
"""The longest pause that a retry may ask for: it has to be a time that a calendar has."""


def answer(storage: Storage, ask: Ask, at: float) -> Answered:
    """Call the hook that is asked for and return the message that answers.

    Raises DecodeError and Damaged when its values cannot be read: that is no failure of the hook.
    """
    try:
        call = _retry_of(storage, ask) if ask.question == ON_FAILURE else _deciders_of(storage, ask)
    except FlowFailed as error:
        return _raised(storage, ask, at, error)
    try:
        value, delay_s = call()
        return Answered(ask, at, value, delay_s=delay_s)
    except (Exception, SystemExit) as error:
        return _raised(storage, ask, at, error)


def _raised(storage: Storage, ask: Ask, at: float, error: BaseException) -> Answered:
    return Answered(ask, at, failure=storage.encode(Failure.from_exception(error), "failure"))


def _retry_of(storage: Storage, ask: Ask) -> Callable[[], tuple[Decision, float]]:
    retry = storage.plan.atom(ask.node)
    assert isinstance(retry, Retry)  # nothing else is asked about failures
    arguments = storage.arguments_on_failure(retry)

    def call() -> tuple[Decision, float]:
        said = retry.on_failure(**arguments)
        try:
            decided = Decision(said)
        except ValueError:
            known = ", ".join(Decision)
            raise NotPossible(f"on_failure of {retry.name!r} returned {said!r}, not one of {known}") from None
        return decided, _delay_s(retry, arguments[HISTORY]) if decided is Decision.RETRY else 0.0

    return call


def _delay_s(retry: Retry, history: History) -> float:
    delay_s: object = retry.delay_s(history, random.random())
    if isinstance(delay_s, bool) or not isinstance(delay_s, int | float) or not 0 <= delay_s <= LONGEST_DELAY_S:
        raise NotPossible(f"delay_s of {retry.name!r} returned {delay_s!r}", todo="return seconds from 0 to a year's")
    return float(delay_s)


def _deciders_of(storage: Storage, ask: Ask) -> Callable[[], tuple[Depth | None, float]]:
    """Return what says how far a no reaches, the widest of all (None when every vote is a yes); at once."""
    votes, run = voters(storage.run, ask.node), storage.run
    history = {}
    for source in [vote.source for vote in votes if vote.source is not None]:
        handle = run.result[source]
        history[run.plan.names[source]] = None if handle is None else live(handle)

    def call() -> tuple[Depth | None, float]:
        against = [vote.depth for vote in votes if not vote.decider(history=dict(history))]
        return pick_widest(against) if against else None, 0.0

    return call
