"""Attempts run on a pool of processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from multiprocessing.util import Finalize
from typing import Any

from flowbook.atoms.base import Atom
from flowbook.engines.context import Context, Outcome, Report
from flowbook.engines.executors.base import refuse_async
from flowbook.engines.executors.errors import NotPicklable, WorkerLost
from flowbook.engines.executors.pickling import pickled, pickled_attempt
from flowbook.engines.executors.threads import ThreadsExecutor
from flowbook.engines.executors.worker import Worker, WorkerDied
from flowbook.exceptions import NotPossible
from flowbook.failure import Failure


class ProcessesExecutor:
    """Runs attempts on at most ``max_workers`` processes of its own (by default as many as there are processors).

    A worker is started when an attempt finds none that is free, and stays until the end of the run. Threads of the
    engine's process, futurist's, hold the queue: each sends its attempt to a worker of its own and waits for it.

    That is not a ``ProcessPoolExecutor``, neither futurist's nor that of concurrent.futures, which it inherits from:
    when one worker dies there, the pool ends all others, and every attempt in it is lost, begun or not; workers
    outlive an engine that is killed; nothing that a task tells while it runs has a way back; and one that is killed
    while it writes a result lets the pool wait for ever. Here a death is that of one attempt.

    Workers are spawned: a program that begins anew and inherits no lock, thread, connection or file. A fork would copy
    the locks that the engine's other threads hold. A fork server forks safely, but stays as long as the program does,
    with the environment of its start.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        workers = (os.cpu_count() or 1) if max_workers is None else max_workers
        self._threads = ThreadsExecutor(workers)
        self.window = self._threads.window
        self._idle: list[Worker] = []
        self._places: dict[Future[Outcome], _Place] = {}
        self._started = False
        self._workers: set[Worker] = set()
        self._changing = threading.Lock()
        Finalize(self, _dismiss, (self._workers,), exitpriority=10)  # before multiprocessing waits for them

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise NotPossible for the first atom that is async, NotPicklable for one that cannot be sent to a worker."""
        atoms = tuple(atoms)
        refuse_async(atoms, "an executor of processes")
        for atom in atoms:
            pickled(atom, f"atom {atom.name!r}", name=atom.name, place=atom.place)

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Queue ``call`` for the next free worker. Raises NotPossible when the first worker cannot be started."""
        if not self._started:
            self._idle.append(self._start())
            self._started = True
        place = _Place()
        future = self._threads.submit(self._attempted, place, call, *args)
        self._places[future] = place
        future.add_done_callback(self._forget)
        return future

    def stop(self, future: Future[Outcome]) -> bool:
        """Take back what is queued, and end the worker of what runs: that is the end of no other attempt."""
        place = self._places.get(future)
        return future.cancel() or (place is not None and place.stop())

    def shutdown(self) -> None:
        """Cancel what is queued, wait for what runs, and end every worker; one that does not leave is killed."""
        self._threads.shutdown()
        _dismiss(self._workers)
        for worker in tuple(self._workers):
            self._stop(worker)

    def _forget(self, future: Future[Outcome]) -> None:
        self._places.pop(future, None)

    def _attempted(self, place: _Place, call: Callable[..., Outcome], /, *args: Any) -> Outcome:
        """Return the outcome of an attempt in a worker; an attempt that a dying worker had not begun gets another."""
        context = next((each for each in args if isinstance(each, Context)), None)
        name = "a call" if context is None else context.atom
        job = partial(_job, name, call, args)
        report = None if context is None else context.report
        try:
            try:
                return self._run_in(self._taken(), place, job, report)
            except WorkerDied as died:
                if died.begun or place.is_stopped:
                    raise
                return self._run_in(self._start(), place, job, report)
        except WorkerDied as died:
            return Outcome(failure=Failure.from_exception(WorkerLost(name, died.how)))
        except (NotPicklable, NotPossible) as error:
            return Outcome(failure=Failure.from_exception(error))

    def _run_in(
        self, worker: Worker, place: _Place, job: Callable[[tuple[str, ...]], bytes], report: Report | None
    ) -> Outcome:
        try:
            with place.held_by(worker):
                outcome = worker.run(job, report)
        except NotPicklable:
            self._idle.append(worker)
            raise
        except BaseException:
            self._stop(worker)
            raise
        self._idle.append(worker)
        return outcome

    def _taken(self) -> Worker:
        try:
            return self._idle.pop()
        except IndexError:
            return self._start()

    def _start(self) -> Worker:
        """Return a worker that is ready. Raises NotPossible, which says why there is none."""
        try:
            worker = Worker()
        except OSError as error:
            raise NotPossible("no worker process can be started", why=str(error), todo=_TODO_SYSTEM) from error
        with self._changing:
            self._workers.add(worker)
        try:
            worker.wait_ready()
        except BaseException as error:
            self._stop(worker)
            if not isinstance(error, WorkerDied):
                raise
            raise NotPossible(f"a worker process {error.how} as it began", why=_WHY_MAIN, todo=_TODO_MAIN) from None
        return worker

    def _stop(self, worker: Worker) -> None:
        worker.stop()
        with self._changing:
            self._workers.discard(worker)


class _Place:
    """Where one attempt runs, for whoever wants to end it: a worker that has left for another attempt is let live."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._worker: Worker | None = None
        self._changing = threading.Lock()

    def stop(self) -> bool:
        """End the worker that runs the attempt, now or as soon as there is one."""
        with self._changing:
            self.is_stopped = True
            if self._worker is not None:
                self._worker.kill()
        return True

    @contextmanager
    def held_by(self, worker: Worker) -> Iterator[None]:
        """Let the attempt run in a worker, in the block."""
        with self._changing:
            self._worker = worker
            if self.is_stopped:
                worker.kill()
        try:
            yield
        finally:
            with self._changing:
                self._worker = None


_WHY_MAIN = "it imports the program first, and what failed there stands on stderr"
_TODO_MAIN = 'let the program run its flow below: if __name__ == "__main__":'
_TODO_SYSTEM = "lower max_workers or free memory, then run it again: it continues where it stopped"


def _job(name: str, call: Callable[..., Outcome], args: tuple[Any, ...], secrets: tuple[str, ...]) -> bytes:
    return pickled_attempt((call, args, secrets), name, args)


def _dismiss(workers: set[Worker]) -> None:
    for worker in tuple(workers):
        worker.dismiss()
