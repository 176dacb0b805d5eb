"""How each type of the standard library that holds no other values is stored: a table of forms."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Context, Decimal
from fractions import Fraction
from functools import partial
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flowbook.exceptions import DecodeError
from flowbook.secrets.errors import SecretKeyMissing
from flowbook.secrets.secret import Secret

_T = TypeVar("_T")


class Form(NamedTuple):
    """One type under one tag: ``{"!tag": data}``, where data is of one of the types ``stored``.

    ``to_data`` returns what the codec can encode; ``from_data`` gets it back decoded, and may raise anything.
    """

    cls: type
    tag: str
    stored: type | tuple[type, ...]
    to_data: Callable[[Any], object]
    from_data: Callable[[Any], object]


def _bytes_data(value: bytes | bytearray) -> str:
    return b64encode(value).decode("ascii")


def _bytes(data: str) -> bytes:
    return b64decode(data, validate=True)


def _bytearray(data: str) -> bytearray:
    return bytearray(_bytes(data))


_EXACT = Context(traps=[])


def _decimal(data: str) -> Decimal:
    """Return the number, whatever traps this thread's context has set."""
    number = Decimal(data, _EXACT)
    if number.is_nan() and "nan" not in data.lower():
        raise ValueError(f"{data!r} is no number")
    return number


def _fraction_data(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]


def _fraction(data: list[object]) -> Fraction:
    numerator, denominator = _all_of(int, data)
    return Fraction(numerator, denominator)


def _complex_data(value: complex) -> list[float]:
    return [value.real, value.imag]


def _complex(data: list[object]) -> complex:
    real, imaginary = _all_of(float, data)
    return complex(real, imaginary)


def _range_data(value: range) -> list[int]:
    return [int(value.start), int(value.stop), int(value.step)]  # a range of bools keeps them


def _range(data: list[object]) -> range:
    start, stop, step = _all_of(int, data)
    return range(start, stop, step)


def _timedelta_data(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _timedelta(data: list[object]) -> timedelta:
    days, seconds, microseconds = _all_of(int, data)
    return timedelta(days, seconds, microseconds)


def _moment_data(value: datetime | time) -> object:
    """Return ISO text where that tells all, else ``[text without zone, zone, fold]``."""
    if not value.fold and (value.tzinfo is None or _is_plain_offset(value.tzinfo)):
        return value.isoformat()
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.tzinfo, value.fold]


def _is_plain_offset(zone: tzinfo) -> bool:
    return type(zone) is timezone and zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)


def _datetime(data: str | list[Any]) -> datetime:
    if isinstance(data, str):
        return datetime.fromisoformat(data)
    text, zone, fold = data
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _time(data: str | list[Any]) -> time:
    if isinstance(data, str):
        return time.fromisoformat(data)
    text, zone, fold = data
    return time.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _timezone_data(value: timezone) -> list[object]:
    return [value.utcoffset(None), None if _is_plain_offset(value) else value.tzname(None)]


def _timezone(data: list[Any]) -> timezone:
    offset, name = data
    return timezone(offset) if name is None else timezone(offset, name)


def _zone_data(value: ZoneInfo) -> str:
    if value.key is None:
        raise ValueError("a time zone read from a file has no name to find it by")
    return value.key


_ZONE_NAME = re.compile(r"[A-Za-z0-9_+/-]+")


def _zone(data: str) -> ZoneInfo:
    """Return the zone of this name. Raises DecodeError when this machine has no such zone."""
    if not _ZONE_NAME.fullmatch(data):  # it becomes part of a path, and of the name of a package
        raise ValueError(f"{data!r} is no name of a time zone")
    try:
        return ZoneInfo(data)
    except ZoneInfoNotFoundError:
        raise DecodeError(f"time zone {data}", "this machine does not know it (package tzdata has all)") from None


def _path(cls: type[PurePath], data: str) -> PurePath:
    try:
        return cls(data)
    except NotImplementedError:
        raise DecodeError(f"{cls.__name__} {data!r}", "this system has no such paths") from None


def _secret_data(value: Secret) -> dict[str, str]:
    """Return the reference, or the text sealed; without a key it has no stored form."""
    try:
        return value.to_data()
    except SecretKeyMissing as error:
        raise ValueError(f"{error}; {error.todo}") from error


def _all_of(cls: type[_T], data: list[object]) -> list[_T]:
    """Return ``data`` when its items are of this very type: a bool is no int here."""
    items = [item for item in data if isinstance(item, cls) and type(item) is cls]
    if len(items) != len(data):
        raise TypeError(f"{data!r} has items that are no {cls.__name__}")
    return items


FORMS = (
    Form(bytes, "bytes", str, _bytes_data, _bytes),
    Form(bytearray, "bytearray", str, _bytes_data, _bytearray),
    Form(complex, "complex", list, _complex_data, _complex),
    Form(Decimal, "decimal", str, str, _decimal),
    Form(Fraction, "fraction", list, _fraction_data, _fraction),
    Form(range, "range", list, _range_data, _range),
    Form(datetime, "datetime", (str, list), _moment_data, _datetime),
    Form(date, "date", str, date.isoformat, date.fromisoformat),
    Form(time, "time", (str, list), _moment_data, _time),
    Form(timedelta, "timedelta", list, _timedelta_data, _timedelta),
    Form(timezone, "timezone", list, _timezone_data, _timezone),
    Form(ZoneInfo, "zone", str, _zone_data, _zone),
    Form(UUID, "uuid", str, str, UUID),
    Form(Secret, "secret", dict, _secret_data, Secret.from_data),
    *(
        Form(cls, cls.__name__.lower(), str, str, partial(_path, cls))
        for cls in (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)
    ),
)

FACTORIES: Mapping[str, type | None] = {
    "None": None,
    **{cls.__name__: cls for cls in (bool, dict, float, int, list, set, str)},
}
"""What a defaultdict may be stored with, by name."""
