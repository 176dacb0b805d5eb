"""One journal: all that one epoch wrote under a key, and where it began.

The first line says whose journal it is: key, epoch, owner. The second says what it goes on from: so many bytes of an
older journal, or nothing. What follows are commits, one a line, and prolonged leases. A journal without an owner is a
snapshot: its second line counts the records behind it, and nothing is ever added to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowbook.exceptions import Damaged, NewerSchema
from flowbook.persistence.contents import changes_in, name_text
from flowbook.persistence.directory.lines import BrokenLine, Line, lines_in
from flowbook.persistence.owners import Owner

FORMAT: Final = 1
"""Raised when an older flowbook could misread what a newer one writes."""

LAST_TIME: Final = 253_402_300_799.0
"""The last second of the year 9999: no time is later."""

FLOW_MARKS: Final = (b'["put","flow",', b'["delete","flow",')
"""Where one of these stands in a line, the line may put or delete a ``flow`` record."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a journal. ``owner`` is None for a snapshot, which nobody writes to."""

    key: str
    epoch: int
    owner: Owner | None
    since: float
    lease_until: float

    def document(self) -> str:
        """Return the header as the text of its line. Raises EncodeError for a key that JSON cannot hold."""
        owner = None if self.owner is None else self.owner.to_row()
        more = {
            "epoch": self.epoch,
            "owner": owner,
            "since": self.since,
            "lease_until": min(self.lease_until, LAST_TIME),
        }
        return f'{{"logbook":"directory","format":{FORMAT},"key":{name_text(self.key)},{_ascii(more)[1:]}'


@dataclass(frozen=True, slots=True)
class Base:
    """The second line: the journal of an older ``epoch`` counts, up to ``size`` bytes; no epoch: nothing does.

    ``records`` is how many records follow in a snapshot; ``answered`` are requests that wait no more, even where they
    are still there.
    """

    epoch: int | None
    size: int
    records: int
    answered: tuple[str, ...] = ()

    def document(self) -> str:
        """Return the base as the text of its line."""
        base = None if self.epoch is None else {"epoch": self.epoch, "size": self.size}
        return _ascii({"base": base, "records": self.records, "answered": self.answered})


def commit_document(seq: int | None, changes: str) -> str:
    """Return the text of a commit's line; without ``seq`` it stands beside the others and raises no number."""
    return f'{{"changes":{changes}}}' if seq is None else f'{{"seq":{seq},"changes":{changes}}}'


_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode


def lease_document(lease_until: float) -> str:
    """Return the text of a line that prolongs the owner's lease."""
    return f'{{"lease_until":{json.dumps(lease_until)}}}'


@dataclass(slots=True)
class Journal:
    """What was read of a journal: ``end`` and ``crc`` are those of its last whole line, ``seq`` of its last commit.

    Without a ``base`` the claim was never finished, and the journal does not count.
    """

    header: Header
    base: Base | None = None
    seq: int = 0
    lease_until: float = 0.0
    end: int = 0
    crc: int = 0
    commits: int = 0


