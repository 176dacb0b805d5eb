"""A run in a few words, read from the ends of its journals: as little as possible."""

from __future__ import annotations

from typing import Any

from flowbook.persistence.directory.folder import Folder, believed
from flowbook.persistence.directory.journal import FLOW_MARKS, Header, Journal
from flowbook.persistence.directory.lines import BrokenLine, Line, line_from
from flowbook.persistence.directory.names import epoch_name


def newest_flow_record(folder: Folder) -> tuple[Header, str, dict[str, Any]] | None:
    """Return the newest header in a folder, and the key and row of the ``flow`` record; None when there is none."""
    newest: Header | None = None
    for epoch in folder.epochs():
        journal, change = _flow_change(folder, epoch)
        newest = newest or journal.header
        while not change and journal.base is not None and journal.base.epoch is not None:
            journal, change = _flow_change(folder, journal.base.epoch, journal.base.size)
        if journal.base is not None:
            return (newest, change[2], change[3]) if change[:1] == ["put"] else None
    return None


def _flow_change(folder: Folder, epoch: int, size: int | None = None) -> tuple[Journal, list[Any]]:
    return believed(lambda: _read_flow_change(folder, epoch, size))


def _read_flow_change(folder: Folder, epoch: int, size: int | None) -> tuple[Journal, list[Any]]:
    """Return what the first two lines of a journal say, and its newest change of a ``flow`` record, if any.

    That of a snapshot is its first record, so its beginning is enough.
    """
    name = epoch_name(epoch)
    with folder.opened(name) as file:
        there = folder.files.size(file)
        size = there if size is None else min(size, there)
        lines, data = folder.first_lines(file, name, 3, size)
        journal = folder.reader.begun(lines[:2], name, epoch)
        if journal.header.owner is None and journal.base is not None and journal.base.records:
            if len(lines) < 3:
                raise folder.reader.damaged(name, "its records are missing")
            return journal, _flow_change_in(folder, lines[2], name)
        data += folder.files.read(file, len(data), size - len(data))
    position = len(data)
    while (position := max(data.rfind(mark, 0, position) for mark in FLOW_MARKS)) >= 0:
        position = data.rfind(b"\n", 0, position) + 1
        try:
            change = _flow_change_in(folder, line_from(data, position), name)
        except BrokenLine as error:
            raise folder.reader.damaged(name, str(error)) from error
        if change:
            return journal, change
    return journal, []


def _flow_change_in(folder: Folder, line: Line | None, name: str) -> list[Any]:
    """Return the newest change of a ``flow`` record in a line, or nothing."""
    if line is None:
        return []
    changes = (change for change in folder.reader.changes([line], name) if change[1] == "flow")
    return next((change for change in reversed(list(changes)) if change[0] != "append"), [])
