"""The flows that a query asks for, for backends that go through all of them; and what is told of a damaged one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowbook.persistence.backend import FlowSummary, Query

DAMAGED: Final = "DAMAGED"
"""The state that is told of a flow whose records cannot be read."""


def chosen(summaries: Iterable[FlowSummary], query: Query) -> list[FlowSummary]:
    """Return the summaries that match, newest first, equally old ones by id, cut to the query's limit."""
    found = sorted((one for one in summaries if _matches(query, one)), key=lambda one: one.flow)
    found.sort(key=lambda one: one.created_at, reverse=True)
    return found[: query.limit]


def _matches(query: Query, summary: FlowSummary) -> bool:
    return (
        (query.flow is None or summary.flow == query.flow)
        and (query.book is None or summary.book == query.book)
        and (query.name is None or summary.name == query.name)
        and (not query.states or summary.state in query.states)
        and summary.flow.startswith(query.prefix)
        and (query.since is None or summary.created_at >= query.since)
        and (query.until is None or summary.created_at <= query.until)
    )
