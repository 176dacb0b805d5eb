"""Task: an atom that does work and may undo it; and @task, which makes one of a function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import update_wrapper
from math import isfinite
from typing import Any, ClassVar, Generic, ParamSpec, Self, TypeVar, overload

from flowbook.atoms.base import Atom, Kind
from flowbook.atoms.signature import AnyCallable, definition_of, is_async, parameters_of, place_at, read_parameters
from flowbook.atoms.wiring import PLAIN, Method, Methods, Names, Rebind, Wiring, wire
from flowbook.exceptions import NotPossible, WrongType
from flowbook.main_module import lasting_name
from flowbook.states import Direction

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

RESULT = "result"
"""revert's parameter of this name gets what execute returned, or the Failure if it raised."""

FLOW_FAILURES = "flow_failures"
"""revert's parameter of this name gets the failures of the flow, a dict of atom name to Failure."""

_GIVEN_TO_REVERT = frozenset({RESULT, FLOW_FAILURES})
_HOOKS = ("pre_execute", "post_execute", "pre_revert", "post_revert")


def _directions(*, execute: bool, revert: bool) -> frozenset[Direction]:
    either = ((Direction.EXECUTE, execute), (Direction.REVERT, revert))
    return frozenset(direction for direction, is_one in either if is_one)


class Task(Atom):
    """An atom that does work: subclass it, write ``execute`` and, where it can be undone, ``revert``.

    The name is the class's (``module.Class``) unless given; within a flow names must differ. ``execute`` and ``revert``
    may be ``async``, for the executor of that name. ``timeout`` is how many seconds an attempt of ``execute`` may take,
    counted from when it really begins (None: as long as it likes).

    >>> class Reserve(Task):
    ...     default_provides = "reservation"
    ...     def execute(self, order): return f"room for {order}"
    ...     def revert(self, result): print("released", result)
    >>> Reserve("reserve")
    <Reserve 'reserve' (order) -> reservation>
    """

    kind: ClassVar[Kind] = "task"
    limits_time: ClassVar[bool] = True

    def __init_subclass__(cls, limits_time: bool | None = None, **kwargs: Any) -> None:  # as in Atom
        super().__init_subclass__(**kwargs)
        if limits_time is not None:  # False where ``timeout`` is an attribute of the user's own
            cls.limits_time = limits_time
        if cls.limits_time and cls.timeout is not None:
            check_timeout(f"timeout of {cls.__qualname__}", cls.timeout)
        cls._default_name = f"{lasting_name(cls.__module__)}.{cls.__qualname__}"
        cls.has_revert = cls.revert is not Atom.revert
        cls.has_hooks = any(getattr(cls, hook) is not getattr(Task, hook) for hook in _HOOKS)
        cls.awaits = _directions(execute=is_async(cls.execute), revert=is_async(cls.revert))

    def pre_execute(self) -> None:
        """Run before execute, in the same place."""

    def post_execute(self) -> None:
        """Run after execute, whether it returned or raised."""

    def pre_revert(self) -> None:
        """Run before revert, in the same place."""

    def post_revert(self) -> None:
        """Run after revert, whether it returned or raised."""

    def copy(self, *, name: str | None = None) -> Self:
        """Return another task just like this one, under ``name`` if given."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        if name is not None:
            other.name = name
        return other

    def _methods(self) -> Methods:
        cls = type(self)
        if cls.execute is Task.execute:
            raise NotPossible(f"{cls.__qualname__} has no execute: a task must say what it does")
        for hook in _HOOKS if cls.has_hooks else ():
            if is_async(method := getattr(self, hook)):
                where = place_at(*definition_of(method))
                raise NotPossible(f"{hook} of {self.name!r} is async: write it as a plain 'def'", where=where)
        execute = Method(read_parameters(self.execute, may_be_async=True))
        if not cls.has_revert:
            return Methods(execute)
        return Methods(execute, Method(read_parameters(self.revert, may_be_async=True), _GIVEN_TO_REVERT))


class FunctionTask(Task, Generic[P, R]):
    """A task made of a function by `task`; it can still be called as that function."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]

    def __init__(
        self,
        function: Callable[P, R],
        name: str | None = None,
        provides: Names | None = None,
        requires: Names | None = None,
        auto_extract: bool = True,
        rebind: Rebind | None = None,
        inject: Mapping[str, object] | None = None,
        ignore_list: Names | None = None,
        revert: AnyCallable | None = None,
        revert_rebind: Rebind | None = None,
        revert_requires: Names | None = None,
        version: tuple[int, int] | None = None,
        priority: int | None = None,
        executor: str | None = None,
        timeout: float | None = None,
    ) -> None:
        if not callable(function):
            raise WrongType("what @task is put on", function, "a function")
        if revert is not None and not callable(revert):
            raise WrongType("revert of @task", revert, "a function")
        _refuse_method(function)
        update_wrapper(self, function)
        self._function, self._revert = function, revert
        self._origin: FunctionTask[P, R] | None = None
        self._of_function = _read_functions(function, revert)
        self.has_revert = revert is not None
        execute, undo = self._of_function[0].execute, self._of_function[0].revert
        self.awaits = _directions(
            execute=execute.parameters.is_async, revert=undo is not None and undo.parameters.is_async
        )
        self._asked: dict[str, Any] = {  # the arguments above, for atom()
            "provides": provides,
            "requires": requires,
            "auto_extract": auto_extract,
            "rebind": rebind,
            "inject": inject,
            "ignore_list": ignore_list,
            "revert_rebind": revert_rebind,
            "revert_requires": revert_requires,
        }
        if priority is not None:
            self.priority = priority
        self._limit(timeout)
        name = name_of(function) if name is None else name
        super().__init__(name, version=version, executor=executor, **self._asked)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself; nothing is recorded."""
        return self._function(*args, **kwargs)

    def execute(self, *args: Any, **kwargs: Any) -> R:  # the engine passes what the wiring says
        """Call the function."""
        return self._function(*args, **kwargs)

    def revert(self, *args: Any, **kwargs: Any) -> Any:  # as above
        """Call the function that was given as revert, if any."""
        return None if self._revert is None else self._revert(*args, **kwargs)

    def atom(
        self,
        name: str | None = None,
        provides: Names | None = None,
        requires: Names | None = None,
        rebind: Rebind | None = None,
        inject: Mapping[str, object] | None = None,
        version: tuple[int, int] | None = None,
        priority: int | None = None,
        executor: str | None = None,
        timeout: float | None = None,
    ) -> Self:
        """Return another atom of the same function; what is not given stays as it is."""
        other = self.copy()
        other._origin = self._origin or self
        changes = {"provides": provides, "requires": requires, "rebind": rebind, "inject": inject}
        other._asked = {**self._asked, **{key: value for key, value in changes.items() if value is not None}}
        if priority is not None:
            other.priority = priority
        other._limit(timeout)
        name = self.name if name is None else name
        Atom.__init__(other, name, version=version, executor=executor, **other._asked)
        return other

    def _limit(self, timeout: float | None) -> None:
        if timeout is not None:
            check_timeout(f"timeout of {self.__name__!r}", timeout)
            self.timeout = timeout

    @property
    def place(self) -> str:
        """Where the function is defined, as ``file:line``."""
        return place_at(*definition_of(self._function))

    def _read_methods(self) -> tuple[Methods, Wiring]:
        return self._of_function

    def __reduce_ex__(self, protocol: Any) -> Any:  # typed so by object
        """Pickle by reference when a module holds this object, as a variant of one that is held, or whole."""
        if _is_importable(self):
            return self.__qualname__
        if self._origin is not None and _is_importable(self._origin):
            own = {key: value for key, value in self.__dict__.items() if self._origin.__dict__.get(key) is not value}
            own.pop("_origin")
            return _variant, (self._origin, own)
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return super().__repr__().replace(type(self).__name__, "task", 1)


@overload
def task(function: Callable[P, R], /) -> FunctionTask[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    provides: Names | None = None,
    requires: Names | None = None,
    auto_extract: bool = True,
    rebind: Rebind | None = None,
    inject: Mapping[str, object] | None = None,
    ignore_list: Names | None = None,
    revert: AnyCallable | None = None,
    revert_rebind: Rebind | None = None,
    revert_requires: Names | None = None,
    version: tuple[int, int] | None = None,
    priority: int | None = None,
    executor: str | None = None,
    timeout: float | None = None,
) -> Callable[[Callable[P, R]], FunctionTask[P, R]]: ...


def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:  # the overloads say what comes back
    """Make a task of a function, bare or with the options of `Task`; its name is the function's unless given.

    ``revert`` undoes: it is called with those of the function's values that it names, and with ``result`` and
    ``flow_failures`` if it names them.

    >>> @task(provides="total")
    ... def add(a: int, b: int = 1) -> int:
    ...     return a + b
    >>> add
    <task 'add' (a, b=…) -> total>
    >>> add(2, b=3)
    5
    """
    if function is not None:
        return FunctionTask(function, **options)
    return lambda later: FunctionTask(later, **options)


def check_timeout(what: str, value: object) -> None:
    """Raise WrongType or NotPossible unless ``value`` is a number of seconds above 0; ``what`` is said of it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(what, value, "a number of seconds")
    if not (isfinite(value) and value > 0):
        raise NotPossible(f"{what} is {value!r}", todo="give seconds above 0, or None for no limit")


