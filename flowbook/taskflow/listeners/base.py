"""Adapts ``taskflow.listeners.base``: classes whose receivers hear of flows, tasks and retries."""

import abc
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Self

from flowbook.failure import Failure
from flowbook.listeners.surroundings import exc_info_of
from flowbook.taskflow import states
from flowbook.taskflow.types.notifier import Notifier

FINISH_STATES = (states.FAILURE, states.SUCCESS, states.REVERTED, states.REVERT_FAILURE)
DEFAULT_LISTEN_FOR = (Notifier.ANY,)

Details = dict[str, Any]
ListenFor = Iterable[str] | None


class Listener:
    """Hears of an engine's changes of state while its context is entered; subclasses override the receivers."""

    def __init__(
        self,
        engine: Any,  # what has a notifier and an atom_notifier
        task_listen_for: ListenFor = DEFAULT_LISTEN_FOR,
        flow_listen_for: ListenFor = DEFAULT_LISTEN_FOR,
        retry_listen_for: ListenFor = DEFAULT_LISTEN_FOR,
    ) -> None:
        self._engine = engine
        self._listen_for = {"task": task_listen_for, "flow": flow_listen_for, "retry": retry_listen_for}
        self._registered = ExitStack()

    def _receive(self, kind: str, state: str, details: Details) -> None:
        """Hear that the flow, a task or a retry has come into ``state``, unless its receiver is overridden."""

    def _flow_receiver(self, state: str, details: Details) -> None:
        self._receive("flow", state, details)

    def _task_receiver(self, state: str, details: Details) -> None:
        self._receive("task", state, details)

    def _retry_receiver(self, state: str, details: Details) -> None:
        self._receive("retry", state, details)

    def register(self) -> None:
        """Begin to hear. Raises ValueError for what cannot be listened for."""
        self.deregister()
        with ExitStack() as stack:
            for kind, heard in self._listen_for.items():
                notifier = self._engine.notifier if kind == "flow" else self._engine.atom_notifier
                receiver = getattr(self, f"_{kind}_receiver")
                tells = frozenset((f"{kind}_name", f"{kind}_uuid")).issubset  # details that name it
                for state in dict.fromkeys(heard or ()):
                    notifier.register(state, receiver, details_filter=tells)
                    stack.callback(notifier.deregister, state, receiver, details_filter=tells)
            self._registered = stack.pop_all()

    def deregister(self) -> None:
        """Hear no more."""
        self._registered.close()

    def __enter__(self) -> Self:
        self.register()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.deregister()


class DumpingListener(Listener, metaclass=abc.ABCMeta):
    """Makes a line of each change of state of the flow and its tasks; subclasses say where it goes."""

    @abc.abstractmethod
    def _dump(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Write ``message % args``; ``exc_info`` is given for a failure whose exception is known."""

    def _receive(self, kind: str, state: str, details: Details) -> None:
        if kind == "retry":
            return
        message = "%s: %s '%s' (%s) is %s, was %s"
        told = [self._engine, kind, details[f"{kind}_name"], details[f"{kind}_uuid"], state, details["old_state"]]
        result = details.get("result")
        if state in FINISH_STATES and "result" in details:
            message, told = f"{message}, result '%s'", [*told, result]
        self._dump(message, *told, exc_info=exc_info_of(result) if isinstance(result, Failure) else None)
