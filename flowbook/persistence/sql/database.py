"""A database as the verbs of the backend need it: made ready, read, and written in whole transactions."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import ClauseElement, Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from flowbook.persistence.owners import Owner
from flowbook.persistence.sql.schema import bring_up_to_date, revision_of
from flowbook.persistence.sql.sessions import Session, Sessions
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.sql.tables import REVISIONS, SCHEMA

_Result = TypeVar("_Result")


class Database(ABC):
    """Runs statements on one connection a thread; every error that leaves it is ours.

    A subclass says how to connect and how a transaction begins, what the driver's errors mean, and who lives.
    """

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self.statements = Statements(engine.dialect)
        self._engine = engine
        self._sessions = Sessions(self.connect)
        self._opening = threading.RLock()
        self.is_open = False

    @abstractmethod
    def connect(self) -> DBAPIConnection:
        """Return a new connection of the driver, which begins no transaction by itself."""

    @abstractmethod
    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a transaction that will write."""

    @abstractmethod
    def tables(self, cursor: DBAPICursor) -> Collection[str]:
        """Return the names of the tables in the database."""

    @abstractmethod
    def translated(self, error: BaseException) -> BaseException:
        """Return our error for one of the driver's; any other as it is."""

    def is_alive(self, owner: Owner) -> bool | None:
        """Return whether an owner lives, or None when only its lease can tell."""
        return None

    def hold(self) -> None:  # noqa: B027 - a server sees who lives by the lease alone
        """Let others see from now on that this process, about to claim something, lives."""

    def open(self) -> None:
        """Make the database ready: a new one gets the schema, an older one the newest."""
        with self._opening:
            if self.is_open:
                return
            try:
                self._guarded(self.prepare)
            except BaseException:
                self._sessions.close()
                raise
            self.is_open = True

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        with self._opening:
            self.is_open = False
            self._sessions.close()

    def prepare(self) -> None:
        """Make the schema, or bring it up to date, where that is needed."""
        if self.revision() != REVISIONS[-1]:
            with self._engine.begin() as connection:  # the second look is under the lock of a writer
                bring_up_to_date(connection, self._revision_in(connection))

    def revision(self) -> str | None:
        """Return the schema's revision, or None in a new database. Raises NotALogbook and NewerSchema."""
        return self._revision_seen_by(self._sessions.current().cursor)

    def _revision_in(self, connection: Connection) -> str | None:
        return self._revision_seen_by(connection.connection.cursor())

    def _revision_seen_by(self, cursor: DBAPICursor) -> str | None:
        tables = self.tables(cursor)
        noted: Sequence[Any] = ()
        if SCHEMA.name in tables:
            cursor.execute(self.statements.revision)
            noted = cursor.fetchall()
        return revision_of(self.url, tables, [str(revision) for (revision,) in noted])

    def read(self, text: str, values: Sequence[Any]) -> list[Any]:
        """Return all rows of one statement."""

        def rows() -> list[Any]:
            cursor = self._session().cursor
            cursor.execute(text, values)
            return list(cursor.fetchall())

        return self._guarded(rows)

    def read_once(self, statement: ClauseElement) -> list[Any]:
        """Return all rows of a statement that is made for one use."""
        return self.read(*self.statements.once(statement))

    def write(self, work: Callable[[DBAPICursor], _Result]) -> _Result:
        """Return what ``work`` returns, after one durable transaction; when it fails, nothing was written.

        The connection can be used again after a failure.
        """
        try:
            session = self._session()
            try:
                self.begin(session.cursor)
                result = work(session.cursor)
                session.connection.commit()
            except BaseException:
                self._roll_back(session)
                raise
        except Exception as error:
            translated = self.translated(error)
            if translated is error:
                raise
            raise translated from error
        return result

    def _session(self) -> Session:
        if not self.is_open:
            self.open()
        return self._sessions.current()

    def _roll_back(self, session: Session) -> None:
        try:
            session.connection.rollback()
        except Exception:  # what cannot be rolled back is rolled back by closing it
            self._sessions.drop(session)

    def _guarded(self, work: Callable[[], _Result]) -> _Result:
        try:
            return work()
        except Exception as error:
            translated = self.translated(error)
            if translated is error:
                raise
            raise translated from error
