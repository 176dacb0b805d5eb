"""Records as text, for the backends that write text: bounded, in UTF-8, and read back or named damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, Final

from flowbook.exceptions import Damaged, EncodeError, TooLarge
from flowbook.persistence.changes import Append, Inline, Put, dump_row, parse_row

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOGETHER: Final = 1000
_TOGETHER_MAX: Final = 4 * 1024 * 1024
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def text_of(change: Put | Append, value_limit_bytes: int | None) -> str:
    """Return the row of ``change`` as one line of JSON that UTF-8 can hold.

    Raises EncodeError when the row is not JSON, TooLarge when a value in it has more than
    ``value_limit_bytes``.
    """
    try:
        text = dump_row(change.row)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"{change.kind} {change.key!r}", str(error)) from error
    size_bytes = len(text)
    if not text.isascii():
        if _PAIR.search(text):
            raise EncodeError(f"{change.kind} {change.key!r}", "JSON takes two surrogates for one character")
        text, size_bytes = _storable(text)
    if value_limit_bytes is not None and size_bytes > value_limit_bytes:
        _refuse_large_values(change, value_limit_bytes)
    return text


def _storable(text: str) -> tuple[str, int]:
    """Return JSON with lone surrogates (undecodable file names have them) as escapes, and its size."""
    try:
        return text, len(text.encode())
    except UnicodeEncodeError:
        escaped = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        return escaped, len(escaped.encode())


def _refuse_large_values(change: Put | Append, limit_bytes: int) -> None:
    for name, value in change.row.items():
        if isinstance(value, Inline) and value.text is not None:
            size_bytes = len(value.text.encode(errors="surrogatepass"))
            if size_bytes > limit_bytes:
                raise TooLarge(f"{name} of {change.kind} {change.key!r}", size_bytes, limit_bytes)


def row_of(text: object, url: str, kind: str, key: str) -> dict[str, Any]:
    """Return the record in ``text``. Raises Damaged, naming it, when there is none."""
    try:
        if not isinstance(text, str):
            raise ValueError(f"not text but {type(text).__name__}")
        return parse_row(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(url, f"{kind} {key!r}: {error}") from error


def rows_of(texts: Sequence[str]) -> Iterator[dict[str, Any] | None]:
    """Yield the record in each text, or None for each of some among which one is not readable: read those one by one.

    Many are read at once, which takes half the time, and a third of the memory: they share the names of their fields.
    """
    for first in range(0, len(texts), _TOGETHER):
        some = texts[first : first + _TOGETHER]
        rows = _read_together(some)
        yield from repeat(None, len(some)) if rows is None else rows


def _read_together(texts: Sequence[str]) -> list[dict[str, Any]] | None:
    try:
        if sum(map(len, texts)) > _TOGETHER_MAX:
            return None
        rows: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    except (TypeError, ValueError, RecursionError):
        return None
    return rows if len(rows) == len(texts) and {dict}.issuperset(map(type, rows)) else None
