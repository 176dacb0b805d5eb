"""Changes as JSON text, and the records that they leave behind: for backends that keep journals of changes.

A change is a list of verb, kind, key and, unless it deletes, a row: ``["put", "atom", "a", {…}]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _quote
from typing import Any, Final

from flowbook.exceptions import EncodeError
from flowbook.persistence.changes import Append, Change, Delete, Put
from flowbook.persistence.texts import text_of

_BEGINNINGS: Final[Mapping[type[Change], str]] = {Put: '["put",', Append: '["append",', Delete: '["delete",'}
_LENGTHS: Final = {"put": 4, "append": 4, "delete": 3}
_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode


def changes_text(changes: Iterable[Change], limit_bytes: int | None) -> str:
    """Return changes as the text of a JSON list. Raises EncodeError and TooLarge."""
    return f"[{','.join([change_text(change, limit_bytes) for change in changes])}]"


def change_text(change: Change, limit_bytes: int | None) -> str:
    """Return a change as the text of a JSON list. Raises EncodeError and TooLarge."""
    names = f"{_BEGINNINGS[type(change)]}{name_text(change.kind)},{name_text(change.key)}"
    return f"{names}]" if isinstance(change, Delete) else f"{names},{text_of(change, limit_bytes)}]"


@lru_cache(maxsize=256)
def name_text(text: str) -> str:
    """Return a kind or a key as JSON text. Raises EncodeError for one that JSON cannot hold."""
    if text.isprintable():
        return _quote(text)
    written = _ascii(text)  # what cannot be printed may not be UTF-8 either
    if json.loads(written) != text:
        raise EncodeError(f"{text!r}", "JSON takes two surrogates for one character")
    return written


def changes_in(found: object) -> list[list[Any]]:
    """Return changes as they were parsed: lists of verb, kind, key and row. Raises ValueError for anything else."""
    if not isinstance(found, list) or not all(map(_is_change, found)):
        raise ValueError("it says no changes of records")
    return found


def _is_change(change: object) -> bool:
    return (
        isinstance(change, list)
        and len(change) > 2
        and _LENGTHS.get(change[0] if isinstance(change[0], str) else "") == len(change)
        and isinstance(change[1], str)
        and isinstance(change[2], str)
        and (len(change) == 3 or isinstance(change[3], dict))
    )


class Contents:
    """The records that changes leave behind; ``answered`` are the posted requests that were deleted.

    A row is kept as it is given.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.appended: dict[str, dict[str, list[Any]]] = {}
        self.answered: set[str] = set()

    def take(self, changes: Iterable[Sequence[Any]]) -> None:
        """Make changes, in their order."""
        for verb, kind, key, *row in changes:
            if verb == "put":
                self.rows.setdefault(kind, {})[key] = row[0]
            elif verb == "append":
                self.appended.setdefault(kind, {}).setdefault(key, []).append(row[0])
            else:
                self.forget(kind, key)

    def forget(self, kind: str, key: str) -> None:
        """Delete what stands under a kind and a key."""
        _take_out(self.rows, kind, key)
        _take_out(self.appended, kind, key)
        if kind == "request":
            self.answered.add(key)

    def changes(self) -> Iterator[Put | Append]:
        """Yield changes that write these records anew, the ``flow`` record first."""
        for kind in sorted(self.rows, key=lambda kind: kind != "flow"):
            yield from (Put(kind, key, row) for key, row in self.rows[kind].items())
        for kind, of_kind in self.appended.items():
            for key, many in of_kind.items():
                yield from (Append(kind, key, row) for row in many)

    def texts(self) -> Iterator[str]:
        """Yield the same changes as texts."""
        return (change_text(change, None) for change in self.changes())


def _take_out(records: dict[str, Any], kind: str, key: str) -> None:
    of_kind = records.get(kind, {})
    of_kind.pop(key, None)
    if not of_kind:
        records.pop(kind, None)
