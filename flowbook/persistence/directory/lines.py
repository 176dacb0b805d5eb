"""The lines of a journal: JSON objects that carry a checksum, and are bound to all the lines before them.

::

    {"crc":"8a4d1c02","size":31,"seq":7,"changes":[…]}

``size`` counts the bytes behind its own comma, without the line's end; ``crc`` is their CRC-32, begun with the checksum
of the line before. So a line that was altered, moved, left out or taken from another journal is found. Each line is on
stable storage before the next is written: what a crash or a power cut leaves half written can only be the last one.

Behind the last line there may be *room*: empty lines that the next ones are written over. No line holds a line's end
before its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple
from zlib import crc32

_FRAME: Final = re.compile(rb'\{"crc":"([0-9a-f]{8})","size":([1-9][0-9]{0,17}),')
_SECTOR: Final = 512
_ROOM: Final = b"\n\0"  # a file that grew by a power cut is filled with NUL
_DIGIT: Final = re.compile(rb"[0-9a-f]")
_LONGEST: Final = _DIGIT.sub(b"0", b'{"crc":"%s","size":%s' % (b"0" * 8, b"0" * 18))
"""The beginning of a frame, all hexadecimal digits and what looks like them made equal."""


class Line(NamedTuple):
    """One line: where it ends in its file, its checksum, and its text without the frame."""

    end: int
    crc: int
    text: bytes

    def document(self) -> dict[str, Any]:
        """Return what the line says. Raises ValueError and RecursionError when that is no JSON object."""
        found = json.loads((b"{" + self.text).decode())
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        return found


class BrokenLine(Exception):
    """A line is not as it was written, and no torn tail either: ``at`` is its position."""

    def __init__(self, at: int) -> None:
        self.at = at
        super().__init__(at)

    def __str__(self) -> str:
        return f"the line at byte {self.at} is not as it was written"


def framed(document: str, crc: int) -> tuple[bytes, int]:
    """Return the line that says ``document``, behind a line with the checksum ``crc``, and its own checksum."""
    text = document[1:].encode()
    crc = crc32(text, crc)
    return b'{"crc":"%08x","size":%d,%b\n' % (crc, len(text), text), crc


def lines_in(data: bytes, *, at: int = 0, crc: int = 0) -> Iterator[Line]:
    """Yield the lines in ``data``, which begins at position ``at`` of its file, up to a torn tail.

    ``crc`` is the checksum of the line before. Raises BrokenLine.
    """
    position = 0
    while position < len(data):
        match = _FRAME.match(data, position)
        end = match.end() + int(match[2]) if match else 0
        text = data[match.end() : end] if match else b""
        if match is None or data[end : end + 1] != b"\n" or crc32(text, crc) != int(match[1], 16):
            if is_torn(data[position:], at + position, crc):
                return
            raise BrokenLine(at + position)
        crc, position = int(match[1], 16), end + 1
        yield Line(at + position, crc, text)


def line_from(data: bytes, start: int) -> Line | None:
    """Return the line of a file's ``data`` that begins at ``start``, without reading those before it.

    None in a torn tail, of which there may be room before ``start``. It trusts the checksum that the line before says
    of itself. Raises BrokenLine.
    """
    if data[start - 2 : start - 1] in (b"\n", b"\0"):  # no line ends there: it is a part of a torn one
        start = len(data[:start].rstrip(_ROOM)) + 1
    before = _FRAME.match(data, data.rfind(b"\n", 0, start - 1) + 1) if start else None
    end = data.find(b"\n", start) + 1
    part = data[start:end] if end > start + 1 and data[end : end + 1] else data[start:]  # the last one may be torn
    return next(lines_in(part, at=start, crc=int(before[1], 16) if before else 0), None)


def is_room(data: bytes) -> bool:
    """Return whether there is nothing in ``data`` but room."""
    return not data.strip(_ROOM)


def is_torn(rest: bytes, at: int, crc: int) -> bool:
    """Return whether ``rest``, from position ``at`` to the end of a file, is room, or one line that was never finished.

    A line is unfinished when its end is missing, or a sector of it was never written, or not to its end. One that has
    all its bytes and does not say what it should has been altered. ``crc`` is the checksum of the line before.
    """
    begun = rest.rstrip(_ROOM)
    if _holds_room(begun):
        parts = _sectors(begun, at)
        written = list(map(_written, parts))
        return written != parts and not _holds_room(b"".join(written))
    match = _FRAME.match(begun)
    if match is None:
        return _LONGEST.startswith(_DIGIT.sub(b"0", begun))
    missing = match.end() + int(match[2]) - len(begun)
    is_all = crc32(begun[match.end() :], crc) == int(match[1], 16)
    return missing >= 0 and is_all == (missing == 0)


def _holds_room(data: bytes) -> bool:
    return b"\n" in data or b"\0" in data


def _written(sector: bytes) -> bytes:
    """Return what was written of a sector; one byte behind that is no room, but may be the end of a whole line."""
    begun = sector.rstrip(_ROOM)
    return sector if begun and len(begun) == len(sector) - 1 else begun


def _sectors(data: bytes, at: int) -> list[bytes]:
    """Return the parts of ``data``, from position ``at`` of its file, that lie in one sector each.

    A single byte may be all there is of one: a line's first or last, of which no one altered bit makes room.
    """
    edges = sorted({0, *range(-at % _SECTOR, len(data), _SECTOR), len(data)})
    return [data[start:end] for start, end in pairwise(edges)]
