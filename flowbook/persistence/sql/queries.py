"""What is asked of a database: the statements of `find` and `load`, and the values in their answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    false,
    literal_column,
    or_,
    select,
    union_all,
)

from flowbook.exceptions import Damaged
from flowbook.persistence.backend import FlowRecords, FlowSummary, Query
from flowbook.persistence.finding import DAMAGED
from flowbook.persistence.owners import Owner
from flowbook.persistence.sql.names import name_of, quoted
from flowbook.persistence.sql.tables import APPENDED, CLAIMS, FLOWS, RECORDS, REQUESTS
from flowbook.persistence.texts import row_of, rows_of

UNREADABLE: Final = Owner("unreadable", "", "", 0, 0, 0)
"""Stands in a summary for an owner that cannot be read, and may live."""

_KEPT, _APPENDED = 0, 1


def finding(query: Query) -> Select[Any]:
    """Return the statement of `Backend.find`."""
    wanted = [column == quoted(value) for column, value in _equal(query) if value is not None]
    if query.prefix:  # where there is none, SQLite would look at all of them rather than take the newest
        wanted.append(_begins(query.prefix))
    if query.flow is not None:
        wanted.append(FLOWS.c.claim == f"flow:{quoted(query.flow)}")
    if query.states:
        wanted.append(or_(*[FLOWS.c.state == quoted(state) for state in sorted(query.states)]))
    if query.since is not None:
        wanted.append(FLOWS.c.created_at >= query.since)
    if query.until is not None:
        wanted.append(FLOWS.c.created_at <= query.until)
    claims = CLAIMS.c.owner, CLAIMS.c.since
    statement = select(*FLOWS.columns, *claims).outerjoin(CLAIMS, CLAIMS.c.claim == FLOWS.c.claim)
    newest_first = FLOWS.c.created_at.desc(), FLOWS.c.claim
    return statement.where(*wanted).order_by(*newest_first).limit(query.limit)


def _equal(query: Query) -> Iterable[tuple[ColumnElement[str], str | None]]:
    return (FLOWS.c.book, query.book), (FLOWS.c.name, query.name)


def _begins(prefix: str) -> ColumnElement[bool]:
    """Return whether a flow's id begins with ``prefix``; LIKE would take capital letters for small ones."""
    start = f"flow:{quoted(prefix)}"
    return (FLOWS.c.claim >= start) & (FLOWS.c.claim < _beyond(start))


def _beyond(text: str) -> str:
    """Return the first text that is sorted after all that begin with ``text``, which is not empty."""
    kept = text.rstrip("\U0010ffff")
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)


def summary_of(row: Sequence[Any], url: str) -> FlowSummary:
    """Return a flow's summary from a row that `finding` found; what cannot be read is ``DAMAGED``."""
    claim, book, name, state, created_at, updated_at, atoms, owner, since = row
    try:
        flow = name_of(claim).removeprefix("flow:")
        names = name_of(book), name_of(name), name_of(state)
        facts = float(created_at), float(updated_at), int(atoms)
        owned = (None, None) if owner is None else (_owner_told(owner, url, claim), float(since))
        return FlowSummary(flow, *names, *facts, *owned)
    except (AttributeError, OverflowError, TypeError, ValueError):
        return FlowSummary(_readable(claim).removeprefix("flow:"), "", "", DAMAGED, 0.0, 0.0, 0)


def _readable(claim: Any) -> str:  # whatever a driver returns
    try:
        return name_of(claim)
    except (AttributeError, TypeError, ValueError):
        return str(claim)


def owner_of(text: Any, url: str, claim: str) -> Owner:
    """Return the owner that ``text`` describes. Raises Damaged."""
    try:
        return Owner.from_row(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise Damaged(url, f"the owner of {claim!r}: {error}") from error


def _owner_told(text: Any, url: str, claim: str) -> Owner:
    try:
        return owner_of(text, url, claim)
    except Damaged:
        return UNREADABLE


def loading(kinds: Sequence[str] | None) -> CompoundSelect[Any]:
    """Return the statement of `Backend.load`: one for all tables, so that it sees one state of the storage.

    Its parameter ``the_claim`` is left open. Asks for the ``flow`` record in any case: without it there is no flow.
    """
    # mypy knows no type for a literal column, so Any.
    kept: Any = select(literal_column(str(_KEPT)), literal_column("0"), *_columns(RECORDS))
    appended: Any = select(literal_column(str(_APPENDED)), APPENDED.c.id, *_columns(APPENDED))
    posted: Any = select(
        literal_column(str(_KEPT)),
        literal_column("0"),
        literal_column("'request'"),
        cast(REQUESTS.c.id, Text),
        REQUESTS.c.data,
    )
    of_flow: ColumnElement[str] = bindparam("the_claim")
    wants_requests = kinds is None or "request" in kinds
    return union_all(
        *([posted.where(REQUESTS.c.claim == of_flow)] if wants_requests else []),
        kept.where(RECORDS.c.claim == of_flow, *_of_kinds(RECORDS, None if kinds is None else ["flow", *kinds])),
        appended.where(APPENDED.c.claim == of_flow, *_of_kinds(APPENDED, kinds)),
    )


def _columns(table: Table) -> tuple[ColumnElement[str], ...]:
    return table.c.kind, table.c.key, table.c.data


def _of_kinds(table: Table, kinds: Sequence[str] | None) -> list[ColumnElement[bool]]:
    return [] if kinds is None else [or_(false(), *[table.c.kind == quoted(kind) for kind in kinds])]


def records_of(flow: str, found: list[Any], kinds: Sequence[str] | None, url: str) -> FlowRecords | None:
    """Return a flow's records from the rows that `loading` found, or None when there is no such flow."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    appended: dict[str, dict[str, list[dict[str, Any]]]] = {}
    kept = [row for row in found if row[0] == _KEPT]
    for kind, key, row in _read(kept, flow, url):
        rows.setdefault(kind, {})[key] = row
    in_order = sorted([row for row in found if row[0] == _APPENDED], key=itemgetter(1))
    for kind, key, row in _read(in_order, flow, url):
        appended.setdefault(kind, {}).setdefault(key, []).append(row)
    if "flow" not in rows:
        return None
    if kinds is not None and "flow" not in kinds:
        del rows["flow"]
    return FlowRecords(flow, rows, appended)


def _read(found: Sequence[Any], flow: str, url: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, key and record of each row. Raises Damaged."""
    names: dict[str, str] = {}
    texts = [row[-1] for row in found]
    for (_, _, kind, key, data), row in zip(found, rows_of(texts), strict=True):
        try:
            name = names.get(kind)
            if name is None:
                name = names[kind] = name_of(kind)
            key = name_of(key)
        except (AttributeError, TypeError, ValueError) as error:
            raise Damaged(url, f"{kind} {key!r} of run {flow!r}: its name is not readable: {error}") from error
        yield name, key, row_of(data, url, name, key) if row is None else row
