"""Attempts run on a pool of threads."""

from __future__ import annotations

import os
import queue
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

import futurist

from flowbook.atoms.base import Atom
from flowbook.engines.context import Outcome
from flowbook.engines.executors.base import DEFAULT_WINDOW, refuse_async

_IDLE_S = 1.0
"""After so long a thread without work looks whether there is somebody who could give it some."""


class ThreadsExecutor:
    """Runs attempts on ``max_workers`` threads of its own (by default the processors and 4 more, at most 32).

    Each thread gets one job of its pool, which is to take attempts from a queue until the end: a job of the pool for
    each attempt would cost several times as much.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is None:
            max_workers = min(32, (os.cpu_count() or 1) + 4)
        self.window = max(DEFAULT_WINDOW, max_workers)
        self._max_workers = max_workers
        self._executor = futurist.ThreadPoolExecutor(max_workers=max_workers)
        self._workers: list[Future[None]] = []
        self._queue: queue.SimpleQueue[_Call | _Gate] = queue.SimpleQueue()

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise NotPossible for the first atom that is async."""
        refuse_async(atoms, "an executor of threads")

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Queue ``call`` for the next free thread."""
        queued = _Call(call, args)
        if len(self._workers) < self._max_workers:
            self._workers.append(self._executor.submit(_work, self._queue, weakref.ref(self)))
        self._queue.put(queued)
        return queued

    def stop(self, future: Future[Outcome]) -> bool:
        """Take back what is queued; a thread that runs cannot be ended."""
        return future.cancel()

    def shutdown(self) -> None:
        """Cancel what is queued, wait for what runs, and end every thread within milliseconds.

        A thread of the pool that has done its job looks for a shutdown first, and then once a second only. So all of
        them meet at a gate, and wait there until the pool is shut down; the flag is the first thing that they see.
        """
        with suppress(queue.Empty):
            while True:
                call = self._queue.get_nowait()
                if isinstance(call, _Call):
                    call.cancel()
        if not self._workers or sys.is_finalizing():  # then threads have ended, and none can be started
            self._executor.shutdown(wait=False)
            return
        gate = _Gate()
        for _ in self._workers:
            self._queue.put(gate)
        try:
            gate.wait_for(self._workers)
            self._executor.shutdown(wait=False)
        finally:
            gate.open()
        for thread in gate.threads:
            thread.join()


class _Call(Future[Outcome]):
    """An attempt in the queue, and what becomes of it.

    What a Future does, with two plain locks: making its condition, whose lock is then taken five times, takes a good
    part of the time of a short attempt on a thread. It has none of a Future's own fields, so `concurrent.futures.wait`
    cannot wait for it.
    """

    def __init__(self, call: Callable[..., Outcome], args: tuple[Any, ...]) -> None:
        self._call, self._args = call, args
        self._gave: Outcome | None = None
        self._raised: BaseException | None = None
        self._is_cancelled = self._is_done = False
        self._begun = threading.Lock()  # who takes it decides whether it is called or cancelled
        self._ends = threading.Lock()  # held until it is done
        self._ends.acquire()
        self._listeners: deque[Callable[[Future[Outcome]], object]] = deque()

    def __repr__(self) -> str:
        state = "cancelled" if self._is_cancelled else "done" if self._is_done else "queued"
        return f"<{type(self).__name__} {'running' if self.running() else state}>"

    def run(self) -> None:
        """Call it, unless it was cancelled, and tell those who listen."""
        if self._begun.acquire(blocking=False):
            try:
                self._gave = self._call(*self._args)
            except BaseException as error:
                self._raised = error
            self._end()

    def cancel(self) -> bool:
        """Take it back; return whether it is never called."""
        if self._begun.acquire(blocking=False):
            self._is_cancelled = True
            self._end()
        return self._is_cancelled

    def _end(self) -> None:
        self._args = ()  # they may be large
        self._is_done = True
        self._ends.release()
        self._tell()

    def _tell(self) -> None:
        with suppress(IndexError):
            while True:
                self._listeners.popleft()(self)  # whoever takes one out calls it, and nobody else

    def add_done_callback(self, fn: Callable[[Future[Outcome]], object]) -> None:
        """Call ``fn``, which raises nothing, with this once it is done: in the thread that ends it, or here and now."""
        self._listeners.append(fn)
        if self._is_done:
            self._tell()

    def cancelled(self) -> bool:
        """Return whether it was taken back."""
        return self._is_cancelled

    def running(self) -> bool:
        """Return whether it was begun and is not done."""
        return self._begun.locked() and not self._is_done

    def done(self) -> bool:
        """Return whether it has ended, in whatever way."""
        return self._is_done

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait until it is done, and return what it raised. Raises CancelledError and TimeoutError."""
        if not self._is_done:
            if not self._ends.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
                raise TimeoutError
            self._ends.release()
        if self._is_cancelled:
            raise CancelledError
        return self._raised

    def result(self, timeout: float | None = None) -> Outcome:
        """Wait until it is done, and return what it gave, or raise what it raised."""
        raised = self.exception(timeout)
        if raised is not None:
            raise raised
        assert self._gave is not None
        return self._gave


def _work(waiting: queue.SimpleQueue[_Call | _Gate], executor: weakref.ref[ThreadsExecutor]) -> None:
    """Run what comes, until the gate comes, or nobody is there any more who could send one."""
    while True:
        try:
            taken = waiting.get(timeout=_IDLE_S)
        except queue.Empty:
            if executor() is None or not threading.main_thread().is_alive():
                return
            continue
        if isinstance(taken, _Gate):
            taken.enter()
            return
        taken.run()
        del taken  # it holds arguments and a result


class _Gate:
    """Where all threads of a pool meet, to be let go together."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self._entered = threading.Condition()
        self._opened = threading.Event()

    def enter(self) -> None:
        """Wait until the gate is opened."""
        with self._entered:
            self.threads.append(threading.current_thread())
            self._entered.notify_all()
        self._opened.wait()

    def wait_for(self, workers: Sequence[Future[None]]) -> None:
        """Wait until all have entered whose job goes on: one that died does not come any more."""
        with self._entered:
            while len(self.threads) < sum(not worker.done() for worker in workers):
                self._entered.wait(_IDLE_S)

    def open(self) -> None:
        """Let all go on, those too that are still to come."""
        self._opened.set()
