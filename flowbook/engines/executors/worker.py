"""A worker process: the engine's side of it (`Worker`), its own (`serve`), and what the two send each other.

One pipe for each worker, and one attempt in it at a time. The worker tells when it is ready, when it begins an attempt,
what the attempt tells of itself, and how it ended; an end of the pipe or of the process in between is its death, and
the engine's side knows whether the attempt had begun.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from flowbook.engines.context import Context, Outcome, Report
from flowbook.engines.executors.errors import NotPicklable
from flowbook.engines.executors.pickling import Dumps, by_reference, pickled, unpickled
from flowbook.failure import Failure
from flowbook.secrets import masking

READY, BEGUN, TOLD, ENDED = b"r", b"b", b"t", b"e"
"""The first byte of what a worker sends."""

GRACE_S: Final = 5.0
"""How long a worker may take to leave when it is told to; then it is killed."""

_SPAWN = get_context("spawn")
_starting = threading.Lock()


class WorkerDied(Exception):
    """The worker has ended: how, and whether the attempt that it was given had begun."""

    def __init__(self, how: str, *, begun: bool) -> None:
        self.how, self.begun = how, begun
        super().__init__(how)


class Worker:
    """A process that runs attempts, as the engine's process sees it. One thread at a time uses it."""

    def __init__(self) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=serve, args=(theirs,), name="flowbook worker")
        with _starting, theirs, interrupts_held():
            self._process.start()
        self._pidfd = _pidfd_of(self._process)
        self._sentinel = self._process.sentinel if self._pidfd is None else self._pidfd
        self._known: set[str] = set()  # texts of secrets that both sides mask

    def wait_ready(self) -> None:
        """Wait until it takes attempts. Raises WorkerDied."""
        while self._received(begun=False)[:1] != READY:
            pass

    def run(self, job: Callable[[tuple[str, ...]], bytes], report: Report | None) -> Outcome:
        """Return the outcome of the attempt that ``job`` pickles, given the secrets to be masked; ``report`` takes
        what it tells. Raises WorkerDied and NotPicklable.
        """
        secrets = _news(self._known)
        data = job(secrets)
        self._known.update(secrets)
        begun = False
        try:
            self._pipe.send_bytes(data)
        except OSError:
            raise WorkerDied(self._fate(), begun=False) from None
        while True:
            message = self._received(begun=begun)
            kind, content = message[:1], message[1:]
            begun = begun or kind == BEGUN
            if kind == TOLD and report is not None:
                report(json.loads(masking.masked_json(content.decode())))
            elif kind == ENDED:
                return self._outcome(content)

    def kill(self) -> None:
        """End it in the middle of what it does; `run` raises WorkerDied, unless the outcome was sent before."""
        if self._pidfd is None:
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def dismiss(self) -> None:
        """Tell it to leave, which it does when no attempt runs."""
        self._pipe.close()

    def stop(self) -> None:
        """Tell it to leave, wait for that, and kill it when it does not."""
        self.dismiss()
        self._join()
        with suppress(ValueError):  # not even a kill has ended it yet
            self._process.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _received(self, *, begun: bool) -> bytes:
        """Return its next message; what it sent before its death is received first."""
        with suppress(EOFError, OSError):
            if self._pipe in wait([self._pipe, self._sentinel]):
                return self._pipe.recv_bytes()
        raise WorkerDied(self._fate(), begun=begun)

    def _outcome(self, content: bytes) -> Outcome:
        outcome: Outcome
        try:
            outcome, secrets = unpickled(content)
        except Exception as error:  # the classes in it are the caller's
            return Outcome(failure=Failure.from_exception(error))
        for text in secrets:
            masking.remember(text)
        self._known.update(secrets)
        return outcome if outcome.failure is None else outcome._replace(failure=arrived(outcome.failure))

    def _fate(self) -> str:
        """Wait for its end, and say how it ended."""
        self._join()
        code = self._process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _join(self) -> None:
        if not wait([self._sentinel], GRACE_S):
            self._process.kill()
            wait([self._sentinel], GRACE_S)
        with _starting:  # two that wait for one process would take its exit code from each other
            if self._pidfd is None or self._process.exitcode is not None:  # else join would wait for the sentinel
                self._process.join(GRACE_S)


