"""Tasks that map a function over several values of the flow, or fold these into one."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any, ClassVar

from flowbook.atoms.signature import AnyCallable, definition_of, is_async, place_at
from flowbook.atoms.task import Task, name_of
from flowbook.atoms.wiring import Names, Rebind
from flowbook.exceptions import NotPossible, WrongType


class OverValues(Task):
    """A task that calls a function with values of the flow, by position, in the order of ``requires``."""

    _takes: ClassVar[int]
    _least: ClassVar[int]

    def __init__(
        self,
        functor: AnyCallable,
        requires: Names,
        name: str | None = None,
        provides: Names | None = None,
        auto_extract: bool = True,
        rebind: Rebind | None = None,
        inject: Mapping[str, object] | None = None,
    ) -> None:
        whose = type(self).__name__
        _check_functor(functor, self._takes, whose)
        self._functor = functor
        self._names = _in_order(requires, whose)
        if len(self._names) < self._least:
            raise NotPossible(f"{whose} requires {len(self._names)} of at least {self._least} values")
        rebind = self._by_name(rebind, whose)
        _check_known("rebind", rebind, self._names, whose)
        _check_known("inject", inject or {}, (*self._names, *rebind.values()), whose)
        super().__init__(
            name_of(functor) if name is None else name,
            provides=provides,
            requires=self._names,
            auto_extract=auto_extract,
            rebind=rebind,
            inject=inject,
        )

    @property
    def place(self) -> str:
        """Where the function is defined, as ``file:line``."""
        return place_at(*definition_of(self._functor))

    def _by_name(self, rebind: Rebind | None, whose: str) -> Mapping[str, str]:
        """Return argument -> symbol; the symbols of a list go to the required names in their order."""
        if isinstance(rebind, list | tuple):
            if len(rebind) > len(self._names):
                text = f"rebind of {whose} has {len(rebind)} symbols for {len(self._names)} required values"
                raise NotPossible(text)
            return dict(zip(self._names, rebind, strict=False))
        return {} if rebind is None else rebind

    def _in_their_order(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self._names]


class MapFunctorTask(OverValues):
    """Call a function of one argument with each required value; give the list of what it returns, in that order.

    >>> MapFunctorTask(str.upper, ["first", "last"], name="shout", provides=["FIRST", "LAST"])
    <MapFunctorTask 'shout' (first, last) -> FIRST, LAST>
    """

    _takes, _least = 1, 0

    def execute(self, **values: Any) -> Any:  # the flow's values, and what the function makes of them
        """Return what the function makes of each value, as a list."""
        return [self._functor(value) for value in self._in_their_order(values)]


class ReduceFunctorTask(OverValues):
    """Fold two or more required values into one by a function of two arguments, from the left.

    >>> import operator
    >>> ReduceFunctorTask(operator.add, ["rent", "food", "fun"], name="sum", provides="costs")
    <ReduceFunctorTask 'sum' (rent, food, fun) -> costs>
    """

    _takes, _least = 2, 2

    def execute(self, **values: Any) -> Any:  # the flow's values, and what the function makes of them
        """Return what the function makes of the first two values, of that and the third one, and so on."""
        return reduce(self._functor, self._in_their_order(values))


def _check_functor(functor: object, takes: int, whose: str) -> None:
    """Raise WrongType or NotPossible unless ``functor`` can be called with so many values; not all builtins tell."""
    if not callable(functor):
        raise WrongType(f"the function of {whose}", functor, "a function")
    where = place_at(*definition_of(functor))
    if is_async(functor) or inspect.isasyncgenfunction(functor):
        raise NotPossible(f"{functor!r} is async, and {whose} awaits nothing: write it as a plain 'def'", where=where)
    try:
        signature = inspect.signature(functor)
    except ValueError:
        return
    try:
        signature.bind(*[None] * takes)
    except TypeError as error:
        arguments = "1 argument" if takes == 1 else f"{takes} arguments"
        text = f"the function of {whose} is called with {arguments}, but {functor!r} takes {signature}"
        raise NotPossible(text, where=where) from error


def _check_known(word: str, given: Mapping[str, object], known: Collection[str], whose: str) -> None:
    """Raise WrongType or NotPossible unless ``given`` maps known names; others would end up in ``**values`` unseen."""
    if not isinstance(given, Mapping):
        raise WrongType(f"{word} of {whose}", given, "a dict, or for rebind a list or tuple of symbols")
    for name in given:
        if name not in known:
            raise NotPossible(f"{word} of {whose} names {name!r}, which it does not require")


def _in_order(requires: object, whose: str) -> tuple[str, ...]:
    """Return the required names in the order given; those of a plain set, which has none, are sorted."""
    if isinstance(requires, str):
        return (requires,)
    if isinstance(requires, Mapping) or not isinstance(requires, Collection):
        raise WrongType(f"requires of {whose}", requires, "a name or a collection of names")
    return tuple(sorted(requires, key=str)) if isinstance(requires, set | frozenset) else tuple(requires)
