"""The verbs that read a database: each sees one state of it, by one query or in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.engine.interfaces import DBAPICursor

from flowbook.exceptions import NotFound
from flowbook.persistence.backend import FlowRecords, FlowSummary, Query, Wanted
from flowbook.persistence.sql.database import Database
from flowbook.persistence.sql.names import name_of, quoted
from flowbook.persistence.sql.queries import (
    finding,
    loading,
    loading_appended,
    records_of,
    summary_of,
    undecoded_appended_of,
    undecoded_records_of,
)
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.sql.tables import FLOWS

_NEAR_NAMES: Final = 100
_KEYS_AT_ONCE: Final = 500  # an older SQLite takes 999 values


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

    def look(self, flow: str, kinds: Sequence[str] | None = None, wanted: Wanted | None = None) -> FlowRecords:
        """Return the same, each row to be decoded when it is asked for; of what was appended that which is wanted."""
        looked = None if wanted is None else self._database.read_as_one(partial(self._looked, flow, kinds, wanted))
        return self._found(flow, kinds, undecoded_records_of) if looked is None else looked

    def _looked(
        self, flow: str, kinds: Sequence[str] | None, wanted: Wanted, cursor: DBAPICursor
    ) -> FlowRecords | None:
        cursor.execute(*self._loading(flow, kinds, appended=False))
        records = undecoded_records_of(flow, list(cursor.fetchall()), kinds, self.url)
        if records is None:
            return None
        keys, found = tuple(dict.fromkeys(wanted(records))), list[Any]()
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = keys[start : start + _KEYS_AT_ONCE]
            cursor.execute(*self._statements.once(loading_appended(flow, kinds, some)))
            found += cursor.fetchall()
        return replace(records, appended=undecoded_appended_of(flow, found, self.url))

    def _found(
        self, flow: str, kinds: Sequence[str] | None, records_in: Callable[..., FlowRecords | None]
    ) -> FlowRecords:
        found = self._database.read(*self._loading(flow, kinds, appended=True))
        records = records_in(flow, found, kinds, self.url)
        if records is None:
            raise self._not_found(flow)
        return records

    def _loading(self, flow: str, kinds: Sequence[str] | None, *, appended: bool) -> tuple[str, list[Any]]:
        wanted = None if kinds is None else tuple(kinds)
        key = "load", wanted, appended
        text, values = self._statements.kept(key, partial(loading, wanted, appended=appended))
        claim = f"flow:{quoted(flow)}"  # what None stands for
        return text, [claim if value is None else value for value in values]

    def _not_found(self, flow: str) -> NotFound:
        newest = self._database.read(*self._statements.kept("newest", _newest))
        return NotFound("run", flow, [name_of(claim).removeprefix("flow:") for (claim,) in newest])


def _newest() -> Select[str]:
    return select(FLOWS.c.claim).order_by(FLOWS.c.created_at.desc()).limit(_NEAR_NAMES)
