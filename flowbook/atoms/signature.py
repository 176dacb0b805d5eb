"""What a callable can be called with, and where it is defined: read once for a class or function."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

from flowbook.exceptions import NotPossible

AnyCallable = Callable[..., Any]  # whatever the user wrote: nothing is known of its values


@dataclass(frozen=True, slots=True)
class Argument:
    """One value that a method is called with: the parameter's name, and the symbol that it is fetched by.

    An optional one is left out when nobody provides its symbol, so that the parameter's default counts.
    """

    name: str
    symbol: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a callable can be called with, by keyword; ``label`` is what errors call it."""

    label: str
    file: str
    line: int
    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_any: bool  # it has **kwargs
    is_async: bool = False

    @property
    def place(self) -> str:
        """Return where the callable is defined, as ``file:line``, or nothing when it has no source."""
        return place_at(self.file, self.line)

    def accept(self, name: str) -> bool:
        """Say whether a value may be passed under this name."""
        return self.takes_any or name in self.required or name in self.optional

    def __str__(self) -> str:
        return f"{self.label} ({self.place})" if self.file else self.label


_READ: WeakKeyDictionary[AnyCallable, Parameters] = WeakKeyDictionary()


def parameters_of(function: AnyCallable) -> Parameters:
    """Return the parameters of ``function``, read once and kept as long as the function lives.

    An async function has them too. Raises NotPossible when it cannot be called by keyword, or is an async generator.
    """
    try:
        return _READ[function]
    except (KeyError, TypeError):  # TypeError: an object that cannot be hashed or weakly referenced
        found = read_parameters(function, may_be_async=True)
    try:
        _READ[function] = found
    except TypeError:
        return found
    return found


def read_parameters(function: AnyCallable, *, may_be_async: bool = False) -> Parameters:
    """Return the parameters of ``function`` as they are now; a bound method's lack ``self``.

    Raises NotPossible as `parameters_of` does, and for an async function unless it may be one.
    """
    label = getattr(function, "__qualname__", None) or repr(function)
    file, line = definition_of(function)
    where = place_at(file, line)
    shown = f"{label} ({where})" if where else label
    awaited = is_async(function)
    if (awaited and not may_be_async) or inspect.isasyncgenfunction(function):
        what = "is async, which only tasks may be" if awaited else "is an async generator, which has no result"
        raise NotPossible(f"{shown} {what}: write it as a plain 'def'", where=where)
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise NotPossible(f"the parameters of {shown} cannot be read: {error}", where=where) from error
    positional = [p.name for p in found if p.kind is p.POSITIONAL_ONLY]
    if positional:
        names = ", ".join(positional)
        raise NotPossible(
            f"{shown} takes {names} by position only, but values come by name: take out the '/'", where=where
        )
    named = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return Parameters(
        label,
        file,
        line,
        required=tuple(p.name for p in named if p.default is p.empty),
        optional=tuple(p.name for p in named if p.default is not p.empty),
        takes_any=any(p.kind is p.VAR_KEYWORD for p in found),
        is_async=awaited,
    )


def is_async(function: AnyCallable) -> bool:
    """Say whether what a call of ``function`` gives is to be awaited, as far as that can be seen without calling it.

    So it is for an ``async def``, a generator under ``types.coroutine``, an object whose ``__call__`` is one of these,
    and a partial of them.
    """
    while isinstance(function, functools.partial):
        function = function.func
    called = getattr(type(function), "__call__", None)  # noqa: B004 - the method itself is meant
    return any(inspect.iscoroutinefunction(one) or _is_coroutine_by_generator(one) for one in (function, called))


def _is_coroutine_by_generator(function: object) -> bool:
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def definition_of(function: AnyCallable) -> tuple[str, int]:
    """Return the file and line of a callable's definition, or an empty file when it has no source."""
    plain = inspect.unwrap(function) if hasattr(function, "__wrapped__") else function
    plain = getattr(plain, "func", plain)  # a functools.partial
    code = getattr(plain, "__code__", None) or getattr(type(plain).__call__, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else ("", 0)


def place_at(file: str, line: int) -> str:
    """Return ``file:line``, relative to the current directory if the file lies in it; nothing for no file."""
    if not file:
        return ""
    try:
        here = os.getcwd()
    except OSError:  # the directory is gone
        here = ""
    return f"{_below(here, file)}:{line}"


@lru_cache(maxsize=256)
def _below(here: str, file: str) -> str:
    """Return the path of a file, relative to a directory if it lies in it; every atom of a plan asks for its own."""
    return file.removeprefix(os.path.join(here, "")) if here else file
