"""The base of all listeners: a context in which an engine's notices are heard."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypedDict

from flowbook.engines.engine import Engine
from flowbook.events import ANY, Notice
from flowbook.exceptions import InvalidState, NotFound, NotPossible
from flowbook.failure import Failure
from flowbook.listeners.detached import Detached
from flowbook.states import AtomState

QUEUE_SIZE = 1000


class Listening(TypedDict, total=False):
    """What every listener takes beside its own options."""

    flow_states: Iterable[str]
    atom_states: Iterable[str]
    detached: bool
    queue_size: int


class Listener(abc.ABC):
    """Hears of an engine's run while its context is entered: ``with SomeListener(engine): engine.run()``.

    It hears of ``flow_states`` of the flow and ``atom_states`` of its atoms, all by default, in the engine's thread:
    it may suspend the engine, and a slow one slows the run. What it raises is logged and harms nothing.

    A ``detached`` one hears in a thread of its own, and the run does not wait for it: notices wait in a queue of
    ``queue_size``, and those that find it full are counted in ``dropped``. What it reads from the engine may be newer
    than the notice. Leaving the context waits until it has heard of all that is in the queue.

    Subclasses say what to do with a notice in ``hear``. Raises NotPossible for a queue without room, and on entering
    for states that do not exist.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        flow_states: Iterable[str] = (ANY,),
        atom_states: Iterable[str] = (ANY,),
        detached: bool = False,
        queue_size: int = QUEUE_SIZE,
    ) -> None:
        if queue_size < 1:
            raise NotPossible(f"a queue of {queue_size} notices holds none", todo="queue_size counts from 1")
        self.engine = engine
        self._heard = [(engine.notifier, state) for state in flow_states]
        self._heard += [(engine.atom_notifier, state) for state in atom_states]
        self._detached = Detached(self.hear, queue_size) if detached else None
        self._leaving: ExitStack | None = None

    @property
    def dropped(self) -> int:
        """How many notices found the queue full."""
        return 0 if self._detached is None else self._detached.dropped

    @abc.abstractmethod
    def hear(self, notice: Notice) -> None:
        """Take in a notice."""

    def __enter__(self) -> Self:
        if self._leaving is not None:
            raise InvalidState("enter the listener", "it listens already")
        with ExitStack() as stack:
            hear = self.hear if self._detached is None else stack.enter_context(self._detached)
            for notifier, state in self._heard:
                notifier.register(state, hear)
                stack.callback(notifier.deregister, state, hear)
            self._leaving = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.close()


def failure_of(engine: Engine, notice: Notice) -> Failure | None:
    """Return the failure that a notice tells of, as the engine's storage has it now; None where there is none."""
    try:
        match notice.state:
            case AtomState.FAILURE if notice.atom:
                told = engine.storage.get(notice.atom)
            case AtomState.REVERT_FAILURE:
                told = engine.storage.get_revert_failures().get(notice.atom)
            case _:
                return None
    except NotFound:  # a detached listener may come when it was retried
        return None
    return told if isinstance(told, Failure) else None
