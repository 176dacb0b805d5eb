"""The calls that an engine has given to a client of dask and that have not ended: handed over, watched, and ended.

All of it happens on the client's loop, but for what the engine's thread puts in and the watch, which works without the
loop: a call has to end also when the client is closed.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import threading
from collections import deque
from concurrent.futures import CancelledError, Future, InvalidStateError, wait
from contextlib import suppress
from typing import Any, Final

import dask
from distributed import Client, KilledWorker

from flowbook.engines.context import Outcome, Report
from flowbook.engines.executors.dask_worker import NO_TURN, Ended, run_attempt, stop_attempt
from flowbook.engines.executors.errors import ClusterLost, WorkerLost
from flowbook.engines.executors.pickling import unpickled
from flowbook.engines.executors.worker import arrived
from flowbook.failure import Failure
from flowbook.secrets import masking

AHEAD_S: Final = 0.05
"""How much work is handed over ahead, so that no worker waits for the next attempt."""

AHEAD_MAX: Final = 7
"""How many attempts that is for each worker, at most."""

WATCH_S: Final = 1.0
"""How often the client and its workers are looked at."""

NO_WORKER_S: Final = 60.0
"""How long attempts wait while a cluster has no worker, unless dask's setting ``no-workers-timeout`` says."""

_NO_BOUND: Final = 1 << 62

_reports: dict[str, Report] = {}  # what takes the words of the attempts that run, by key


class Call:
    """One attempt: what travels, what takes its words, and the future that the engine waits for."""

    def __init__(self, key: str, name: str, parcel: bytes, report: Report | None) -> None:
        self.key, self.name, self.parcel = key, name, parcel
        self.future: Future[Outcome] = Future()
        self.theirs: Any = None  # dask's future
        self.turn = 0  # how often it was taken back
        self.stopped = False
        self._changing = threading.Lock()
        if report is not None:
            _reports[key] = report

    def begin(self) -> bool:
        """Return whether it is to be handed over; then it cannot be cancelled any more."""
        with self._changing:
            if self.stopped or self.future.done():
                return False
            return self.future.running() or self.future.set_running_or_notify_cancel()

    def end(self, outcome: Outcome | BaseException) -> None:
        """End it, if it has not ended."""
        _reports.pop(self.key, None)
        with self._changing, suppress(InvalidStateError):
            if isinstance(outcome, BaseException):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)


