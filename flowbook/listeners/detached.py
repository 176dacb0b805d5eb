"""A bounded queue of notices, and the thread that hands them to a listener: the engine waits for neither."""

from __future__ import annotations

import queue
import threading
from types import TracebackType

from flowbook.events import Listener, Notice, log_trouble


class Detached:
    """Takes notices while its context is entered; leaving it hands on what waits, and ends the thread."""

    def __init__(self, hear: Listener, size: int) -> None:
        self.dropped = 0
        self._hear = hear
        self._queue: queue.Queue[Notice | None] = queue.Queue(size)
        self._thread: threading.Thread | None = None

    def put(self, notice: Notice) -> None:
        """Take a notice, or count it when there is no room for it. Called by one engine's thread at a time."""
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            self.dropped += 1

    def __enter__(self) -> Listener:
        self._thread = threading.Thread(target=self._hand_on, name="flowbook-listener", daemon=True)
        self._thread.start()
        return self.put

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._thread is not None  # it was entered
        self._queue.put(None)
        self._thread.join()

    def _hand_on(self) -> None:
        while (notice := self._queue.get()) is not None:
            try:
                self._hear(notice)
            except BaseException:  # there is nobody to raise it to, and the others shall be heard
                log_trouble(notice)