def serve(pipe: Connection) -> None:
    """Run attempts, one after the other, until the engine's side of ``pipe`` is closed; the worker's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the engine gets it too, and decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_the_engine, daemon=True).start()
    side = _Side(pipe)
    with suppress(EOFError, OSError):  # the engine has let go
        side.send(READY)
        while True:
            side.run(pipe.recv_bytes())


class _Side:
    """The worker's side of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()  # threads of a task may tell, too
        self._job = 0
        self._name = ""
        self._known: set[str] = set()

    def send(self, kind: bytes, content: bytes = b"") -> None:
        with self._sending:
            self._pipe.send_bytes(kind + content)

    def run(self, data: bytes) -> None:
        self._job += 1
        outcome = self._outcome(data)
        with self._sending:
            self._job += 1  # what a thread that was left behind tells from here on is not heard
        self.send(ENDED, self._pickled(outcome))

    def _outcome(self, data: bytes) -> Outcome:
        try:
            call, args, secrets = unpickled(data)
        except BaseException as error:  # importing what is named in it runs the caller's code
            return Outcome(failure=Failure.from_exception(not_unpickled(error)))
        for text in secrets:
            masking.remember(text)
        self._known.update(secrets)
        self.send(BEGUN)
        self._name = next((one.atom for one in args if isinstance(one, Context)), "a call")
        report = partial(self._report, self._job)
        outcome: Outcome = call(*(one.told_to(report) if isinstance(one, Context) else one for one in args))
        return outcome

    def _report(self, job: int, metadata: Mapping[str, object]) -> None:
        with self._sending:
            if job == self._job:
                self._pipe.send_bytes(TOLD + json.dumps(metadata).encode())

    def _pickled(self, outcome: Outcome) -> bytes:
        secrets = _news(self._known)
        self._known.update(secrets)
        what = f"the outcome of {self._name!r}"
        try:
            return pickled((outcome, secrets), what, name="outcome")
        except NotPicklable as error:
            failure = Failure.from_exception(of_result(outcome.value, self._name) or error)
        return pickled((Outcome(None, failure, outcome.began_at), secrets), what, name="outcome")


def of_result(value: object, name: str, dumps: Dumps = by_reference) -> NotPicklable | None:
    """Return what is to be said of a result that cannot travel, or None for one that can."""
    try:
        pickled(value, f"the result of {name!r}", name="result", dumps=dumps)
    except NotPicklable as error:
        return error
    return None


def not_unpickled(error: BaseException) -> NotPicklable:
    """Return what is to be said of an attempt that a worker could not make again."""
    made = NotPicklable("the attempt", "the worker process cannot make it again", f"{type(error).__name__}: {error}")
    made.__cause__ = error
    return made


def _news(known: set[str]) -> tuple[str, ...]:
    """Return the texts of secrets that this process has seen since it was last asked for ``known``."""
    return tuple(text for text in masking.remembered() if text not in known)


def arrived(failure: Failure) -> Failure:
    """Return a worker's failure as one of this process: its main module has the same name, its secrets are masked.

    A traceback stays where it was; its text becomes a note of the exception.
    """
    told = failure.to_dict()
    for one in (told, *told["causes"]):
        one["exc_type_names"] = [name.replace("__mp_main__.", "__main__.") for name in one["exc_type_names"]]
        for name in ("exception_str", "traceback_str", "exc_args"):
            one[name] = masking.masked_value(one[name])
    arrived = Failure.from_dict(told)
    for mine, its in zip((arrived, *arrived.causes), (failure, *failure.causes), strict=True):
        mine.exception = its.exception
    if arrived.exception is not None and arrived.traceback_str:
        with suppress(Exception):  # its class may not let itself be added to
            arrived.exception.add_note(f"in a worker process: {arrived.traceback_str.rstrip()}")
    return arrived


def _end_with_the_engine() -> None:
    """End this process, in the middle of whatever it does, when the engine's has ended."""
    engine = parent_process()
    if engine is not None:
        engine.join()
    os._exit(1)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a process that is started here not be interrupted before it can say that it does not mind."""
    resource_tracker.ensure_running()  # it would let interrupts through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pidfd_of(process: BaseProcess) -> int | None:
    """Return a descriptor that is ready when the process has ended, or None where the system has none.

    The sentinel of multiprocessing is not: whatever the process has forked holds it open.
    """
    opens: Any = getattr(os, "pidfd_open", None)  # only Linux has it
    try:
        return None if opens is None else int(opens(process.pid))
    except OSError:
        return None
