"""The inbox: everything that reaches the engine's loop from elsewhere comes through here, and wakes it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

from flowbook.engines.context import Outcome
from flowbook.engines.core.messages import Start
from flowbook.failure import Failure

FLUSH_AFTER_S = 0.5
"""How long metadata may wait for something else to be committed with."""


class Finished(NamedTuple):
    """An attempt has ended, or its future was cancelled."""

    start: Start
    ended: Future[Outcome] | Outcome

    def outcome(self) -> Outcome:
        """Return what the attempt gave. A KeyboardInterrupt in it is the user's and is raised: it stops the engine."""
        outcome = self.ended if isinstance(self.ended, Outcome) else _result(self.ended)
        if outcome.failure is not None and isinstance(outcome.failure.exception, KeyboardInterrupt):
            raise outcome.failure.exception
        return outcome


class Told(NamedTuple):
    """Some attempt told something of itself; what it is stands in the inbox."""


class Wish(NamedTuple):
    """Somebody wants the flow to suspend; ``request`` is the id of a posted request, if it was one."""

    request: str = ""


class Lost(NamedTuple):
    """The claim cannot be kept."""

    error: Exception


Item = Finished | Told | Wish | Lost


class Inbox:
    """A queue that many threads put into and one loop takes from, all that waits at once."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.put = self._queue.put
        self.suspend_wished = False
        self._told: dict[Start, dict[str, object]] = {}
        self._telling = threading.Lock()

    def wish_suspend(self, request: str = "") -> None:
        """Ask the loop to suspend; may be called from any thread and from signal handlers."""
        self.suspend_wished = True
        self._queue.put(Wish(request))

    def put_metadata(self, start: Start, metadata: Mapping[str, object]) -> None:
        """Tell something of an attempt: the newest word of each name counts, and one waiting word wakes the loop."""
        with self._telling:
            wakes = not self._told
            self._told.setdefault(start, {}).update(metadata)
        if wakes:
            self._queue.put(Told())

    def take_metadata(self) -> dict[Start, dict[str, object]]:
        """Return the newest of what was told of each attempt."""
        if not self._told:
            return {}
        with self._telling:
            told, self._told = self._told, {}
        return told

    def put_finished(self, start: Start, future: Future[Outcome]) -> None:
        """Tell that an attempt's future is done."""
        self._queue.put(Finished(start, future))

    def take_all(self, timeout_s: float | None = None) -> list[Item]:
        """Wait for something, and return all that has come, in order; nothing when ``timeout_s`` has passed.

        Metadata alone are held back for half a second, so that they are committed together with what follows. An
        interrupt may lose what was just taken.
        """
        try:
            taken = [self._queue.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        if isinstance(taken[0], Told):
            deadline = time.monotonic() + FLUSH_AFTER_S
            with suppress(queue.Empty):
                while isinstance(taken[-1], Told):
                    taken.append(self._queue.get(timeout=max(0.0, deadline - time.monotonic())))
        while not self._queue.empty():  # nobody else takes from it
            taken.append(self._queue.get())
        return taken


def _result(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # the executor's own trouble, or somebody else cancelled it
        return Outcome(failure=Failure.from_exception(error))