def _read_functions(function: AnyCallable, revert: AnyCallable | None) -> tuple[Methods, Wiring]:
    undo = None if revert is None else Method(parameters_of(revert), _GIVEN_TO_REVERT)
    methods = Methods(Method(parameters_of(function)), undo)
    return methods, wire(methods, PLAIN, repr(function))


def _refuse_method(function: AnyCallable) -> None:
    """Raise NotPossible for a function that stands in a class and takes the object: nothing would give it one."""
    parameters = parameters_of(function)
    around = getattr(function, "__qualname__", "").rpartition(".")[0]
    if parameters.required[:1] in (("self",), ("cls",)) and around and not around.endswith("<locals>"):
        method = f"{around.rpartition('.')[2].lower()}.{function.__name__}"
        raise NotPossible(
            f"{parameters} is a method, and @task takes functions only",
            where=parameters.place,
            todo=f"write a Task whose execute calls it, or make a task of an object's method: task({method})",
        )


def name_of(function: AnyCallable) -> str:
    """Return the function's own name. Raises NotPossible when it has none, as a partial."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise NotPossible(f"{function!r} has no name of its own: give it one with name=")
    return name


def _is_importable(held: FunctionTask[Any, Any]) -> bool:
    found: object = sys.modules.get(held.__module__)
    for part in held.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is held


def _variant(origin: FunctionTask[P, R], own: Mapping[str, object]) -> FunctionTask[P, R]:
    other = origin.copy()
    other.__dict__.update(own)
    other._origin = origin
    return other
