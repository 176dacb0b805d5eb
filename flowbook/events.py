"""What happened, as values, and the Notifier that hands them out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from flowbook.exceptions import NotPossible, WrongType, did_you_mean
from flowbook.secrets.masking import masked
from flowbook.states import AtomState, FlowState

LOG = logging.getLogger("flowbook")

ANY = "*"
"""Register for this to hear of every change of state."""

PROGRESS = "PROGRESS"
"""Register for this to hear how far attempts have come; it is no state, and `ANY` does not bring it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One committed change of state: of the flow when ``atom`` is empty, else of that atom.

    ``kind`` is ``flow``, ``task`` or ``retry``; ``at`` seconds since the epoch; ``attempt`` counts from 1 and is 0
    where there is none. Where ``state`` is `PROGRESS`, ``progress`` says how far the attempt has come, 0.0 to 1.0.
    """

    run: str
    flow: str
    kind: str
    atom: str
    state: str
    old_state: str
    at: float
    attempt: int = 0
    progress: float | None = None

    def __str__(self) -> str:
        """Give the notice in one line, as logs have it."""
        who = f"{self.run}: {self.kind} {self.atom or self.flow!r}"
        if self.progress is not None:
            return f"{who} has come to {self.progress:.0%}"
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        return f"{who} is {self.state}, was {self.old_state}{again}"


Listener = Callable[[Notice], None]


class Notifier:
    """Calls listeners in the order in which they were registered, those for one state and those for any alike.

    A listener that raises is logged and harms nothing. ``listeners`` are all of them, each with what it listens for.
    """

    def __init__(self) -> None:
        self.listeners: list[tuple[str, Listener]] = []

    def __bool__(self) -> bool:
        """Return whether anybody listens: events are not even made otherwise."""
        return bool(self.listeners)

    def register(self, state: str, listener: Listener) -> None:
        """Call ``listener`` with each notice of ``state``; for `ANY` with each one but those of `PROGRESS`.

        Raises NotPossible when nothing is ever in such a state, and WrongType for what cannot be called.
        """
        _check(state, listener)
        self.listeners.append((state, listener))

    def deregister(self, state: str, listener: Listener) -> bool:
        """Stop calling ``listener`` for ``state``; return whether it was registered."""
        try:
            self.listeners.remove((state, listener))
        except ValueError:
            return False
        return True

    def notify(self, notice: Notice) -> None:
        """Hand ``notice`` to all who listen for its state, in the calling thread."""
        wanted = (notice.state,) if notice.state == PROGRESS else (notice.state, ANY)
        for state, listener in tuple(self.listeners):
            if state in wanted:
                try:
                    listener(notice)
                except Exception:
                    log_trouble(notice)


def log_trouble(notice: Notice) -> None:
    """Log the exception that a listener has raised and that is being handled."""
    trouble, told = "a listener failed on %s of %s", (notice.state, notice.atom or notice.flow)
    text = traceback.format_exc()
    if masked(text) == text:
        LOG.exception(trouble, *told)
    else:
        LOG.error(f"{trouble}\n%s", *told, masked(text).rstrip())


_STATES = (*dict.fromkeys((*map(str, AtomState), *map(str, FlowState))), PROGRESS, ANY)


def _check(state: object, listener: object) -> None:
    if not isinstance(state, str):
        raise WrongType("what to listen for", state, "the name of a state")
    if state not in _STATES:
        todo = did_you_mean(state.upper(), _STATES) or f"the states are {', '.join(_STATES)}"
        raise NotPossible(f"there is no state {str(state)!r}", todo=todo)
    if not callable(listener):
        raise WrongType(f"the listener for {str(state)!r}", listener, "something to call")
