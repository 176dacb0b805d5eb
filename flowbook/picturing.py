"""What can be told of a live exception, whatever its class does when asked."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache
from traceback import format_exception
from types import TracebackType
from typing import Any


def chain_of(exception: BaseException, limit: int) -> list[BaseException]:
    """Return ``exception`` and at most ``limit`` of its causes, the nearest first, none twice."""
    chain = [exception]
    seen = {id(exception)}
    cause = _cause(exception)
    while cause is not None and id(cause) not in seen and len(chain) <= limit:
        chain.append(cause)
        seen.add(id(cause))
        cause = _cause(cause)
    return chain


def _cause(exception: BaseException) -> BaseException | None:
    if exception.__cause__ is not None or exception.__suppress_context__:
        return exception.__cause__
    return exception.__context__


@lru_cache(maxsize=256)
def names_of(cls: type) -> tuple[str, ...]:
    """Return the names of the class and its bases, up to ``Exception``, or to ``BaseException`` outside of it."""
    last = Exception if issubclass(cls, Exception) else BaseException
    return tuple(name_of(each) for each in cls.__mro__[: cls.__mro__.index(last) + 1])


def name_of(cls: type) -> str:
    """Return the name of a class with its module, unless that is ``builtins``."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def message_of(exception: BaseException) -> str:
    """Return the exception's text as a plain str, whatever its ``__str__`` does."""
    try:
        return str.__str__(str(exception))
    except Exception as error:  # it is the caller's code
        return f"<no message: __str__ raised {type(error).__name__}>"


def arguments_of(exception: BaseException) -> tuple[object, ...]:
    """Return the exception's arguments, or none when its class hides them."""
    try:
        args: object = exception.args
    except Exception:  # it is the caller's code
        return ()
    return args if type(args) is tuple else ()


def traceback_of(exception: BaseException, traceback: TracebackType | None) -> str:
    """Return ``traceback`` as Python prints it, the exception's own lines below it, without its causes."""
    try:
        return "".join(format_exception(type(exception), exception, traceback, chain=False))
    except Exception as error:  # it asks the caller's __str__, and reads files of source
        return f"<no traceback: formatting it raised {type(error).__name__}>"


def parts_of(exception: BaseException) -> object:
    """Return the callable, arguments and state that remake ``exception``, or None when it does not tell."""
    try:
        return exception.__reduce_ex__(2)[:3]
    except Exception:  # it is the caller's code
        return None


def portable(value: object) -> object:
    """Return ``value`` when it can be pickled, else None."""
    try:
        pickle.dumps(value)
    except Exception:  # it is the caller's code
        return None
    return value


def remade(make: Callable[..., object], arguments: tuple[object, ...], state: Any = None) -> Any:
    """Return the exception, without traceback, or None when its class refuses its own arguments."""
    try:
        exception: Any = make(*arguments)
        if state is not None:
            exception.__setstate__(state)
    except Exception:  # it is the caller's code
        return None
    return exception if isinstance(exception, BaseException) else None
