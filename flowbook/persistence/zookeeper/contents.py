"""Changes as text, and the records that they leave behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from flowbook.exceptions import EncodeError
from flowbook.persistence.changes import Change, Delete, Put, Row
from flowbook.persistence.texts import text_of

_VERBS: Final = {"put": 4, "append": 4, "delete": 3}

_readable: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode


def changes_text(changes: Iterable[Change], limit_bytes: int | None) -> str:
    """Return changes as the text of a JSON list. Raises EncodeError and TooLarge."""
    return f"[{','.join([_text(change, limit_bytes) for change in changes])}]"


def _text(change: Change, limit_bytes: int | None) -> str:
    names = f'["{type(change).__name__.lower()}",{_string(change.kind)},{_string(change.key)}'
    return f"{names}]" if isinstance(change, Delete) else f"{names},{text_of(change, limit_bytes)}]"


def _string(text: str) -> str:
    written = _ascii(text)
    if not text.isascii() and json.loads(written) != text:
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
        and _VERBS.get(change[0] if isinstance(change[0], str) else "") == len(change)
        and all(isinstance(name, str) for name in change[1:3])
        and (len(change) == 3 or isinstance(change[3], dict))
    )


class Contents:
    """The records of one key."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, Any]]] = {}
        self.appended: dict[str, dict[str, list[Row]]] = {}

    def take(self, changes: Iterable[Sequence[Any]]) -> None:
        """Make changes, in their order."""
        for verb, kind, key, *row in changes:
            if verb == "put":
                self.rows.setdefault(kind, {})[key] = row[0]
            elif verb == "append":
                self.appended.setdefault(kind, {}).setdefault(key, []).append(row[0])
            else:
                for records in (self.rows, self.appended):
                    _take_out(records, kind, key)

    def changes(self) -> list[str]:
        """Return changes, each as text, that write these records anew."""
        return list(map(_record, self._changes()))

    def _changes(self) -> Iterator[list[Any]]:
        for kind, rows in self.rows.items():
            yield from (["put", kind, key, row] for key, row in rows.items())
        for kind, of_kind in self.appended.items():
            for key, many in of_kind.items():
                yield from (["append", kind, key, row] for row in many)


def _take_out(records: dict[str, Any], kind: str, key: str) -> None:
    of_kind = records.get(kind, {})
    of_kind.pop(key, None)
    if not of_kind:
        records.pop(kind, None)


def _record(change: list[Any]) -> str:
    text = _readable(change)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _ascii(change)
    return text


def flow_row_after(changes: Iterable[Change], before: Row | None) -> Row | None:
    """Return what is told of a flow after these changes, if ``before`` was told of it: its newest ``flow`` record."""
    row = before
    for change in changes:
        if change.kind == "flow":
            if isinstance(change, Put):
                row = {field: change.row[field] for field in SUMMARY if field in change.row}
            elif isinstance(change, Delete):
                row = None
    return row


SUMMARY: Final = ("book", "name", "state", "created_at", "updated_at", "atoms")
"""The fields of a ``flow`` record that are told without reading all records."""
