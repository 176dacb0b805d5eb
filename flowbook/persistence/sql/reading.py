"""The verbs that read a database: each is one query, which sees one state of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Select, select

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
        wanted = None if kinds is None else tuple(kinds)
        text, values = self._statements.kept(("load", wanted), partial(loading, wanted))
        claim = f"flow:{quoted(flow)}"  # what None stands for
        found = self._database.read(text, [claim if value is None else value for value in values])
        records = records_in(flow, found, kinds, self.url)
        if records is None:
            raise self._not_found(flow)
        return records

    def _not_found(self, flow: str) -> NotFound:
        newest = self._database.read(*self._statements.kept("newest", _newest))
        return NotFound("run", flow, [name_of(claim).removeprefix("flow:") for (claim,) in newest])


def _newest() -> Select[str]:
    return select(FLOWS.c.claim).order_by(FLOWS.c.created_at.desc()).limit(_NEAR_NAMES)
