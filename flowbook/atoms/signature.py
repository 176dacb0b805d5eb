"""What a callable can be called with, and where it is defined: read once for a class or function."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
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

    Raises NotPossible when it cannot be called by keyword and from a thread: positional-only, or ``async``.
    """
    try:
        return _READ[function]
    except (KeyError, TypeError):  # TypeError: an object that cannot be hashed or weakly referenced
        found = read_parameters(function)
    try:
        _READ[function] = found
    except TypeError:
        return found
    return found


def read_parameters(function: AnyCallable) -> Parameters:
    """Return the parameters of ``function`` as they are now; a bound method's lack ``self``."""
    label = getattr(function, "__qualname__", None) or repr(function)
    file, line = definition_of(function)
    where = place_at(file, line)
    shown = f"{label} ({where})" if where else label
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise NotPossible(f"{shown} is async, which no engine runs yet: write it as a plain 'def'", where=where)
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
    )


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
        here = file
    return f"{file.removeprefix(here.rstrip('/') + '/')}:{line}"
