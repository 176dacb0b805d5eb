"""The verbs that read a database: each is one query, which sees one state of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import select

from flowbook.exceptions import NotFound
from flowbook.persistence.backend import FlowRecords, FlowSummary, Query
from flowbook.persistence.sql.database import Database
from flowbook.persistence.sql.names import name_of, quoted
from flowbook.persistence.sql.queries import finding, loading, records_of, summary_of, undecoded_records_of
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.sql.tables import FLOWS

_NEAR_NAMES: Final = 100


class ReadsDatabase:
    """What a backend on a `Database` finds and loads."""

    url: str
    _database: Database
    _statements: Statements
    _loads: dict[tuple[str, ...] | None, tuple[str, list[Any]]]

    def find(self, query: Query) -> Sequence[FlowSummary]:
        """Return the summaries of the flows that match, newest first, equally old ones by id."""
        return [summary_of(row, self.url) for row in self._database.read(*self._statements.once(finding(query)))]

    def load(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Return the newest committed records of a flow."""
        return self._found(flow, kinds, records_of)

    def look(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Return the same, each row to be decoded when it is asked for."""
        return self._found(flow, kinds, undecoded_records_of)

    def _found(
        self, flow: str, kinds: Sequence[str] | None, records_in: Callable[..., FlowRecords | None]
    ) -> FlowRecords:
        text, values = self._loading(None if kinds is None else tuple(kinds))
        claim = f"flow:{quoted(flow)}"
        found = self._database.read(text, [claim if value is None else value for value in values])
        records = records_in(flow, found, kinds, self.url)
        if records is None:
            raise self._not_found(flow)
        return records

    def _loading(self, kinds: tuple[str, ...] | None) -> tuple[str, list[Any]]:
        """Return the text and values of `loading`, compiled once for the same kinds; None stands for the claim."""
        if kinds not in self._loads:
            self._loads[kinds] = self._statements.once(loading(kinds))
        return self._loads[kinds]

    def _not_found(self, flow: str) -> NotFound:
        newest = select(FLOWS.c.claim).order_by(FLOWS.c.created_at.desc()).limit(_NEAR_NAMES)
        known = [
            name_of(claim).removeprefix("flow:") for (claim,) in self._database.read(*self._statements.once(newest))
        ]
        return NotFound("run", flow, known)
