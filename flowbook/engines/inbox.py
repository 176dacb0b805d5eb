"""The inbox: everything that reaches the engine's loop from elsewhere comes through here, and wakes it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from math import inf
from typing import NamedTuple

from flowbook.engines.context import BEGAN, Outcome, uninterrupted
from flowbook.engines.core.messages import Start
from flowbook.engines.executors.errors import ClusterLost
from flowbook.failure import Failure

FLUSH_AFTER_S = 0.5
"""How long metadata may wait for something else to be committed with."""

_LINGER_MAX_S = 0.005


class Finished(NamedTuple):
    """An attempt has ended, or its future was cancelled."""

    start: Start
    future: Future[Outcome]

    def outcome(self) -> Outcome:
        """Return what the attempt gave.

        Raises KeyboardInterrupt, if that ended it, and ClusterLost: nothing is known of the attempt, and no other could
        be run.
        """
        return uninterrupted(_result(self.future))


class Told(NamedTuple):
    """Some attempt told something of itself; what it is stands in the inbox."""


class Begun(NamedTuple):
    """An attempt that has a timeout has really begun."""

    start: Start


class Wish(NamedTuple):
    """Somebody wants the flow to suspend or to be cancelled; ``request`` is the id of a posted request, if any."""

    request: str = ""
    cancels: bool = False


class Lost(NamedTuple):
    """The claim cannot be kept, or whoever waits for the engine wants it to stop at once."""

    error: Exception | KeyboardInterrupt


Item = Finished | Told | Begun | Wish | Lost


class Inbox:
    """A queue that many threads put into and one loop takes from, all that waits at once."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.put = self._queue.put
        self.is_wished = False  # that nothing more is started
        self._suspend_wished = self._cancel_wished = False
        self.told: dict[Start, dict[str, object]] = {}
        self._telling = threading.Lock()
        self._taken = 0  # how many came the last time, and when that was
        self._taken_at = 0.0

    def wish_suspend(self, request: str = "") -> None:
        """Ask the loop to suspend; may be called from any thread and from signal handlers."""
        self._suspend_wished = self.is_wished = True
        self._queue.put(Wish(request))

    def wish_cancel(self, request: str = "") -> None:
        """Ask the loop to cancel the flow; may be called from any thread and from signal handlers."""
        self._cancel_wished = self.is_wished = True
        self._queue.put(Wish(request, cancels=True))

    def take_cancel(self) -> bool:
        """Return whether somebody wants the flow to be cancelled; that is said once."""
        wished, self._cancel_wished = self._cancel_wished, False
        self.is_wished = self._suspend_wished
        return wished

    def put_metadata(self, start: Start, metadata: Mapping[str, object]) -> None:
        """Tell something of an attempt: the newest word of each name counts, and one waiting word wakes the loop."""
        if BEGAN in metadata:
            self._queue.put(Begun(start))
            return
        with self._telling:
            wakes = not self.told
            self.told.setdefault(start, {}).update(metadata)
        if wakes:
            self._queue.put(Told())

    def take_metadata(self) -> dict[Start, dict[str, object]]:
        """Return the newest of what was told of each attempt."""
        if not self.told:
            return {}
        with self._telling:
            told, self.told = self.told, {}
        return told

    def put_finished(self, start: Start, future: Future[Outcome]) -> None:
        """Tell that an attempt's future is done."""
        self._queue.put(Finished(start, future))

    def take_all(self, timeout_s: float | None = None, in_flight: int = 1) -> list[Item]:
        """Wait for something, and return all that has come, in order; nothing when ``timeout_s`` has passed.

        Metadata alone are held back for half a second, so that they are committed together with what follows. Where
        several came together the last time, the rest of what is ``in_flight`` is waited for, at most half as long as
        the turn took that came between: one more of them would take longer. An interrupt may lose what was just taken.
        """
        linger_s = min((time.monotonic() - self._taken_at) / 2, _LINGER_MAX_S) if self._taken > 1 else 0.0
        try:
            taken = [self._queue.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        if isinstance(taken[0], Told):
            self._take_more(taken, Told, FLUSH_AFTER_S)
        if linger_s:
            self._take_more(taken, Finished, linger_s, in_flight)
        taken += self.take_waiting()
        if in_flight > 1:
            self._taken, self._taken_at = len(taken), time.monotonic()
        return taken

    def take_waiting(self) -> Sequence[Item]:
        """Return all that has come, in order, without waiting."""
        if self._queue.empty():
            return ()
        taken: list[Item] = []
        while not self._queue.empty():  # nobody else takes from it
            taken.append(self._queue.get())
        return taken

    def _take_more(self, taken: list[Item], behind: type[Item], within_s: float, most: float = inf) -> None:
        """Take what comes behind an item of one kind, as long as it is of that kind too."""
        deadline = time.monotonic() + within_s
        with suppress(queue.Empty):
            while len(taken) < most and isinstance(taken[-1], behind):
                if self._queue.empty():
                    taken.append(self._queue.get(timeout=max(0.0, deadline - time.monotonic())))
                else:
                    taken.append(self._queue.get())


def _result(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except ClusterLost:
        raise
    except Exception as error:  # the executor's own trouble, or somebody else cancelled it
        return Outcome(failure=Failure.from_exception(error))
