"""Event loops that coroutines run on: one in a thread of an executor's own, or that of the caller who awaits a run."""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop, Runner, new_event_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

WATCH_S: Final = 1.0
"""How often the loop of a caller is looked at."""


class LoopLeft(KeyboardInterrupt):
    """The loop of the caller cancels all its tasks or has ended, attempts in it: no failures; they are interrupted."""


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


class LoopWatch:
    """Looks at a caller's loop once a second, and calls ``on_end`` at each look while it will run nothing any more.

    That is when it was closed, or left behind when the program ended. A loop that does so without cancelling its tasks
    tells nobody of it.
    """

    def __init__(self, loop: AbstractEventLoop, on_end: Callable[[], None]) -> None:
        self._loop, self._on_end = loop, on_end
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flowbook loop watch", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Look no more."""
        self._left.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._left.wait(WATCH_S):
            is_left = not (self._loop.is_running() or threading.main_thread().is_alive())
            if is_left or self._loop.is_closed():
                self._on_end()


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
