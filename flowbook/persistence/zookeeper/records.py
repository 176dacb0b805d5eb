"""The records of a key: commits, parts of large ones, and what was summed up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

from kazoo.exceptions import NoNodeError

from flowbook.persistence.contents import Contents, changes_in
from flowbook.persistence.zookeeper.asking import Op, create, get
from flowbook.persistence.zookeeper.connection import WINDOW
from flowbook.persistence.zookeeper.head import Base, Head
from flowbook.persistence.zookeeper.sealing import document_in, sealed, unsealed
from flowbook.persistence.zookeeper.space import Space

_READ_AGAIN: Final = 20
_COMMITS_BY_ONE: Final = 20  # each may be as large as a znode can be
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024


class Gone(Exception):
    """A znode that the head counts is not there (any more)."""


def read(space: Space) -> tuple[Head, Contents] | None:
    """Return the newest head and the records that it counts; None when there is no head.

    A znode that vanishes while they are read has been summed up by then.
    """
    before = None
    for _ in range(_READ_AGAIN):
        found = space.head()
        if found is None:
            return None
        try:
            return found[0], records_of(space, found[0])[0]
        except Gone as error:
            if found == before:
                with space.reading(str(error)):
                    raise ValueError("it is gone, and the head counts it") from None
            before = found
    with space.reading():
        raise ValueError("its records change all the time")


def records_of(space: Space, head: Head) -> tuple[Contents, list[str]]:
    """Return the records that a head counts, and the names of the znodes they are in. Raises Damaged and Gone."""
    contents, base = Contents(), head.base
    summed = [part_name(base.token, number) for number in range(base.parts)]
    commits = [commit_name(number) for number in range(base.through + 1, head.count + 1)]
    if summed:
        contents.take(_summed(space, _data(space, summed), summed, base))
    found = _data(space, commits, by_one=_COMMITS_BY_ONE)
    entries = [_entry(space, data, name) for name, data in zip(commits, found, strict=True)]
    names = {name: parts_of(entry) for name, entry in zip(commits, entries, strict=True) if "parts" in entry}
    named = list(chain.from_iterable(names.values()))
    parts = dict(zip(named, _data(space, named), strict=True))
    for name, entry in zip(commits, entries, strict=True):
        with space.reading(name):
            changes = _joined(space, names[name], parts) if name in names else entry.get("changes")
            contents.take(changes_in(changes))
    return contents, [*summed, *commits, *named]


def _parts_at_once(space: Space) -> int:
    return max(1, min(WINDOW, _BYTES_AT_ONCE // space.connection.address.znode_limit_bytes))


def _data(space: Space, names: Sequence[str], *, by_one: int = 1) -> list[bytes]:
    """Return what is in znodes of this key, so many read by one request. Raises Gone."""
    paths = [space.under(name) for name in names]
    if by_one == 1:
        answers = space.connection.ask([get(path) for path in paths], window=_parts_at_once(space))
        found = [None if isinstance(answer, Exception) else answer[0] for answer in answers]
    else:
        found = space.connection.read(paths, by_one=by_one)
    whole: list[bytes] = []
    for name, data in zip(names, found, strict=True):
        if data is None:
            raise Gone(name)
        whole.append(data)
    return whole


def _summed(space: Space, found: Sequence[bytes], names: Sequence[str], base: Base) -> list[list[Any]]:
    with space.reading(names[0]):
        changes = changes_in(_joined(space, names, dict(zip(names, found, strict=True))))
        if len(changes) != base.records:
            raise ValueError(f"{base.records} records were summed up, and {len(changes)} are there")
        return changes


def _joined(space: Space, names: Iterable[str], parts: dict[str, bytes]) -> object:
    """Return the document whose text lies in parts. Raises Damaged for a part, ValueError for their whole."""
    text = []
    for name in names:
        with space.reading(name):
            text.append(unsealed(parts[name], f"{space.place}/{name}"))
    return json.loads(b"".join(text))


def _entry(space: Space, data: bytes, name: str) -> dict[str, Any]:
    with space.reading(name):
        entry = document_in(data, f"{space.place}/{name}")
        if "parts" in entry and (type(entry["parts"]) is not int or not isinstance(entry.get("by"), str)):
            raise ValueError("it is no commit")
        return entry


def token_of(space: Space, number: int) -> str | None:
    """Return the token of the commit with this number, or None when there is none."""
    (found,) = space.connection.ask([get(space.under(commit_name(number)))])
    return None if isinstance(found, Exception) else str(_entry(space, found[0], commit_name(number)).get("by"))


def write_parts(space: Space, data: bytes, token: str) -> int:
    """Write ``data`` in parts that are named after ``token``; return how many. Raises FileNotFoundError."""
    limit = space.connection.address.znode_limit_bytes
    pieces = [data[start : start + limit] for start in range(0, len(data), limit)]
    asked = []
    for number, piece in enumerate(pieces):
        name = part_name(token, number)
        asked.append(create(space.under(name), sealed(piece, f"{space.place}/{name}")))
    for answer in space.connection.ask(asked, window=_parts_at_once(space)):
        if isinstance(answer, NoNodeError):
            raise FileNotFoundError(space.path) from answer
    return len(pieces)


def commit_op(space: Space, number: int, token: str, text: bytes, parts: int) -> Op:
    """Return the part of a multi that writes a commit: its changes as ``text``, or so many parts of it."""
    name = commit_name(number)
    changes = b'"parts":%d' % parts if parts else b'"changes":%b' % text
    return Op.create(space.under(name), sealed(b'{"by":"%b",%b}' % (token.encode(), changes), f"{space.place}/{name}"))


def commit_name(number: int) -> str:
    """Return the name of a commit's znode."""
    return f"c-{number:010}"


def part_name(token: str, number: int) -> str:
    """Return the name of the znode of a part."""
    return f"p-{token}-{number:05}"


def parts_of(entry: dict[str, Any]) -> list[str]:
    """Return the names of the parts of a commit."""
    return [part_name(entry["by"], number) for number in range(entry["parts"])]