class Calls:
    """The calls at one client, of which ``threads`` run at a time.

    ``counts`` makes that as many as its workers have threads, whenever that changes; ``ahead`` hands some more over.
    """

    def __init__(self, client: Client, threads: int, *, counts: bool, ahead: bool) -> None:
        self._client = client
        self._counts = counts
        self._ahead = ahead
        self._cluster = f"the dask cluster at {client.scheduler.address}"
        self._open: dict[Future[Outcome], Call] = {}
        self._waiting: deque[Call] = deque()
        self._handed: set[Call] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._seconds = math.inf  # what an attempt takes, by the latest
        self._there = threads
        self._looks = 0  # since a worker was seen
        self._counting = False
        self._left = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="flowbook dask", daemon=True)
        client.subscribe_topic(topic_of(client), _hear)
        self._watcher.start()

    def put(self, call: Call) -> None:
        """Take a call in; it is handed over when a worker is free, or soon will be."""
        self._open[call.future] = call
        call.future.add_done_callback(self._forget)
        self._waiting.append(call)
        self._client.loop.add_callback(self._hand_over)

    def of(self, future: Future[Outcome]) -> Call | None:
        """Return the call of a future that has not ended."""
        return self._open.get(future)

    def stop(self, call: Call) -> None:
        """End a call, and the worker process that runs it."""
        self._client.loop.add_callback(self._stop, call)

    def leave(self) -> None:
        """Cancel what is queued, wait for what runs, and watch no more."""
        futures = tuple(self._open)
        wait([future for future in futures if not future.cancel()])
        self._left.set()
        self._watcher.join()

    def lose(self, what: str, why: str = "") -> None:
        """End all calls: what has become of them cannot be known."""
        for call in tuple(self._open.values()):
            call.end(ClusterLost(what, why))

    def _forget(self, future: Future[Outcome]) -> None:
        call = self._open.pop(future, None)
        if call is not None:
            _reports.pop(call.key, None)

    # -- on the client's loop --

    def _hand_over(self) -> None:
        calls: list[Call] = []
        ahead = min(AHEAD_MAX, int(AHEAD_S / self._seconds)) if self._ahead else 0
        most = self._there * (1 + ahead)
        room = most - len(self._handed)
        if len(self._handed) >= self._there and room < min(most // 2, len(self._waiting)):
            return  # every worker has something, and many at a time cost dask less than one by one
        while self._waiting and len(calls) < room:
            call = self._waiting.popleft()
            if call.begin():
                calls.append(call)
        if calls:
            self._handed.update(calls)
            self._submit(calls)

    def _submit(self, calls: list[Call]) -> None:
        try:
            futures = _mapped(self._client, calls)
        except Exception as error:  # the client is being closed
            self.lose(f"{self._cluster} takes no work", _told(error))
            return
        for call, theirs in zip(calls, futures, strict=True):
            call.theirs = theirs
            task = asyncio.ensure_future(self._take(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take(self, call: Call) -> None:
        """Wait for the end of a call at dask, and end it; or queue it again, if it had no turn."""
        try:
            data = await call.theirs
        except KilledWorker as error:
            how = f"was lost {error.allowed_failures + 1} times in the middle of it: dask gives it up"
            call.end(Outcome(failure=Failure.from_exception(WorkerLost(call.name, how))))
        except (Exception, asyncio.CancelledError) as error:  # what dask says when it cannot go on
            if not call.stopped and call.future in self._open:
                self.lose(f"{self._cluster} has lost {call.name!r}", _told(error))
        else:
            self._end(call, data)
        finally:
            self._handed.discard(call)
            call.theirs.release()
            self._hand_over()

    def _end(self, call: Call, data: bytes) -> None:
        if data == NO_TURN:
            call.turn += 1
            self._seconds = math.inf
            self._waiting.appendleft(call)
            return
        try:
            ended: Ended = unpickled(data)
        except Exception as error:  # the classes in it are the caller's
            call.end(Outcome(failure=Failure.from_exception(error)))
            return
        for text in ended.secrets:
            masking.remember(text)
        if ended.told:
            _report(call.key, json.dumps(ended.told))
        self._seconds = max(1e-6, ended.seconds, (ended.seconds if self._seconds == math.inf else self._seconds) * 0.9)
        outcome = ended.outcome
        call.end(outcome if outcome.failure is None else outcome._replace(failure=arrived(outcome.failure)))

    async def _stop(self, call: Call) -> None:
        call.stopped = True
        try:
            if call.theirs is not None:
                await self._client.cancel([call.theirs], force=True, asynchronous=True)  # it is not to run again
            pids = await self._client.run(stop_attempt, call.key, on_error="ignore")
            for pid in filter(None, pids.values()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            call.end(CancelledError())

    async def _count(self) -> None:
        """Look how many threads there are: workers come and go."""
        try:
            threads = await self._client.nthreads(asynchronous=True)
        except OSError:  # the connection is being lost, which ends all calls
            return
        finally:
            self._counting = False
        if threads:
            self._looks = 0
            if self._counts:
                self._there = sum(threads.values())
                self._hand_over()

    # -- the watch --

    def _watch(self) -> None:
        while not self._left.wait(WATCH_S):
            if self._client.status in ("closing", "closed"):
                self.lose(f"the client of {self._cluster} was closed")
            elif not self._open:
                self._looks = 0
            elif self._client.status == "running":
                self._look_for_workers()

    def _look_for_workers(self) -> None:
        """Ask for them, and give up where none was seen: looks are counted, since this process may have stood still."""
        self._looks += 1
        patience_s = _patience_s()
        if self._looks * WATCH_S > patience_s:
            self.lose(f"{self._cluster} has shown no worker for {patience_s:g} s")
        elif not self._counting:
            self._counting = True
            self._client.loop.add_callback(self._count)


def topic_of(client: Client) -> str:
    """Return the topic under which workers tell what the attempts of a client tell."""
    return f"flowbook-{client.id}"


def _mapped(client: Client, calls: list[Call]) -> list[Any]:
    """Return dask's futures of ``calls``. Their number of bytes is the flow's affair: dask is not to warn of it."""
    parcels, keys = [call.parcel for call in calls], [f"{call.key}-{call.turn}" for call in calls]
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": _NO_BOUND}):
        return list(client.map(run_attempt, parcels, key=keys, pure=False, retries=0))


def _hear(event: tuple[float, tuple[str, str]]) -> None:
    _, (key, told) = event
    _report(key, told)


def _report(key: str, told: str) -> None:
    report = _reports.get(key)
    if report is not None:
        report(json.loads(masking.masked_json(told)))


def _patience_s() -> float:
    given = dask.config.get("distributed.scheduler.no-workers-timeout", None)
    return NO_WORKER_S if given is None else float(dask.utils.parse_timedelta(given))


def _told(error: BaseException) -> str:
    return masking.masked(f"{type(error).__name__}: {error}")
