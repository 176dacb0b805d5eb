"""Attempts run as tasks of dask: on a cluster of the run's own on this machine, or on one of the user's."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any, Self

from distributed import Client, LocalCluster

from flowbook.atoms.base import Atom
from flowbook.engines.context import Context, Outcome
from flowbook.engines.executors.base import DEFAULT_WINDOW, Handed, refuse_async
from flowbook.engines.executors.dask_calls import Call, Calls, topic_of
from flowbook.engines.executors.dask_worker import portable
from flowbook.engines.executors.errors import ClusterLost, NotPicklable
from flowbook.engines.executors.pickling import pickled, pickled_attempt
from flowbook.engines.executors.worker import interrupts_held
from flowbook.exceptions import NotPossible
from flowbook.failure import Failure


class DaskExecutor:
    """Runs attempts on workers of dask: on ``max_workers`` processes of its own, by default one for each processor.

    With a ``client`` it runs them on the workers of that, as many at a time as these have threads, or ``max_workers``;
    the client stays the user's.
    """

    def __init__(self, max_workers: int | None = None, client: Client | None = None) -> None:
        self._is_own = client is None
        self._counts = client is not None and max_workers is None
        self._client = client
        self._slots = max_workers or (os.cpu_count() or 1 if client is None else _threads_of(client))
        self.window = max(DEFAULT_WINDOW, 2 * self._slots)
        self._calls: Calls | None = None
        self._opened = ExitStack()
        self._token = uuid.uuid4().hex
        self._count = 0

    @classmethod
    def at(cls, address: str, max_workers: int | None = None) -> Self:
        """Return one that runs attempts on the workers of the scheduler at ``address`` (host and port).

        Raises NotPossible for what is no address, and ClusterLost when it does not answer.
        """
        host, _, port = address.rpartition(":")
        if not (host and port.isdigit()):
            raise NotPossible(f"{address!r} is no host and port", todo='give both: executor="dask://10.0.0.1:8786"')
        with ExitStack() as opened:
            try:
                client = opened.enter_context(_Connection(f"tcp://{address}", set_as_default=False))
            except OSError as error:
                raise ClusterLost(
                    f"no dask scheduler answers at {address}", f"{type(error).__name__}: {error}"
                ) from error
            made = cls(max_workers, client)
            made._opened = opened.pop_all()
            return made

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise NotPossible for the first atom that is async, NotPicklable for one that cannot be sent to a worker."""
        atoms = tuple(atoms)
        refuse_async(atoms, "a worker of dask")
        for atom in atoms:
            pickled(atom, f"atom {atom.name!r}", name=atom.name, place=atom.place, dumps=portable)

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Handed:
        """Queue ``call`` for the next free worker. Raises NotPossible and ClusterLost when nothing can be run."""
        calls = self._calls or self._open()
        context = next((each for each in args if isinstance(each, Context)), None)
        self._count += 1
        key = f"flowbook-{self._token}-{self._count}"
        name, report = "a call", None
        if context is not None:
            key = f"{key}-{context.attempt}-{context.idempotency_key}"
            name, report = context.atom, context.report
        parcel = (key, name, topic_of(self._client), self._is_own, call, args)
        try:
            data = pickled_attempt(parcel, name, args, dumps=portable)
        except NotPicklable as error:
            return Outcome(failure=Failure.from_exception(error))
        made = Call(key, name, data, report)
        calls.put(made)
        return made.future

    def stop(self, future: Future[Outcome]) -> bool:
        """End the worker that runs an attempt; return whether that can be done, which it can with workers of our own.

        A thread of a worker cannot be stopped, and the workers of a cluster that is the user's do other work as well.
        """
        call = None if self._calls is None else self._calls.of(future)
        if call is None or self._calls is None or not self._is_own:
            return False
        self._calls.stop(call)
        return True

    def shutdown(self) -> None:
        """Cancel what is queued, wait for what runs, and end what was made: a cluster, a connection."""
        with self._opened:
            if self._calls is not None:
                self._calls.leave()

    def _open(self) -> Calls:
        """Return what takes calls; the cluster of the run's own is started for the first."""
        if self._client is None:
            self._client = _started(self._slots, self._opened)
        else:
            _refuse(self._client)
        self._calls = Calls(self._client, self._slots, counts=self._counts, ahead=self._is_own)
        return self._calls


class _Connection(Client):  # type: ignore[misc]  # it has too few types
    """A client that closes when it cannot connect.

    Dask leaves that to the garbage collector, which may close it in the thread of another client's loop that is
    starting: the two then wait for each other until dask gives up, ten seconds later.
    """

    def __init__(self, address: str, **options: Any) -> None:
        try:
            super().__init__(address, **options)
        except BaseException:
            self.close()
            raise


def _refuse(client: Client) -> None:
    """Raise NotPossible for a client that cannot be waited for, and ClusterLost for one that is closed."""
    if client.asynchronous:
        todo = "make it without asynchronous=True, and run the engine in another thread than its loop's"
        raise NotPossible(f"{client!r} is asynchronous: it cannot be waited for", todo=todo)
    if client.status not in ("running", "connecting"):
        raise ClusterLost("the Client of dask that was given is closed")


def _threads_of(client: Client) -> int:
    """Return how many threads the workers have, at least 1: some may come. Raises NotPossible and ClusterLost."""
    _refuse(client)
    try:
        threads: int = sum(client.nthreads().values())
    except OSError as error:
        raise ClusterLost("the dask cluster does not answer", f"{type(error).__name__}: {error}") from error
    return max(1, threads)


def _started(workers: int, opened: ExitStack) -> Client:
    """Return a client of a cluster that is made now and ends with ``opened``. Raises NotPossible.

    Each worker has a second thread, in which an attempt waits for its turn. Logs are left out: dask tells of a worker
    that was lost or took long to end, which is no trouble here; what is trouble is raised. Memory has no limit but the
    system's.
    """
    folder = opened.enter_context(TemporaryDirectory(prefix="flowbook-dask-"))
    try:
        with interrupts_held():  # what is started inherits it: Ctrl-C is for the engine, which lets workers end
            cluster = opened.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=2,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # any free port: dask opens one also for no dashboard
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=0,
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                )
            )
            return opened.enter_context(Client(cluster, set_as_default=False))
    except (OSError, RuntimeError, AssertionError) as error:
        opened.close()
        raise NotPossible("no dask cluster can be started here", why=f"{error}", todo=_TODO_MAIN) from error


_TODO_MAIN = 'let the program run its flow below: if __name__ == "__main__":'
