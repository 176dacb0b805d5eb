"""A commit's changes as few statements: what does not depend on its order goes together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowbook.exceptions import EncodeError
from flowbook.persistence.changes import Append, Change, Delete, Row
from flowbook.persistence.sql.names import quoted
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.texts import text_of

Batch = tuple[str, list[tuple[Any, ...]]]
"""The text of a statement, and the values of each of its executions."""


def batches_of(claim: str, changes: Sequence[Change], statements: Statements, limit_bytes: int | None) -> list[Batch]:
    """Return what writes ``changes`` under the key ``claim``.

    Rows that are put and rows that are appended never meet, so each of the two is collected up to the next
    deletion, where all must be written; of the rows that are put under one key, the last one is written. Raises
    EncodeError and TooLarge.
    """
    collector = _Collector(quoted(claim), statements, limit_bytes)
    for change in changes:
        collector.take(change)
    collector.flush()
    return collector.batches


class _Collector:
    def __init__(self, claim: str, statements: Statements, limit_bytes: int | None) -> None:
        self.batches: list[Batch] = []
        self._claim = claim
        self._statements = statements
        self._limit_bytes = limit_bytes
        self._start()

    def _start(self) -> None:
        self._puts: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._appends: list[tuple[Any, ...]] = []
        self._flow: tuple[Any, ...] | None = None

    def take(self, change: Change) -> None:
        if isinstance(change, Delete):
            self.flush()
            self._delete(quoted(change.kind), quoted(change.key))
            return
        kind, key, row = change
        values = self._claim, quoted(kind), quoted(key), text_of(change, self._limit_bytes)
        if isinstance(change, Append):
            self._appends.append(values)
            return
        self._puts[kind, key] = values
        if kind == "flow" and self._claim.startswith("flow:"):  # a job has no place in the list of flows
            self._flow = _flow_columns(self._claim, key, row)

    def _delete(self, kind: str, key: str) -> None:
        statements = self._statements
        self.batches.append((statements.delete_record, [(self._claim, kind, key)]))
        self.batches.append((statements.delete_appended, [(self._claim, kind, key)]))
        if kind == "flow":
            self.batches.append((statements.delete_flow, [(self._claim,)]))
        if kind == "request" and key.isascii() and key.isdecimal():
            self.batches.append((statements.delete_request, [(self._claim, int(key))]))

    def flush(self) -> None:
        statements = self._statements
        for text, rows in (
            (statements.put, list(self._puts.values())),
            (statements.append, self._appends),
            (statements.put_flow, [] if self._flow is None else [self._flow]),
        ):
            if rows:
                self.batches.append((text, rows))
        self._start()


def _flow_columns(claim: str, key: str, row: Row) -> tuple[Any, ...]:
    """Return the columns of ``flows`` from a ``flow`` record. Raises EncodeError when one is wrong."""
    try:
        return (
            claim,
            quoted(row.get("book", "")),
            quoted(row.get("name", "")),
            quoted(row.get("state", "")),
            float(row.get("created_at", 0.0)),
            float(row.get("updated_at", 0.0)),
            _countable(row.get("atoms", 0)),
        )
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise EncodeError(f"flow {key!r}", f"a column of its summary is wrong: {error}") from error


def _countable(value: Any) -> int:  # JSON
    number = int(value)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{value!r} is no number of atoms")
    return number
