"""What is asked of a database: the statements of `find` and `load`, and the values in their answers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from flowbook.persistence.changes import Row
from flowbook.persistence.finding import DAMAGED
from flowbook.persistence.owners import Owner
from flowbook.persistence.sql.names import name_of, quoted
from flowbook.persistence.sql.tables import APPENDED, CLAIMS, FLOWS, RECORDS, REQUESTS
from flowbook.persistence.texts import row_of, rows_of
from flowbook.persistence.undecoded import Undecoded, UndecodedLists

UNREADABLE: Final = Owner("unreadable", "", "", 0, 0, 0)
"""Stands in a summary for an owner that cannot be read, and may live."""

_IN_RECORDS, _IN_APPENDED = 0, 1


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


def loading(kinds: Sequence[str] | None, *, appended: bool = True) -> CompoundSelect[Any]:
    """Return the statement of `Backend.load`: one for all tables, so that it sees one state of the storage.

    Its parameter ``the_claim`` is left open. Asks for the ``flow`` record in any case: without it there is no flow.
    Without ``appended`` it leaves to `loading_appended` what was appended.
    """
    # mypy knows no type for a literal column, so Any.
    kept: Any = select(literal_column(str(_IN_RECORDS)), literal_column("0"), *_columns(RECORDS))
    posted: Any = select(
        literal_column(str(_IN_RECORDS)),
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
        *([_appended_rows().where(APPENDED.c.claim == of_flow, *_of_kinds(APPENDED, kinds))] if appended else []),
    )


def loading_appended(flow: str, kinds: Sequence[str] | None, keys: Collection[str]) -> Select[Any]:
    """Return the statement for what was appended under these keys: of these kinds, or of all."""
    of_keys = APPENDED.c.key.in_([quoted(key) for key in keys])
    return _appended_rows().where(APPENDED.c.claim == f"flow:{quoted(flow)}", *_of_kinds(APPENDED, kinds), of_keys)


def _appended_rows() -> Select[Any]:
    return select(literal_column(str(_IN_APPENDED)), APPENDED.c.id, *_columns(APPENDED))


def _columns(table: Table) -> tuple[ColumnElement[str], ...]:
    return table.c.kind, table.c.key, table.c.data


def _of_kinds(table: Table, kinds: Sequence[str] | None) -> list[ColumnElement[bool]]:
    return [] if kinds is None else [or_(false(), *[table.c.kind == quoted(kind) for kind in kinds])]


def records_of(flow: str, found: list[Any], kinds: Sequence[str] | None, url: str) -> FlowRecords | None:
    """Return a flow's records from the rows that `loading` found, or None when there is no such flow."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    appended: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for kind, key, row in _decoded(_kept(found), flow, url):
        rows.setdefault(kind, {})[key] = row
    for kind, key, row in _decoded(_appended(found), flow, url):
        appended.setdefault(kind, {}).setdefault(key, []).append(row)
    return _records(flow, rows, appended, kinds)


def undecoded_records_of(flow: str, found: list[Any], kinds: Sequence[str] | None, url: str) -> FlowRecords | None:
    """Return the same as `records_of`, each row to be decoded when it is asked for."""
    rows: dict[str, dict[str, Any]] = defaultdict(dict)
    for kind, key, text in _named(_kept(found), flow, url):
        rows[kind][key] = text
    kept = {kind: Undecoded(texts, url, kind) for kind, texts in rows.items()}
    return _records(flow, kept, undecoded_appended_of(flow, found, url), kinds)


def undecoded_appended_of(flow: str, found: list[Any], url: str) -> Mapping[str, UndecodedLists]:
    """Return what was appended alone."""
    appended: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for kind, key, text in _named(_appended(found), flow, url):
        appended[kind][key].append(text)
    return {kind: UndecodedLists(dict(texts), url, kind) for kind, texts in appended.items()}


def _records(
    flow: str,
    rows: Mapping[str, Mapping[str, dict[str, Any]]],
    appended: Mapping[str, Mapping[str, Sequence[Row]]],
    kinds: Sequence[str] | None,
) -> FlowRecords | None:
    if "flow" not in rows:
        return None
    if kinds is not None and "flow" not in kinds:
        rows = {kind: of_kind for kind, of_kind in rows.items() if kind != "flow"}
    return FlowRecords(flow, rows, appended)


def _kept(found: Sequence[Any]) -> Sequence[Any]:
    return [row for row in found if row[0] == _IN_RECORDS]


def _appended(found: Sequence[Any]) -> Sequence[Any]:
    return sorted([row for row in found if row[0] == _IN_APPENDED], key=itemgetter(1))


def _decoded(found: Sequence[Any], flow: str, url: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, key and record of each row. Raises Damaged."""
    rows = rows_of([row[-1] for row in found])
    for (kind, key, text), row in zip(_named(found, flow, url), rows, strict=True):
        yield kind, key, row_of(text, url, kind, key) if row is None else row


def _named(found: Iterable[Any], flow: str, url: str) -> Iterator[tuple[str, str, Any]]:
    """Yield kind, key and text of each row. Raises Damaged."""
    names: dict[str, str] = {}
    for _, _, kind, key, text in found:
        try:
            name = names.get(kind)
            if name is None:
                name = names[kind] = name_of(kind)
            yield name, key if type(key) is str and key.isprintable() else name_of(key), text  # no mark is printable
        except (AttributeError, TypeError, ValueError) as error:
            raise Damaged(url, f"{kind} {key!r} of run {flow!r}: its name is not readable: {error}") from error
