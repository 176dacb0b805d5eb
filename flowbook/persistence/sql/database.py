"""A database as the verbs of the backend need it: made ready, read, and written in whole transactions."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from flowbook.exceptions import StorageBusy, StorageUnavailable
from flowbook.persistence.owners import Owner
from flowbook.persistence.sql.schema import bring_up_to_date, revision_of
from flowbook.persistence.sql.sessions import Session, Sessions
from flowbook.persistence.sql.statements import statements_of
from flowbook.persistence.sql.tables import REVISIONS, SCHEMA
from flowbook.persistence.sql.together import Sender

_Answer = TypeVar("_Answer")
_Result = TypeVar("_Result")

_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.5
_MARGIN_S: Final = 2.0
_IDLE_MAX_S: Final = 10.0
_NOT_KNOWN: Final = "whether it was written is not known"


class Disconnected(StorageUnavailable):
    """The connection to the server is lost, or cannot be made: it may be there again in a moment."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for; ``patience_s`` is for locks, and for a server that is lost."""

    patience_s: float

    @property
    def silence_s(self) -> float:
        """How long a server may say nothing: a little longer than it waits for a lock, which it says then."""
        return self.patience_s + _MARGIN_S

    @property
    def idle_in_transaction_s(self) -> float:
        """How long we may say nothing in a transaction before the server ends it.

        So others, who wait for its locks, get them before their patience ends; it is far below any usual lease.
        """
        return min(max(1.0, self.patience_s / 2), _IDLE_MAX_S)


def do_again(cursor: DBAPICursor) -> None:
    """Settle an open question by doing the work again, which comes to the same."""


class Database(Sender, ABC):
    """Runs statements on one connection a thread; every error that leaves it is ours.

    A subclass says how to connect and how a transaction begins, what the driver's errors mean, and who lives.
    """

    patience_s = 0.0
    """How long trouble that may pass is waited for; SQLite waits by itself."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self.dialect = engine.dialect
        self.statements = statements_of(engine.dialect)
        self._engine = engine
        self._sessions = Sessions(self.connect)
        self._opening = threading.RLock()
        self._was_reached = False
        self.is_open = False

    @abstractmethod
    def connect(self) -> DBAPIConnection:
        """Return a new connection of the driver, which begins no transaction by itself."""

    @abstractmethod
    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a transaction that will write."""

    @abstractmethod
    def begin_reading(self, cursor: DBAPICursor) -> bool:
        """Begin a transaction that sees one state; return False, and begin none, where a writer would wait for it."""

    @abstractmethod
    def tables(self, cursor: DBAPICursor) -> Collection[str]:
        """Return the names of the tables in the database."""

    @abstractmethod
    def translated(self, error: BaseException) -> BaseException:
        """Return our error for one of the driver's; any other as it is."""

    def is_alive(self, owner: Owner) -> bool | None:
        """Return whether an owner lives, or None when only its lease can tell."""
        return None

    def now(self, cursor: DBAPICursor) -> float | None:
        """Return the time of the database's own clock, in seconds since the epoch; None when it has none."""
        return None

    def hold(self) -> None:
        """Let others see from now on that this process, about to claim something, lives."""

    def open(self) -> None:
        """Make the database ready: a new one gets the schema, an older one the newest."""

        def prepared() -> None:
            try:
                self.prepare()
            except BaseException:
                self._sessions.close()
                raise

        with self._opening:
            if not self.is_open:
                self._patiently(prepared)
                self.is_open = True

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        with self._opening:
            self.is_open = False
            self._sessions.close()

    def prepare(self) -> None:
        """Make the schema, or bring it up to date, where that is needed."""
        cursor = self._sessions.current().cursor
        self._was_reached = True
        if revision_seen_by(self, cursor) != REVISIONS[-1]:
            with self._engine.begin() as connection:  # the second look is under the lock of a writer
                self.lock_schema(connection)
                bring_up_to_date(connection, revision_seen_by(self, connection.connection.cursor()))

    def lock_schema(self, connection: Connection) -> None:
        """Keep others from altering the schema until the connection's transaction ends."""

    def look(self, work: Callable[[DBAPICursor], _Result]) -> _Result | None:
        """Return what ``work`` reads, making and upgrading nothing; None where there is no database yet."""

        def looked() -> _Result:
            session = Session(self.connect())
            try:
                return work(session.cursor)
            finally:
                session.close()

        return self._guarded(looked)

    def read(self, text: str, values: Sequence[Any]) -> list[Any]:
        """Return all rows of one statement."""

        def rows() -> list[Any]:
            session = self.session()
            try:
                session.cursor.execute(text, values)
                return list(session.cursor.fetchall())
            except Exception:
                self._sessions.roll_back(session)
                raise

        return self._patiently(rows)

    def read_as_one(self, work: Callable[[DBAPICursor], _Result]) -> _Result | None:
        """Return what ``work`` reads of one state of the database, or None where only one statement can do that.

        So it is where a writer would wait for us, there is no database yet, or trouble came that may pass.
        """
        session = self._patiently(self.session)

        def result() -> _Result | None:
            try:
                return work(session.cursor) if self.begin_reading(session.cursor) else None
            finally:
                self._sessions.roll_back(session)

        try:
            return self._guarded(result)
        except (StorageBusy, Disconnected):
            return None

    def write(
        self, work: Callable[[DBAPICursor], _Result], *, settle: Callable[[DBAPICursor], _Result | None] | None = None
    ) -> _Result:
        """Return what ``work`` returns, after one durable transaction; when it fails, nothing was written.

        What may pass is tried again until the deadline, so ``work`` may be called several times. Where the connection
        was lost while it committed, ``settle`` finds out on another one whether that took place: it returns the result,
        or None for no. It must wait for a lock that ``work`` takes, since the commit may be still under way, and must
        write nothing; `do_again` is one for work that may be done twice. Without ``settle`` that is an error: nobody
        knows. It is asked whatever the deadline says: of a process that slept while it committed, it is over.
        """
        transaction = _Transaction(self, self._sessions, work, settle)
        try:
            return self._patiently(transaction)
        except Disconnected:
            if not transaction.is_unsettled:
                raise
            return self._guarded(transaction)

    def session(self) -> Session:
        """Return the calling thread's connection; the database is opened when it is not."""
        if not self.is_open:
            self.open()
        return self._sessions.current()

    def _patiently(self, work: Callable[[], _Result]) -> _Result:
        """Return what ``work`` returns, tried again until the deadline while its trouble may pass."""
        deadline = time.monotonic() + self.patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self._guarded(work)
            except (StorageBusy, Disconnected):
                if not self._was_reached or time.monotonic() + pause_s > deadline:
                    raise  # where there has never been a server, there will be none in a moment
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _guarded(self, work: Callable[[], _Result]) -> _Result:
        try:
            return work()
        except Exception as error:
            translated = self.translated(error)
            if translated is error:
                raise
            raise translated from error


