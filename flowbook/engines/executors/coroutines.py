"""Attempts of async atoms run on an event loop, those of other atoms on a pool of threads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

from flowbook.atoms.base import Atom
from flowbook.atoms.task import Task
from flowbook.clock import Clock
from flowbook.engines.context import CURRENT, Context, Outcome
from flowbook.engines.executors.base import NO_AWAITABLES, attempt, in_time, limited_attempt, refuse_unawaited
from flowbook.engines.executors.loops import LoopLeft, LoopWatch, OwnLoop, loop_of_caller
from flowbook.engines.executors.threads import ThreadsExecutor
from flowbook.exceptions import NotPossible
from flowbook.failure import Failure
from flowbook.states import REVERT

MAX_IN_FLIGHT: Final = 10_000
"""How many attempts may be in flight, unless an engine is told otherwise: the bound on what runs again after a kill."""

AT_ONCE: Final = 100
"""How many coroutines begin in one turn of the loop, so that whoever else uses it has turns too."""


class AsyncExecutor:
    """Runs coroutines on one event loop, and what is not async on at most ``max_workers`` threads.

    The loop is that of the caller, where one awaits the run; else one of its own, in a thread that begins with the
    first coroutine.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        self.window = MAX_IN_FLIGHT
        self._threads = ThreadsExecutor(max_workers)
        self._own: OwnLoop | None = None
        self._watch: LoopWatch | None = None  # of the caller's loop
        self._loop: asyncio.AbstractEventLoop | None = loop_of_caller()
        self._tasks: dict[Future[Outcome], asyncio.Task[Outcome] | None] = {}  # all in flight; None: not begun
        self._queue: deque[tuple[Future[Outcome], tuple[Any, ...]]] = deque()
        self._awake = False  # the loop knows of the queue
        self._stopped: set[Future[Outcome]] = set()  # by us, and not by whoever else has their tasks

    def check(self, atoms: Iterable[Atom]) -> None:
        """Do nothing: every atom can run on a loop or in a thread."""

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Queue an attempt for the loop when it is async, else for a thread. Raises NotPossible for a closed loop."""
        if not _is_async(call, *args):
            return self._threads.submit(call, *args)
        if self._loop is None:
            self._own = OwnLoop()
            self._loop = self._own.loop
        elif self._own is None and self._watch is None:
            self._watch = LoopWatch(self._loop, self._interrupt)
        future: Future[Outcome] = Future()
        self._tasks[future] = None
        self._queue.append((future, args))
        if not self._awake:
            self._awake = True
            if not self._tell(self._begin):
                self._awake = False
                raise NotPossible("the event loop is closed", todo="await the run until it is over")
        return future

    def stop(self, future: Future[Outcome]) -> bool:
        """Cancel the task of an attempt; return whether it is a coroutine, whose future will end soon.

        A coroutine that catches CancelledError and goes on is not stopped by that. Of threads what is queued is taken
        back.
        """
        if future in self._tasks:
            return self._tell(self._cancel, future)
        return self._threads.stop(future)

    def shutdown(self) -> None:
        """Cancel what is queued and the coroutines that run, wait for them and for threads, and end both."""
        with ExitStack() as ending:
            if self._own is not None:
                ending.callback(self._own.close)
            ending.callback(self._threads.shutdown)
            if self._watch is not None:
                ending.callback(self._watch.leave)  # at last: the loop may end while we wait
            running = [future for future in tuple(self._tasks) if not future.cancel()]
            if running and not self._tell(self._cancel, *running):
                for future in running:  # the loop is closed: they are not run to their ends
                    self._end(future, _failed(asyncio.CancelledError()))
            wait(running)

    def _interrupt(self) -> None:
        """End all attempts, since their loop will not; called in the thread that watches it."""
        for future in tuple(self._tasks):
            self._end(future, _failed(LoopLeft()))

    def _tell(self, call: Callable[..., None], *args: Any) -> bool:
        """Have the loop call something; return whether it will."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            return False
        return True

    # -- in the thread of the loop --

    def _begin(self) -> None:
        """Make tasks of what is queued, some at a time."""
        assert self._loop is not None  # it calls this
        for _ in range(AT_ONCE):
            if not self._queue:
                self._awake = False
                if not self._queue:  # else somebody has queued, and may have seen that the loop knew
                    return
                self._awake = True
            future, (atom, arguments, at, clock) = self._queue.popleft()
            if future.set_running_or_notify_cancel():
                make = _attempt if at.timeout is None else _limited_attempt
                begun = self._loop.create_task(make(atom, arguments, at, clock), name=atom.name)
                self._tasks[future] = begun
                begun.add_done_callback(partial(self._over, future))
            else:
                del self._tasks[future]
        self._loop.call_soon(self._begin)

    def _cancel(self, *futures: Future[Outcome]) -> None:
        for future in futures:
            begun = self._tasks.get(future)
            if begun is not None:
                self._stopped.add(future)
                begun.cancel()
            else:
                future.cancel()

    def _over(self, future: Future[Outcome], begun: asyncio.Task[Outcome]) -> None:
        error = asyncio.CancelledError() if begun.cancelled() else begun.exception()  # cancelled before its first step
        outcome = begun.result() if error is None else _failed(error)
        if begun.cancelling() and future not in self._stopped and self._own is None and _is_cancelled(outcome):
            outcome = _failed(LoopLeft())
        self._end(future, outcome)

    def _end(self, future: Future[Outcome], outcome: Outcome) -> None:
        self._tasks.pop(future, None)
        self._stopped.discard(future)
        with suppress(InvalidStateError):  # it was interrupted, or cancelled before it began
            future.set_result(outcome)


def _failed(error: BaseException) -> Outcome:
    return Outcome(failure=Failure.from_exception(error))


def _is_cancelled(outcome: Outcome) -> bool:
    return outcome.failure is not None and isinstance(outcome.failure.exception, asyncio.CancelledError)


def _is_async(call: Callable[..., Outcome], *args: Any) -> bool:
    if call not in (attempt, limited_attempt):
        return False
    atom, _, at, _ = args
    return at.direction in atom.awaits


async def _attempt(atom: Task, arguments: Mapping[str, Any], at: Context, clock: Clock) -> Outcome:
    """Run one attempt of an async atom and return its outcome, as `attempt` does; a cancellation is a failure too."""
    began_at = clock.now()
    CURRENT.set(at)  # of this task of the loop, and of those that it begins
    reverts = at.direction is REVERT
    try:
        if atom.has_hooks:
            value = await _hooked(atom, arguments, reverts=reverts)
        else:
            value = await (atom.revert(**arguments) if reverts else atom.execute(**arguments))
        if type(value) not in NO_AWAITABLES:
            refuse_unawaited(atom, at.direction, value)
        return Outcome(value, None, began_at)
    except BaseException as error:
        return Outcome(None, Failure.from_exception(error), began_at)


async def _limited_attempt(atom: Task, arguments: Mapping[str, Any], at: Context, clock: Clock) -> Outcome:
    """Run one attempt of an async atom that has a timeout, as `limited_attempt` does."""
    at.begin(clock)
    return in_time(at, clock, await _attempt(atom, arguments, at, clock))


async def _hooked(atom: Task, arguments: Mapping[str, Any], *, reverts: bool) -> Any:
    before, call, after = (
        (atom.pre_revert, atom.revert, atom.post_revert)
        if reverts
        else (atom.pre_execute, atom.execute, atom.post_execute)
    )
    try:
        before()
        return await call(**arguments)
    finally:
        after()
