"""Event loops that coroutines run on: one in a thread of an executor's own, or that of the caller who awaits a run."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Runner, new_event_loop
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class LoopLeft(KeyboardInterrupt):
    """The loop of the caller cancels all its tasks, attempts among them: no failure of theirs; they are interrupted."""


class _Awaited(threading.local):
    loop: AbstractEventLoop | None = None


_AWAITED = _Awaited()


def loop_of_caller() -> AbstractEventLoop | None:
    """Return the event loop that awaits what this thread does, if one does."""
    return _AWAITED.loop


@contextmanager
def awaited_by(loop: AbstractEventLoop) -> Iterator[None]:
    """Let executors that are made in this thread run their coroutines on ``loop``."""
    _AWAITED.loop = loop
    try:
        yield
    finally:
        _AWAITED.loop = None


class OwnLoop:
    """An event loop in a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self._runner = Runner(loop_factory=new_event_loop)
        self.loop = self._runner.get_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="flowbook coroutines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cancel what still runs on it, wait for that, and end the thread."""
        self._closing = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            with suppress(
                SystemExit, KeyboardInterrupt
            ):  # of a task that a coroutine began, and which asyncio lets out
                self.loop.run_forever()
        with suppress(SystemExit, KeyboardInterrupt):
            self._runner.close()
