"""Awaiting: an engine runs in a thread of its own, while the event loop of its caller goes on."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from flowbook.engines.inbox import Inbox, Lost
from flowbook.failure import WrappedFailure

if TYPE_CHECKING:
    from flowbook.engines.storage import Storage

T = TypeVar("T")


class Awaited(ABC):
    """The half of an engine that event loops see."""

    run_id: str
    storage: Storage
    _inbox: Inbox

    @abstractmethod
    def run_iter(self) -> Iterator[str]:
        """Run the flow; see `Engine`."""

    @abstractmethod
    def suspend(self) -> None:
        """Ask the running engine to stop; see `Engine`."""

    async def arun(self) -> None:
        """Run the flow as ``run`` does, in a thread, while the event loop that awaits it goes on.

        With ``executor="async"`` coroutines of atoms run on that loop. Cancelling the task that awaits suspends the
        flow: what runs ends and is saved, then CancelledError is raised. A second time stops at once: coroutines that
        run are cancelled, and their atoms interrupted; so does a loop that cancels all its tasks, as ``asyncio.run`` at
        its end. Raises what ``run`` raises, and WrappedFailure for an atom that failed with CancelledError.
        """
        from asyncio import CancelledError

        from flowbook.engines.executors.loops import LoopLeft

        wishes: list[None] = []  # one for each time that the task was cancelled

        def wish() -> None:
            wishes.append(None)
            self._heed(len(wishes))

        def run() -> None:
            heeded = 0
            try:
                for _ in self.run_iter():
                    if heeded < len(wishes):  # they may have come before the engine could hear them
                        heeded = len(wishes)
                        self._heed(heeded)
            except LoopLeft as error:
                raise CancelledError from error
            try:
                self.storage.raise_failures()
            except CancelledError as error:
                raise WrappedFailure(self.storage.get_failures()) from error

        await in_thread(run, f"flowbook {self.run_id}", wish)

    def _heed(self, wishes: int) -> None:
        if wishes == 1:
            self.suspend()
        else:
            self._inbox.put(Lost(KeyboardInterrupt()))


async def in_thread(call: Callable[[], T], name: str, on_cancel: Callable[[], None] = lambda: None) -> T:
    """Return what ``call`` returns, called in a thread of its own, with the context variables of the caller.

    When the task that awaits is cancelled, ``on_cancel`` is called, each time, and the end of the call waited for;
    then CancelledError is raised.
    """
    import asyncio

    from flowbook.engines.executors.loops import awaited_by

    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    returned: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with awaited_by(loop):
                returned.append(call())
        except BaseException as error:  # it belongs to who awaits
            raised.append(error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended.set_result, None)

    thread = threading.Thread(target=copy_context().run, args=(work,), name=name)
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            cancelled = error
            on_cancel()
        except GeneratorExit:  # the coroutine is closed: it must not wait
            on_cancel()
            raise
    thread.join()
    if cancelled is not None:
        raise cancelled from (raised[0] if raised else None)
    if raised:
        raise raised.pop()
    return returned[0]
