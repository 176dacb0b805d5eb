"""Ctrl-C, SIGTERM, SIGHUP: the first asks the engine to suspend, the second stops at once. What is saved is safe.

A thread of its own counts them, told by the signal's wakeup descriptor: the main thread may be blocked, and then
Python's own handler may run late (a lock that is being taken when the signal comes does not notice it).
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Final, Self

from flowbook.cli.exits import Exit
from flowbook.cli.progress import Display
from flowbook.engines.engine import Engine
from flowbook.events import Notice
from flowbook.states import FlowState

GRACE_S: Final = 1.0
"""How long a stop may take to leave by itself; threads that run tasks cannot be interrupted."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal sends for Ctrl-C, what service managers, containers and batch systems send before they kill, and what
comes when a terminal is closed: often twice, so that a second one says nothing new. ``nohup`` has it ignored."""

_LEAVE: Final = b"\0"
_KNOCKS: Final = 20


class Interrupts:
    """Hears `SIGNALS` while its block runs, in the main thread."""

    def __init__(self, engine: Engine, display: Display, last_words: str) -> None:
        self._engine = engine
        self._display = display
        self._last_words = last_words
        self._wished = False
        self._stopping = False
        self._raised = False
        self._main = threading.get_ident()
        self._left = threading.Event()
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        self._thread = threading.Thread(target=self._listen, name="flowbook-interrupts", daemon=True)

    def __enter__(self) -> Self:
        self._engine.notifier.register(FlowState.RUNNING, self._say_again)
        self._thread.start()
        self._handlers = {number: signal.signal(number, self._on_signal) for number in _heard()}
        self._wakeup = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raised = True  # too late for one more
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._engine.notifier.deregister(FlowState.RUNNING, self._say_again)
        self._left.set()
        os.write(self._mouth, _LEAVE)
        self._thread.join()
        os.close(self._ear)
        os.close(self._mouth)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the main thread, once, when the listening thread has decided so."""
        if self._stopping and not self._raised:
            self._raised = True
            raise KeyboardInterrupt

    def _say_again(self, notice: Notice) -> None:
        """Repeat a wish that came before the engine was there to hear it."""
        if self._wished:
            self._engine.suspend()

    def _listen(self) -> None:
        """Count the signals: one byte comes for each."""
        while (heard := os.read(self._ear, 1)) != _LEAVE:
            if heard[0] not in SIGNALS:
                continue
            if self._wished and heard[0] == signal.SIGHUP:
                continue
            if self._wished:
                self._stop()
                return
            self._wished = True
            self._display.tally.suspending = True
            self._engine.suspend()
            self._display.say_suspending()

    def _stop(self) -> None:
        """Interrupt the main thread; end the process as a kill would when it waits for tasks in other threads."""
        self._stopping = True
        for _ in range(_KNOCKS):
            if not self._raised:
                signal.pthread_kill(self._main, signal.SIGINT)
            if self._left.wait(GRACE_S / _KNOCKS):
                return
        self._display.close()
        self._display.say(self._last_words)
        os._exit(Exit.INTERRUPTED)


def _heard() -> list[signal.Signals]:
    return [one for one in SIGNALS if one is not signal.SIGHUP or signal.getsignal(one) is not signal.SIG_IGN]
