"""Runs in a relational database, whose stored values are damaged one at a time by a connection of one's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import psycopg
import pymysql
import pytest
from sqlalchemy import Table

from crash.sql_storages import server_of, storage_on
from flowbook import FlowFailed, LinearFlow, Task, Times, engines
from flowbook.events import Notice
from flowbook.persistence.backend import Backend
from flowbook.persistence.registry import fetch
from flowbook.persistence.sql.tables import OF_ONE_CLAIM, SCHEMA
from flowbook.testing.backend_samples import stranger

KINDS: Final = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.server),
    pytest.param("mariadb", marks=pytest.mark.server),
]
"""The databases, as parameters of a test."""

_REFUSED: Final = (
    *(sqlite3.IntegrityError, pymysql.IntegrityError, pymysql.DataError),
    *(psycopg.IntegrityError, psycopg.DataError, psycopg.errors.DatatypeMismatch),
)

RUN: Final = "spoilt"
OTHERS: Final = ("beside", "spoilt too")
"""The run that is damaged, and runs that must not suffer: one that is finished, one that is not."""


class OutOfStock(FlowFailed):
    """There is nothing left to be sold."""

    def __init__(self, thing: str = "a thing") -> None:
        self.thing = thing
        super().__init__(thing)


class Reserve(Task):
    """Finds nothing in the first round."""

    default_provides = "reserved"

    def execute(self, amount: int, rounds: int) -> dict[str, object]:
        if rounds == 1:
            raise OutOfStock("of \u00fc")
        return {"amount": amount, "in": ["Z\u00fcrich", 0.5, None, True]}

    def revert(self, **given: object) -> None:
        """Leave all as it is."""


class Pay(Task):
    """Never succeeds."""

    def execute(self, reserved: object) -> None:
        raise OutOfStock("money")


class Serve(Task):
    """Ends a run that nothing is wrong with."""

    def execute(self, amount: int) -> int:
        return amount


def failing_flow() -> LinearFlow:
    """Return a flow that tries twice what succeeds then, and fails in the end."""
    again = LinearFlow("again", retry=Times(3, "rounds", provides="rounds")).add(Reserve("reserve"))
    return LinearFlow("order").add(again, Pay("pay"))


def serving_flow() -> LinearFlow:
    """Return a flow of which nothing fails."""
    return LinearFlow("meal").add(Serve("first"), Serve("second"))


class _Driver(Protocol):
    def cursor(self) -> Any: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


class Place(NamedTuple):
    """Where a value is stored: the table, the primary key of the row, the column; and what is there."""

    table: Table
    key: tuple[Any, ...]
    column: str
    value: Any

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column} of {self.key}"


class Spoilt:
    """A database with three runs, two of them under way, and all that is in it, to be put back."""

    def __init__(self, kind: str, url: str, driver: _Driver) -> None:
        self.kind, self.url, self.driver = kind, url, driver
        self.mark = "?" if kind == "sqlite" else "%s"
        self.cases = 0
        self._altered: list[Place] | None = []
        self.backend = fetch(url)
        _record(self.backend)
        self.rows = {table: self._read(table) for table in (*OF_ONE_CLAIM, SCHEMA)}
        self.loaded = {run: self.backend.load(run) for run in (RUN, *OTHERS)}

    def places(self, *columns: str, tables: Iterable[Table] = OF_ONE_CLAIM) -> Iterator[Place]:
        """Yield where values of the damaged run are stored, in these columns or in all."""
        for table in tables:
            names = [column.name for column in table.columns]
            keys = [column.name for column in table.primary_key]
            for row in self.rows[table]:
                found = dict(zip(names, row, strict=True))
                if table is SCHEMA or _text(found["claim"]) == f"flow:{RUN}":
                    key = tuple(found[name] for name in keys)
                    yield from (Place(table, key, name, found[name]) for name in columns or names if name in found)

    def put(self, place: Place, value: object, *, sql: str = "") -> bool:
        """Store another value there; return False when the database takes no such value."""
        name = place.table.name
        where = " AND ".join(f"{name}.{column.name} = {self.mark}" for column in place.table.primary_key)
        column = f"{name}.{place.column}" if self.kind == "mariadb" else place.column  # KEY is a word there
        statement = f"UPDATE {name} SET {column} = {sql or self.mark} WHERE {where}"
        cursor = self.driver.cursor()
        try:
            cursor.execute(statement, (value, *place.key))
        except _REFUSED:
            self.driver.rollback()
            return False
        finally:
            cursor.close()
        self.driver.commit()
        if self._altered is not None:
            self._altered = (
                None if place.column in {one.name for one in place.table.primary_key} else [*self._altered, place]
            )
        return True

    def restore(self, *, is_written: bool = True) -> None:
        """Put back all that was there; where nothing but `put` has written, only what it altered, if that is enough."""
        altered, self._altered = self._altered, []
        if altered is None or is_written:
            self._restore_all()
            return
        for place in altered:
            self.put(place, place.value)
        self._altered = []

    def _restore_all(self) -> None:
        with closing(self.driver.cursor()) as cursor:
            for table, rows in self.rows.items():
                cursor.execute(f"DELETE FROM {table.name}")
                if rows:
                    marks = ", ".join([self.mark] * len(table.columns))
                    cursor.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)
        self.driver.commit()

    def close(self) -> None:
        """Close all connections."""
        self.backend.close()
        self.driver.close()

    def _read(self, table: Table) -> list[tuple[Any, ...]]:
        names = ", ".join(f"{table.name}.{column.name}" for column in table.columns)  # KEY is a word of MariaDB's
        with closing(self.driver.cursor()) as cursor:
            cursor.execute(f"SELECT {names} FROM {table.name}")
            rows = [tuple(row) for row in cursor.fetchall()]
        self.driver.commit()
        return rows


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def spoilt_on(kind: str, request: pytest.FixtureRequest, folder: Path) -> Spoilt:
    """Return a new database with its runs."""
    if kind == "sqlite":
        path = folder / "runs.db"
        return Spoilt(kind, f"sqlite:///{path}", sqlite3.connect(path))
    storage = storage_on(kind, server_of(kind, request))
    return Spoilt(kind, storage.url, storage.connect())


def _record(backend: Backend) -> None:
    engines.run(serving_flow(), {"amount": 3}, backend=backend, run_id=OTHERS[0])
    _run_until(engines.load(serving_flow(), {"amount": 3}, backend=backend, run_id=OTHERS[1]), "first", "SUCCESS")
    _run_until(engines.load(failing_flow(), {"amount": 3}, backend=backend, run_id=RUN), "pay", "FAILURE")
    for run in (RUN, OTHERS[1]):
        backend.claim(f"flow:{run}", stranger(), lease_s=0)  # its owner is gone
    backend.post(f"flow:{RUN}", {"do": "suspend"})


def _run_until(engine: engines.Engine, atom: str, state: str) -> None:
    def stop(notice: Notice) -> None:
        if notice.atom == atom:
            engine.suspend()

    engine.atom_notifier.register(state, stop)
    engine.run()
