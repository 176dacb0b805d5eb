"""Attempts run on a pool of threads."""

from __future__ import annotations

import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
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
        future: Future[Outcome] = Future()
        if len(self._workers) < self._max_workers:
            self._workers.append(self._executor.submit(_work, self._queue, weakref.ref(self)))
        self._queue.put(_Call(future, call, args))
        return future

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
                    call.future.cancel()
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


class _Call:
    """An attempt in the queue."""

    __slots__ = ("args", "call", "future")

    def __init__(self, future: Future[Outcome], call: Callable[..., Outcome], args: tuple[Any, ...]) -> None:
        self.future, self.call, self.args = future, call, args

    def run(self) -> None:
        """Call it, unless it was cancelled, and tell its future."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            outcome = self.call(*self.args)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(outcome)


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
