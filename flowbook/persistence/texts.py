"""Records as text, for the backends that write text: bounded, in UTF-8, and read back or named damaged."""

from __future__ import annotations

import re
from typing import Any

from flowbook.exceptions import Damaged, EncodeError, TooLarge
from flowbook.persistence.changes import Append, Inline, Put, dump_row, parse_row

_SURROGATE = re.compile("[\ud800-\udfff]")
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
