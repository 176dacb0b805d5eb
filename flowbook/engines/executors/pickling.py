"""What travels between processes: pickled, and where it cannot be, the part of it that is to blame."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

from flowbook.atoms.base import Atom
from flowbook.engines.executors.errors import NotPicklable
from flowbook.secrets.masking import masked

_DEPTH_MAX: Final = 20
_KEY_MAX: Final = 80
_SINGLE: Final = (str, bytes, bytearray, int, float, type(None), type)

Dumps = Callable[[object], bytes]


def by_reference(value: object) -> bytes:
    """Return ``value`` pickled; functions and classes travel as names that the other process imports."""
    return bytes(ForkingPickler.dumps(value))


def pickled(value: object, what: str, *, name: str, place: str = "", dumps: Dumps = by_reference) -> bytes:
    """Return ``value`` as bytes. Raises NotPicklable, which calls it ``what``, and its parts by paths from ``name``.

    ``dumps`` may be one that sends functions and classes themselves, not only their names.
    """
    try:
        data = dumps(value)
    except Exception as error:  # whatever the classes of the caller raise
        path, part, cause = _culprit(value, name, error, dumps)
        reason = f"{type(cause).__name__}: {masked(str(cause))}"
        raise NotPicklable(what, f"{path} is a {type(part).__qualname__}", reason, place) from error
    if dumps is by_reference and b"__main__" in data and not _main_can_be_imported():
        reason = "the program was typed in or piped: a worker process cannot import it"
        raise NotPicklable(what, "it is defined in __main__, which is no file", reason, place)
    return data


def pickled_attempt(parcel: tuple[Any, ...], name: str, args: tuple[Any, ...], *, dumps: Dumps = by_reference) -> bytes:
    """Return the attempt of ``name`` with its ``args`` as bytes. Raises NotPicklable for the argument to blame."""
    try:
        return pickled(parcel, f"the attempt of {name!r}", name="attempt", dumps=dumps)
    except NotPicklable:
        place = next((each.place for each in args if isinstance(each, Atom)), "")
        for values in (each for each in args if isinstance(each, Mapping)):
            for symbol, value in values.items():
                pickled(value, f"argument {symbol!r} of {name!r}", name=symbol, place=place, dumps=dumps)
        raise


def unpickled(data: bytes) -> Any:  # what was pickled
    """Return what another process of the same run pickled. Raises whatever its classes raise."""
    return ForkingPickler.loads(data)


def _culprit(value: object, path: str, error: Exception, dumps: Dumps, depth: int = 0) -> tuple[str, object, Exception]:
    """Return the innermost part that cannot be pickled: its path, itself, and what pickle said of it."""
    if depth < _DEPTH_MAX:
        for step, part in _parts(value):
            inner = _refusal(part, dumps)
            if inner is not None:
                return _culprit(part, path + step, inner, dumps, depth + 1)
    return path, value, error


def _refusal(value: object, dumps: Dumps) -> Exception | None:
    try:
        dumps(value)
    except Exception as error:  # as above
        return error
    return None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, _SINGLE):
        return
    if isinstance(value, Mapping):
        yield from ((f"[{masked(repr(key))[:_KEY_MAX]}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    names = getattr(value, "__dict__", None)
    if isinstance(names, dict):
        yield from ((f".{name}", part) for name, part in names.items() if not str(name).startswith("__"))


def _main_can_be_imported() -> bool:
    main = sys.modules["__main__"]
    return getattr(main, "__file__", None) is not None or getattr(main, "__spec__", None) is not None
