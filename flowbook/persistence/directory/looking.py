"""A run that has been summed up, looked into: its records are found and compared with their checksums, not decoded."""

from __future__ import annotations

import re
from typing import Any, Final
from zlib import crc32

from flowbook.persistence.directory.folder import Folder
from flowbook.persistence.directory.journal import Base
from flowbook.persistence.directory.names import epoch_name

_RECORD: Final = re.compile(
    rb'\{"crc":"([0-9a-f]{8})","size":([1-9][0-9]{0,17}),'
    rb'("changes":\[\["(put|append)","([^"\\\n]*)","([^"\\\n]*)",(\{.*\})\]\]\})\n'
)

_FRAME_BYTES: Final = len(b'{"crc":"00000000","size":,\n')

Texts = tuple[Base, dict[str, dict[str, str]], dict[str, dict[str, list[str]]]]
"""What a snapshot says of itself, and the texts of its rows and of what was appended, by kind and key."""


def texts_in(folder: Folder) -> Texts | None:
    """Return the records of the snapshot that is all that a folder holds; None where it is to be read otherwise.

    That is where there is no snapshot alone, a name in it is not plain, or something is wrong.
    """
    epochs = folder.epochs()
    if len(epochs) != 1:
        return None
    name = epoch_name(epochs[0])
    data = folder.data(name)
    lines = [line for line, _ in zip(folder.reader.lines(data, name), range(2), strict=False)]
    journal = folder.reader.begun(lines, name, epochs[0], whole=False)
    if journal.base is None or journal.header.owner is not None:
        return None
    found = _RECORD.findall(data, journal.end)
    is_all = len(found) == journal.base.records and _end(found, journal.end, journal.crc) == len(data)
    return (journal.base, *_sorted(found)) if is_all else None


def _end(found: list[tuple[bytes, ...]], position: int, crc: int) -> int | None:
    """Return where these lines end if each is as it was written, and right behind the one before it."""
    for written, size, text, *_ in found:
        crc = crc32(text, crc)
        if crc != int(written, 16) or len(text) != int(size):
            return None
        position += _FRAME_BYTES + len(size) + len(text)
    return position


def _sorted(found: list[tuple[bytes, ...]]) -> tuple[dict[str, Any], dict[str, Any]]:
    rows: dict[str, dict[str, str]] = {}
    appended: dict[str, dict[str, list[str]]] = {}
    for _, _, _, verb, kind, key, text in found:
        if verb == b"put":
            rows.setdefault(kind.decode(), {})[key.decode()] = text.decode()
        else:
            appended.setdefault(kind.decode(), {}).setdefault(key.decode(), []).append(text.decode())
    return rows, appended
