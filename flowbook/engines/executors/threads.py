"""Attempts run on a pool of threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Any

import futurist

from flowbook.atoms.base import Atom
from flowbook.engines.context import Outcome
from flowbook.engines.executors.base import DEFAULT_WINDOW, refuse_async

GATE_TIMEOUT_S = 5.0


class ThreadsExecutor:
    """Runs attempts on ``max_workers`` threads of its own (by default the processors and 4 more, at most 32)."""

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is None:
            max_workers = min(32, (os.cpu_count() or 1) + 4)
        self.window = max(DEFAULT_WINDOW, max_workers)
        self._max_workers = max_workers
        self._executor = futurist.ThreadPoolExecutor(max_workers=max_workers)
        self._pending: set[Future[Outcome]] = set()

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise NotPossible for the first atom that is async."""
        refuse_async(atoms, "an executor of threads")

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Queue ``call`` for the next free thread."""
        future: Future[Outcome] = self._executor.submit(call, *args)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def shutdown(self) -> None:
        """Cancel what is queued, wait for what runs, and end every thread within milliseconds.

        An idle worker of the pool looks for a shutdown once a second only. So each is given a last job: all of them
        meet at a barrier, then wait until the pool is shut down; the flag is the first thing that they see after it.
        """
        pending = list(self._pending)
        for future in pending:
            future.cancel()
        wait(pending)
        if not self._executor.num_workers or sys.is_finalizing():  # then threads have ended, and none can be started
            self._executor.shutdown(wait=False)
            return
        gate = _Gate(self._max_workers)  # each submit below the maximum makes a thread more: all of them get a job
        for _ in range(self._max_workers):
            self._executor.submit(gate.enter)
        all_in = gate.wait_all_in()
        self._executor.shutdown(wait=not all_in)
        gate.open()
        if all_in:
            for thread in gate.threads:
                thread.join()


class _Gate:
    def __init__(self, workers: int) -> None:
        self.threads: list[threading.Thread] = []
        self._barrier = threading.Barrier(workers + 1)
        self._opened = threading.Event()

    def enter(self) -> None:
        self.threads.append(threading.current_thread())
        try:
            self._barrier.wait(GATE_TIMEOUT_S)
        except threading.BrokenBarrierError:
            return
        self._opened.wait()

    def wait_all_in(self) -> bool:
        try:
            self._barrier.wait(GATE_TIMEOUT_S)
        except threading.BrokenBarrierError:
            return False
        return True

    def open(self) -> None:
        self._opened.set()