class _Transaction(Generic[_Result]):
    """Tries one transaction, as often as it is called, and remembers whether the last try may have been committed."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        work: Callable[[DBAPICursor], _Result],
        settle: Callable[[DBAPICursor], _Result | None] | None,
    ) -> None:
        self._database, self._sessions = database, sessions
        self._work, self._settle = work, settle
        self._is_open_question = False
        self.is_unsettled = False
        """Whether the last try may have been committed, and ``settle`` was not asked since."""

    def __call__(self) -> _Result:
        """Return what the work returned in a transaction that is committed."""
        settled = self._settled(self._settle) if self._settle is not None and self._is_open_question else None
        return self._tried() if settled is None else settled

    def _settled(self, settle: Callable[[DBAPICursor], _Result | None]) -> _Result | None:
        """Return what the last try returned when that was committed, else None."""
        self.is_unsettled = False
        try:
            session, settled = self._begun(settle)
        except Exception as error:
            trouble = self._database.translated(error)
            if isinstance(trouble, StorageBusy | Disconnected):
                raise Disconnected(self._database.url, f"{_NOT_KNOWN}: {trouble.reason}") from error
            raise
        self._sessions.roll_back(session)
        self._is_open_question = False
        return settled

    def _tried(self) -> _Result:
        session, result = self._begun(self._work)
        try:
            session.connection.commit()
        except BaseException as error:
            self._sessions.roll_back(session)
            self._is_open_question = isinstance(self._database.translated(error), Disconnected)
            self.is_unsettled = self._is_open_question and self._settle is not None
            if self._is_open_question and self._settle is None:
                raise StorageUnavailable(self._database.url, f"{_NOT_KNOWN}: {error}") from error
            raise
        return result

    def _begun(self, work: Callable[[DBAPICursor], _Answer]) -> tuple[Session, _Answer]:
        """Return what ``work`` returns within a transaction, and the session that is in it."""
        session = self._database.session()
        try:
            self._database.begin(session.cursor)
            return session, work(session.cursor)
        except BaseException:
            self._sessions.roll_back(session)
            raise


def revision_seen_by(database: Database, cursor: DBAPICursor) -> str | None:
    """Return the schema's revision, or None in a new database. Raises NotALogbook and NewerSchema."""
    tables = database.tables(cursor)
    noted: Sequence[Any] = ()
    if SCHEMA.name in tables:
        cursor.execute(database.statements.revision)
        noted = cursor.fetchall()
    return revision_of(database.url, tables, [str(revision) for (revision,) in noted])
