"""Rows and statements that are sent to a server together: each answer that is waited for costs a way there and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy.engine.interfaces import DBAPICursor

from flowbook.persistence.sql.batches import Batch

_INSERT: Final = "INSERT INTO "
_ROW: Final = re.compile(r"VALUES (\([^)]*\))")
_ROWS_AT_ONCE: Final = 500
_SIZE_AT_ONCE: Final = 1024 * 1024


class Sender:
    """How statements that change rows are sent: one after the other, unless a database can take more at once."""

    def run_for_all(self, cursor: DBAPICursor, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that changes rows with each of ``rows``, in their order."""
        cursor.executemany(text, rows)

    def run_behind(self, cursor: DBAPICursor, fence: str, values: Sequence[Any], batches: Sequence[Batch]) -> bool:
        """Run ``fence``, which changes a row where it lets pass, and behind it all ``batches``; return whether it did.

        Where it did not, the transaction must be rolled back.
        """
        cursor.execute(fence, values)
        if cursor.rowcount != 1:
            return False
        for text, rows in batches:
            self.run_for_all(cursor, text, rows)
        return True


def parts_of(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield all rows in their order, as many at once as make a statement of reasonable size, or else one."""
    start, size = 0, 0
    for end, row in enumerate(rows):
        size_of_row = sum(len(value) for value in row if isinstance(value, str))
        if end > start and (end - start == _ROWS_AT_ONCE or size + size_of_row > _SIZE_AT_ONCE):
            yield rows[start:end]
            start, size = end, 0
        size += size_of_row
    yield rows[start:]


def is_insert(text: str) -> bool:
    """Return whether a statement inserts a row, so that one of it can insert many."""
    return text.startswith(_INSERT)


@lru_cache(maxsize=256)
def insert_of(text: str, count: int) -> str:
    """Return an INSERT of one row as one of many; any other statement is for one row."""
    return text if count == 1 else _ROW.sub(lambda row: f"VALUES {', '.join([row[1]] * count)}", text)


@lru_cache(maxsize=256)
def select_insert_of(text: str, count: int, condition: str) -> str:
    """Return an INSERT of one row as one of so many, if a condition holds."""
    rows = r"SELECT * FROM (VALUES {}) AS new_rows WHERE {}"
    return _ROW.sub(lambda row: rows.format(", ".join([row[1]] * count), condition), text)


def inserts_of(batches: Sequence[Batch]) -> tuple[tuple[tuple[str, int], ...], list[Any]] | None:
    """Return the texts of inserts with how many rows each has, and the values of all of them, in their order.

    None where there is more than one insert into a table, or anything else, or too much for one statement.
    """
    inserts = tuple((text, len(rows)) for text, rows in batches)
    rows = [row for _, some in batches for row in some]
    is_plain = all(is_insert(text) for text, _ in inserts) and len(dict(inserts)) == len(inserts)
    return (inserts, [*chain.from_iterable(rows)]) if is_plain and len(list(parts_of(rows))) == 1 else None