class Reader:
    """Reads journals of one key, and says which file is damaged when one is. ``where`` names their folder."""

    def __init__(self, where: str, key: str | None) -> None:
        self._where, self._key = where, key

    def journal(self, data: bytes, name: str, epoch: int) -> tuple[Journal, list[Line]]:
        """Return what is in a journal, and its lines from the third on. Raises Damaged and NewerSchema."""
        lines = list(self.lines(data, name))
        journal = self.begun(lines[:2], name, epoch)
        kept = lines[2:]
        self.go_on(journal, kept, name)
        if journal.base is not None and journal.header.owner is None and journal.commits != journal.base.records:
            raise self.damaged(name, f"records are missing, or there are too many: {journal.commits}")
        return journal, kept

    def lines(self, data: bytes, name: str, *, at: int = 0, crc: int = 0) -> Iterator[Line]:
        """Yield the lines in a part of a file, up to a torn tail, as `lines_in` does."""
        try:
            yield from lines_in(data, at=at, crc=crc)
        except BrokenLine as error:
            raise self.damaged(name, str(error)) from error

    def begun(self, lines: Sequence[Line], name: str, epoch: int, *, whole: bool = True) -> Journal:
        """Return a journal of which the first two lines were read, or with ``whole=False`` perhaps only the first."""
        if not lines:
            raise self.damaged(name, "its first line is missing")
        header = self.header(self.document(lines[0], name), name, epoch)
        base = self._base(self.document(lines[1], name), name, epoch) if len(lines) > 1 else None
        if whole and base is None and header.owner is None:
            raise self.damaged(name, "all but its first line is missing")
        return Journal(header, base, lease_until=header.lease_until, end=lines[-1].end, crc=lines[-1].crc)

    def go_on(self, journal: Journal, lines: Iterable[Line], name: str) -> None:
        """Take further lines of a journal into account."""
        for line in lines:
            text = line.text
            if text.startswith(b'"seq":'):
                number, _, _ = text[6:26].partition(b",")
                if not number.isdigit() or int(number) != journal.seq + 1:
                    raise self.damaged(name, f"commit {journal.seq + 1} is missing before byte {line.end}")
                journal.seq += 1
                journal.commits += 1
            elif text.startswith(_CHANGES):
                journal.commits += 1
            else:
                journal.lease_until = self._time(self.document(line, name), "lease_until", name)
            journal.end, journal.crc = line.end, line.crc

    def changes(self, lines: Iterable[Line], name: str) -> Iterator[list[Any]]:
        """Yield the changes in the commits among ``lines``, as lists of verb, kind, key and row."""
        for line in lines:
            document = self.document(line, name)
            try:
                changes = changes_in(document.get("changes", [] if "lease_until" in document else None))
            except ValueError as error:
                raise self.damaged(name, f"the line before byte {line.end}: {error}") from error
            yield from changes

    def document(self, line: Line, name: str) -> dict[str, Any]:
        """Return what a line says."""
        try:
            return line.document()
        except (ValueError, RecursionError) as error:
            raise self.damaged(name, f"the line before byte {line.end}: {error}") from error

    def request(self, line: Line, name: str) -> dict[str, Any]:
        """Return the request that a line holds."""
        row = self.document(line, name).get("request")
        if not isinstance(row, dict):
            raise self.damaged(name, "it holds no request")
        return row

    def header(self, document: dict[str, Any], name: str, epoch: int) -> Header:
        """Return the header in a first line, when it is that of this key and epoch."""
        form = document.get("format")
        if type(form) is int and form > FORMAT:
            raise NewerSchema(f"{self._where}/{name}", f"its format is {form}, this version knows {FORMAT}")
        owner, key = document.get("owner"), document.get("key")
        is_ours = type(form) is int and form == FORMAT and isinstance(key, str)
        if not is_ours or type(document.get("epoch")) is not int or document["epoch"] != epoch:
            raise self.damaged(name, "its first line is not that of a journal of this epoch")
        if self._key not in (None, key):
            raise self.damaged(name, f"it belongs to {key!r}")
        try:
            whose = None if owner is None else Owner.from_row(owner)
        except (TypeError, ValueError) as error:
            raise self.damaged(name, str(error)) from error
        since, lease_until = (self._time(document, field, name) for field in ("since", "lease_until"))
        return Header(str(key), epoch, whose, since, lease_until)

    def _base(self, document: dict[str, Any], name: str, epoch: int) -> Base:
        base, records, answered = document.get("base", ""), document.get("records"), document.get("answered", [])
        if isinstance(records, int) and isinstance(answered, list) and all(isinstance(one, str) for one in answered):
            if base is None:
                return Base(None, 0, records, tuple(answered))
            older, size = (base.get("epoch"), base.get("size")) if isinstance(base, dict) else (None, None)
            if type(older) is int and type(size) is int and 0 <= older < epoch:
                return Base(older, size, records, tuple(answered))
        raise self.damaged(name, "its second line does not say what it goes on from")

    def _time(self, document: dict[str, Any], field: str, name: str) -> float:
        value = document.get(field)
        if type(value) not in (int, float) or not 0 <= document[field] <= LAST_TIME:
            raise self.damaged(name, f"{field} is no time")
        return float(document[field])

    def damaged(self, name: str, reason: str) -> Damaged:
        """Return the error that names the file."""
        return Damaged(f"{self._where}/{name}", reason)


_CHANGES: Final = b'"changes":'
