"""The newest runs in a SQLite file, for a shell that waits while a run is typed: at a glance, or not at all.

What reads a database properly takes longer to import than a shell may wait. So this knows one table, `tables.FLOWS`, in
plain SQL; it imports nothing that is large, makes and locks nothing, and gives up wherever it is not sure.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Final, NamedTuple
from urllib.parse import quote

from flowbook.persistence.sql.names import quoted, unquoted

_SCHEME: Final = "sqlite:///"
_TIMEOUT_S: Final = 0.05

_NEWEST: Final = """
    SELECT substr(claim, 6), name, state FROM flows
    WHERE substr(claim, 1, :length) = :start AND substr(claim, 1, :other_length) <> :other
    ORDER BY created_at DESC, claim LIMIT :limit
"""


class Glimpse(NamedTuple):
    """As much of a run as is offered: its id, and its flow and state."""

    id: str
    name: str
    state: str


def glimpses(url: str, begun: str, *, without: str, limit: int) -> Sequence[Glimpse] | None:
    """Return the newest runs whose ids begin so, and not like ``without``; None where it cannot be said at a glance."""
    path, has_options = url.removeprefix(_SCHEME), "?" in url
    if not url.startswith(_SCHEME) or has_options or not path.isprintable() or not os.path.isfile(path):
        return None
    start, other = f"flow:{quoted(begun)}", f"flow:{quoted(without)}"
    values = {"start": start, "length": len(start), "other": other, "other_length": len(other), "limit": limit}
    readable = f"file://{quote(os.path.abspath(path))}?mode=ro"
    try:
        with closing(sqlite3.connect(readable, timeout=_TIMEOUT_S, uri=True)) as database:
            rows = database.execute(_NEWEST, values).fetchall()
    except (sqlite3.Error, UnicodeError):
        return None
    if not all(isinstance(word, str) for row in rows for word in row):
        return None
    return [Glimpse(*map(unquoted, row)) for row in rows]
