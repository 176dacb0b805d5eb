"""TaskFlow's ``task``: flowbook's tasks with TaskFlow's constructors, and a notifier for their progress."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import flowbook.atoms as native
from flowbook.atoms.functors import OverValues
from flowbook.taskflow.atom import Atom
from flowbook.taskflow.types.notifier import RestrictedNotifier

LOG = logging.getLogger(__name__)

REVERT_RESULT, REVERT_FLOW_FAILURES, EVENT_UPDATE_PROGRESS = "result", "flow_failures", "update_progress"


class Task(Atom, native.Task, limits_time=False):
    """An atom that does work and may undo it; its name is that of its class unless given."""

    TASK_EVENTS: ClassVar[tuple[str, ...]] = (EVENT_UPDATE_PROGRESS,)

    def __init__(self, name: Any = None, *args: Any, **kwargs: Any) -> None:  # the others are those of Atom
        super().__init__(f"{type(self).__module__}.{type(self).__name__}" if name is None else name, *args, **kwargs)
        self.notifier = RestrictedNotifier(self.TASK_EVENTS)

    def copy(self, retain_listeners: bool = True, *, name: str | None = None) -> Self:
        """Return another task just like this one, with a notifier of its own, empty if asked for."""
        other = super().copy(name=name)
        other.notifier = self.notifier.copy() if retain_listeners else RestrictedNotifier(self.TASK_EVENTS)
        return other

    def update_progress(self, progress: float) -> None:
        """Tell how far the work has come, from 0.0 to 1.0; what lies outside is taken as the nearer of these."""
        clamped = min(max(progress, 0.0), 1.0)
        if clamped != progress:
            LOG.warning("The progress of %s lies between 0.0 and 1.0: %s is taken as %s", self, progress, clamped)
        self.notifier.notify(EVENT_UPDATE_PROGRESS, {"progress": clamped})


class FunctorTask(Task):
    """A task made of a function, and of another that undoes it; its name is the function's unless given."""

    def __init__(
        self,
        execute: Callable[..., Any],
        name: Any = None,
        provides: Any = None,
        requires: Any = None,
        auto_extract: bool = True,
        rebind: Any = None,
        revert: Callable[..., Any] | None = None,
        version: Any = None,
        inject: Mapping[str, Any] | None = None,
    ) -> None:
        _check_callable("execute", execute)
        _check_callable("revert", revert or execute)
        self.execute = execute  # type: ignore[method-assign]  # the function itself: its parameters are read
        if revert is not None:
            self.revert = revert  # type: ignore[method-assign]
        self.has_revert = revert is not None
        super().__init__(_name_of(execute) if name is None else name, provides, requires, auto_extract, rebind, inject)
        if version is not None:
            self.version = version

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Stand for the function that is given."""


class _OverValues(OverValues, Task):
    """A task that calls a function with several values, with TaskFlow's names and errors."""

    def __init__(self, functor: Any, requires: Any, name: Any = None, *args: Any, **kwargs: Any) -> None:
        _check_callable("functor", functor)
        super().__init__(functor, requires, _name_of(functor) if name is None else name, *args, **kwargs)


class MapFunctorTask(native.MapFunctorTask, _OverValues):
    """Call a function of one argument with each of the values in ``requires``; give the list of what it returns."""


class ReduceFunctorTask(native.ReduceFunctorTask, _OverValues):
    """Fold the values in ``requires``, two or more, into one by a function of two arguments."""


def _check_callable(what: str, function: object) -> None:
    if not callable(function):
        raise ValueError(f"{what} must be callable, which {function!r} is not")


def _name_of(function: Any) -> str:
    """Return the full name of a function or method, or of the class of another callable."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
