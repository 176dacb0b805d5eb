"""The head of a key: who owns it, how many commits count, and what is told of its flow.

It is set by every claim, every commit and every giving up, each time with the version that was read before: of all who
try to follow one version, one wins. What lies behind the commits that it counts is nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from flowbook.exceptions import TooLarge
from flowbook.persistence.backend import FlowSummary
from flowbook.persistence.changes import Change, Delete, Put, Row
from flowbook.persistence.owners import Owner
from flowbook.persistence.zookeeper.sealing import document_in, sealed

FORMAT: Final = 1
"""Raised when an older flowbook could misread what a newer one writes."""

LAST_TIME: Final = 253_402_300_799.0
"""The last second of the year 9999: no time is later."""

_LARGEST: Final = 128 * 1024

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


class OfNewerFormat(ValueError):
    """It was written by a newer flowbook."""

    def __init__(self, form: int) -> None:
        super().__init__(f"its format is {form}, this version knows {FORMAT}")


@dataclass(frozen=True, slots=True)
class Base:
    """Records that were summed up: the ``parts`` of their text are named after ``token``.

    They hold what the commits up to number ``through`` left behind.
    """

    token: str = ""
    parts: int = 0
    records: int = 0
    through: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a key says: its records are the ``base`` and the commits behind it, up to number ``count``.

    ``flow`` is what is told of the flow, None when it has no record; ``by`` names the write that set this head.
    """

    key: str
    epoch: int
    seq: int = 0
    count: int = 0
    base: Base = Base()
    owner: Owner | None = None
    since: float = 0.0
    flow: Row | None = None
    by: str = ""

    def data(self, place: str) -> bytes:
        """Return the data of the znode. Raises TooLarge when the ``flow`` record has too long names."""
        document = {"format": FORMAT, **_fields(self), "base": _fields(self.base)}
        if self.owner is not None:
            document["owner"] = self.owner.to_row()
        data = sealed(_encode(document).encode(), place)
        if len(data) > _LARGEST:
            raise TooLarge(f"what is told of {self.key[:40]!r}", len(data), _LARGEST)
        return data

    def summary(self, flow: str) -> FlowSummary | None:
        """Return what is told of the flow, or None when it has no record. Raises ValueError."""
        if self.flow is None:
            return None
        row: dict[str, Any] = {"book": "", "name": "", "state": "", "created_at": 0.0, "updated_at": 0.0, "atoms": 0}
        row.update(self.flow)
        is_readable = (
            all(isinstance(row[field], str) for field in ("book", "name", "state"))
            and all(_is_time(row[field]) for field in ("created_at", "updated_at"))
            and type(row["atoms"]) is int
        )
        if not is_readable:
            raise ValueError("its flow record cannot be read")
        return FlowSummary(flow, **row, owner=self.owner, owned_since=None if self.owner is None else self.since)


def _fields(record: Head | Base) -> dict[str, Any]:
    """Return the fields of a record by their names, with what is in them as it is: every commit sets a head."""
    return {name: getattr(record, name) for name in record.__slots__}


def head_in(data: bytes, place: str, key: str | None) -> Head:
    """Return what the data of a head says. Raises ValueError and RecursionError, OfNewerFormat among them."""
    document = document_in(data, place)
    form = document.pop("format", None)
    if type(form) is int and form > FORMAT:
        raise OfNewerFormat(form)
    if form != FORMAT or not isinstance(document.get("base"), dict):
        raise ValueError("it is no head of a key")
    try:
        owner = None if document["owner"] is None else Owner.from_row(document["owner"])
        head = Head(**{**document, "base": Base(**document["base"]), "owner": owner})
    except (TypeError, KeyError) as error:
        raise ValueError(f"it is no head of a key: {error}") from error
    numbers = (head.epoch, head.seq, head.count, head.base.parts, head.base.records, head.base.through)
    if any(type(number) is not int or number < 0 for number in numbers) or head.base.through > head.count:
        raise ValueError("its numbers make no sense")
    if not _is_time(head.since) or not isinstance(head.flow, dict | None) or not isinstance(head.base.token, str):
        raise ValueError("it is no head of a key")
    if key is not None and head.key != key:
        raise ValueError(f"it belongs to {head.key!r}")
    return head


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= LAST_TIME  # type: ignore[operator]


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
