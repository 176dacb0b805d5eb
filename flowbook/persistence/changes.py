"""What a commit carries: changes of records, and the handles that stand for values in them.

A *record* is a row under a kind and a key. Kinds are open strings (``flow``, ``plan``, ``input``, ``atom``,
``attempt``, ``request``; later ``unit``, ``job``): a backend keeps kinds that it has never heard of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as _quote
from math import isfinite
from typing import Any, Final, NamedTuple

Row = Mapping[str, Any]
"""A record: names to JSON values (None, bool, int, float, str, lists, mappings) or to `Inline` handles."""


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<not decoded>"


MISSING: Final = _Missing()


class Inline:
    """A value inside a record: the live object, its stored form, or both.

    The stored form is a JSON document: as ``text`` when it was encoded here, as a parsed ``document`` when it was
    read. The core passes handles on without looking inside; storage fills in what is needed, once.
    """

    __slots__ = ("document", "live", "text")

    def __init__(self, live: object = MISSING, text: str | None = None, document: object = MISSING) -> None:
        self.live = live
        self.text = text
        self.document = document

    def let_go(self) -> None:
        """Keep the stored form alone, if there is one: it takes less memory."""
        if self.text is not None:
            self.live = MISSING

    def __repr__(self) -> str:
        return f"Inline({self.live!r})" if self.live is not MISSING else f"Inline({self.text or self.document!r})"


class Put(NamedTuple):
    """Write the record of ``kind`` and ``key``, whole, in place of any older one."""

    kind: str
    key: str
    row: Row


class Append(NamedTuple):
    """Add ``row`` behind the earlier ones of ``kind`` and ``key``."""

    kind: str
    key: str
    row: Row


class Delete(NamedTuple):
    """Forget the record, or all that was appended, of ``kind`` and ``key``; nothing happens when there is none."""

    kind: str
    key: str


Change = Put | Append | Delete

_encode: Final[Callable[[object], str]] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dump_row(row: Row) -> str:
    """Return ``row`` as one line of JSON, the texts of its handles spliced in as they are.

    A backend that writes text calls this; each handle must carry its text by then (`Storage` sees to it).
    """
    texts = []
    for value in row.values():  # `_encode` takes ten times as long for one of these
        form = type(value)
        if form is str:
            texts.append(_quote(value))
        elif form is int:
            texts.append(value)
        elif form is float and value:  # the two zeros are equal, and not the same text
            texts.append(_number(value))
        elif form is Inline:
            texts.append(value.text or _text(value))
        else:
            texts.append("null" if value is None else _encode(value))
    return _frame(tuple(row)) % tuple(texts)


@lru_cache(maxsize=256)
def _frame(names: tuple[str, ...]) -> str:
    """Return a row of these fields with a ``%s`` for each value."""
    fields = [f"{_quote(name).replace('%', '%%')}:%s" for name in names]
    return f"{{{','.join(fields)}}}"


@lru_cache(maxsize=256)
def _number(value: float) -> str:  # a time stands in several records of an atom
    return repr(value) if isfinite(value) else _encode(value)


def _text(handle: Inline) -> str:
    if handle.text is None:
        if handle.document is MISSING:
            raise ValueError(f"{handle!r} was not encoded before its commit")
        handle.text = _encode(handle.document)
    return handle.text


def parse_row(text: str) -> dict[str, Any]:
    """Return the record in ``text``; values of handles come back in their stored, undecoded form.

    Raises ValueError when ``text`` is not a JSON object.
    """
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError(f"a record is a JSON object, not {type(row).__name__}")
    return row
