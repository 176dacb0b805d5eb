"""The statements that every commit, claim and renewal runs: compiled once, for the driver's own cursor.

Rebuilding and recompiling them costs several times what they do, and SQLAlchemy's execution as much again.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Dialect,
    Insert,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)

from flowbook.persistence.sql.tables import (
    APPENDED,
    CLAIMS,
    FLOWS,
    HEADS,
    OF_ONE_CLAIM,
    RECORDS,
    REQUESTS,
    SCHEMA,
)

_ONE: Final[ColumnElement[int]] = literal_column("1")


class Statements:
    """SQL text by what it does; values are given in the order in which they stand in the text.

    Their dialect must be one with nameless marks: ``qmark`` or ``format``.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._kept: dict[object, tuple[str, list[Any]]] = {}
        self._fences()
        self._changes()
        self._claims()
        self._others()

    def _fences(self) -> None:
        is_ours = _is(HEADS, "claim"), _is(HEADS, "epoch")
        step = update(HEADS).values(seq=HEADS.c.seq + _ONE)
        self.fence_seq = self._text(step.where(*is_ours, _is(HEADS, "seq")))
        self.fence_epoch = self._text(select(HEADS.c.seq).where(*is_ours).with_for_update(read=True))

    def _changes(self) -> None:
        record = _is(RECORDS, "claim"), _is(RECORDS, "kind"), _is(RECORDS, "key")
        appended = _is(APPENDED, "claim"), _is(APPENDED, "kind"), _is(APPENDED, "key")
        request = _is(REQUESTS, "claim"), _is(REQUESTS, "id")
        self.put = self._text(self._upsert(RECORDS))
        self.put_flow = self._text(self._upsert(FLOWS))
        self.append = self._text(_insert(APPENDED, "claim", "kind", "key", "data"))
        self.delete_record = self._text(delete(RECORDS).where(*record))
        self.delete_appended = self._text(delete(APPENDED).where(*appended))
        self.delete_flow = self._text(delete(FLOWS).where(_is(FLOWS, "claim")))
        self.delete_request = self._text(delete(REQUESTS).where(*request))

    def _claims(self) -> None:
        is_ours = _is(CLAIMS, "claim"), _is(CLAIMS, "epoch")
        head_is_ours = _is(HEADS, "claim"), _is(HEADS, "epoch")
        head = select(HEADS.c.epoch, HEADS.c.seq).where(_is(HEADS, "claim"))
        owner = select(CLAIMS.c.owner, CLAIMS.c.since, CLAIMS.c.lease_until).where(_is(CLAIMS, "claim"))
        lease: ColumnElement[float] = bindparam("new_lease_until")
        self.make_head = self._text(self._insert_if_new(HEADS))
        self.head = self._text(head.with_for_update())
        self.head_to_read = self._text(head.with_for_update(read=True))
        self.put_head = self._text(self._upsert(HEADS))
        self.owner = self._text(owner.with_for_update())
        self.put_claim = self._text(self._upsert(CLAIMS))
        self.prolong = self._text(update(CLAIMS).values(lease_until=lease).where(*is_ours))
        self.give_up = self._text(delete(CLAIMS).where(*is_ours))
        self.retire = self._text(update(HEADS).values(epoch=HEADS.c.epoch + _ONE).where(*head_is_ours))

    def _others(self) -> None:
        waiting = select(REQUESTS.c.id, REQUESTS.c.data).where(_is(REQUESTS, "claim")).order_by(REQUESTS.c.id)
        flow = select(RECORDS.c.key).where(_is(RECORDS, "claim"), RECORDS.c.kind == literal_column("'flow'"))
        posted = _is(REQUESTS, "claim"), _is(REQUESTS, "posted_at"), _is(REQUESTS, "data")
        self.requests = self._text(waiting)
        self.posted = self._text(select(REQUESTS.c.id).where(*posted))
        self.post = self._text(_insert(REQUESTS, "claim", "data", "posted_at"))
        self.flow = self._text(flow)
        self.revision = self._text(select(SCHEMA.c.version_num))
        self.forget = [self._text(delete(table).where(_is(table, "claim"))) for table in OF_ONE_CLAIM]

    def once(self, statement: ClauseElement) -> tuple[str, list[Any]]:
        """Return the text and the values of a statement that is made for one use."""
        # compile() types no SQLCompiler; here it writes a mark for each value of a list.
        compiled: Any = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        return str(compiled), [compiled.params[name] for name in compiled.positiontup]

    def kept(self, key: object, make: Callable[[], ClauseElement]) -> tuple[str, list[Any]]:
        """Return the same of a statement that is made and compiled once, under a key of its own."""
        if key not in self._kept:
            self._kept[key] = self.once(make())
        return self._kept[key]

    def _text(self, statement: ClauseElement) -> str:
        return str(statement.compile(dialect=self._dialect))

    def _upsert(self, table: Table) -> Insert:
        """Return an insert of a whole row, its columns in the table's order, in place of the old one."""
        keys = [column.name for column in table.primary_key]
        others = [column.name for column in table.columns if column.name not in keys]
        new = self._insert_row(table)
        if self._speaks_mysql:
            replaced: Insert = new.on_duplicate_key_update({name: new.inserted[name] for name in others})
        else:
            replaced = new.on_conflict_do_update(
                index_elements=keys, set_={name: new.excluded[name] for name in others}
            )
        return replaced

    def _insert_if_new(self, table: Table) -> Insert:
        """Return an insert of a whole row, its columns in the table's order, that leaves an old one as it is."""
        new = self._insert_row(table)
        if self._speaks_mysql:  # IGNORE would cut what is too long
            kept: Insert = new.on_duplicate_key_update({column.name: column for column in table.primary_key})
        else:
            kept = new.on_conflict_do_nothing()
        return kept

    def _insert_row(self, table: Table) -> Any:  # the Insert of the dialect: each has words of its own for a conflict
        words = import_module(f"sqlalchemy.dialects.{'mysql' if self._speaks_mysql else self._dialect.name}")
        return words.insert(table).values({column.name: bindparam(column.name) for column in table.columns})

    @property
    def _speaks_mysql(self) -> bool:
        return self._dialect.name in ("mysql", "mariadb")


_of_dialects: Final[dict[tuple[type[Dialect], str], Statements]] = {}


def statements_of(dialect: Dialect) -> Statements:
    """Return the statements of a dialect, compiled once in this process: many runs may open a backend of their own."""
    kind = type(dialect), dialect.paramstyle
    if kind not in _of_dialects:
        _of_dialects[kind] = Statements(dialect)
    return _of_dialects[kind]


def _is(table: Table, column: str) -> ColumnElement[bool]:
    return table.c[column] == bindparam(f"the_{column}")


def _insert(table: Table, *columns: str) -> Insert:
    return insert(table).values({name: bindparam(name) for name in columns}).inline()
