"""What is special about SQLite: where the file is, how it is opened, who is alive, and what errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError

from flowbook.exceptions import (
    Damaged,
    NotALogbook,
    NotPossible,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TooLarge,
)
from flowbook.persistence.inspection import Finding
from flowbook.persistence.options import Options
from flowbook.persistence.owners import LivenessFile, Owner
from flowbook.persistence.sql.database import Database, revision_seen_by
from flowbook.persistence.sql.inspecting import of_content, of_files
from flowbook.persistence.sql.together import insert_of, is_insert

_Result = TypeVar("_Result")

ROW_LIMIT_BYTES = 1_000_000_000
"""SQLite takes no row that is larger."""

_MEANINGS: dict[int, type[StorageBusy | StorageFull | StorageUnavailable | Damaged]] = {
    sqlite3.SQLITE_BUSY: StorageBusy,
    sqlite3.SQLITE_LOCKED: StorageBusy,
    sqlite3.SQLITE_PROTOCOL: StorageBusy,
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_CORRUPT: Damaged,
    sqlite3.SQLITE_NOTADB: NotALogbook,
}
_AS_IT_IS = "as it is"
_PAUSE_S = 0.01
_MANY_ROWS = 8
_ROWS_AT_ONCE = 32  # the driver keeps 128 statements ready: those of two tables with any number of rows


def path_of(options: Options) -> str:
    """Return the absolute path in ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises NotPossible when there is none, when its directory is missing, or when it is not a file.
    """
    rest = options.address.partition(":")[2]
    name = rest[3:]
    if rest in ("", "//", ":memory:") or name in ("", ":memory:"):
        raise NotPossible("a SQLite database needs a file", where=options.url, todo="in memory: 'memory:'")
    if not rest.startswith("///") or "\0" in name:
        todo = "give sqlite:///relative.db or, for an absolute path, sqlite:////absolute.db"
        raise NotPossible("this names no file", where=options.url, todo=todo)
    path = Path(os.path.abspath(name))
    if path.is_dir():
        raise NotPossible(f"{str(path)!r} is a directory", where=options.url, todo="name a file in it")
    return str(path)


class SqliteDatabase(Database):
    """One file. Living processes keep a byte of ``<file>.lock`` locked, beside it."""

    def __init__(self, options: Options) -> None:
        self.path = path_of(options)
        self._timeout_s = options.seconds("timeout_s", default=10.0)
        self._journal = options.choice("journal", ("wal", "delete"), default=_AS_IT_IS)
        self._identity = (0, 0)
        self._liveness: LivenessFile | None = None
        engine = create_engine("sqlite://", creator=self.connect, poolclass=NullPool)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        super().__init__(options.url, engine)

    def connect(self) -> DBAPIConnection:
        """Return a connection that any thread may close, and that waits for others up to the deadline."""
        connection: Any = sqlite3.connect(  # sqlite3 is one of the drivers the protocol was made after
            self.path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            # FULL syncs the log in each commit; EXTRA also the directory, for a journal that was deleted.
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            connection.execute(f"PRAGMA synchronous={'FULL' if mode == 'wal' else 'EXTRA'}")
            connection.execute("PRAGMA trusted_schema=OFF")  # a stored schema runs nothing
        except BaseException:
            connection.close()
            raise
        driver: DBAPIConnection = connection
        return driver

    def read(self, text: str, values: Sequence[Any]) -> list[Any]:
        """Return all rows of one statement; there are none in a file that does not exist, and reading makes none."""
        return self._read_by(partial(super().read, text, values)) or []

    def read_as_one(self, work: Callable[[DBAPICursor], _Result]) -> _Result | None:
        """Return what ``work`` reads of one state of the file; None where there is none, or it has no log."""
        return self._read_by(partial(super().read_as_one, work))

    def _read_by(self, read: Callable[[], _Result]) -> _Result | None:
        if not self.is_open and not os.path.exists(self.path):
            self._check_directory()
            return None
        try:
            return read()
        except Damaged:  # of one text perhaps, and the others are sound
            connection: Any = self.session().connection
            connection.text_factory = _text_or_bytes
            try:
                return read()
            finally:
                connection.text_factory = str

    def prepare(self) -> None:
        """Make the file if there is none, choose its journal, and see to its schema."""
        self._check_directory()
        _create_file(self.path)
        self._identity = _identity(self.path)
        self._while_others_open(self._choose_journal)
        self._while_others_open(super().prepare)
        if self._liveness is not None:
            self._liveness.hold()

    def _check_directory(self) -> None:
        parent = os.path.dirname(self.path)
        if not os.path.isdir(parent):
            raise NotPossible(f"there is no directory {parent!r}", where=self.url, todo="make it first")

    def _choose_journal(self) -> None:
        """Set the journal mode of a new file, or the one that was asked for; a file keeps it."""
        is_new = revision_seen_by(self, self._sessions.current().cursor) is None
        wanted = ("wal" if is_new else "") if self._journal == _AS_IT_IS else self._journal
        cursor = self._sessions.current().cursor
        cursor.execute("PRAGMA journal_mode")
        if wanted and cursor.fetchone() != (wanted,):
            cursor.execute(f"PRAGMA journal_mode={wanted}")
            cursor.fetchall()
            self._sessions.close()  # the next connection syncs as its journal needs it

    def _while_others_open(self, work: Callable[[], None]) -> None:
        """Try until the deadline: while others open a new file, SQLite says "locked" without waiting."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return work()
            except (sqlite3.OperationalError, DBAPIError) as error:
                if not isinstance(self.translated(error), StorageBusy) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_S)

    def look(self, work: Callable[[DBAPICursor], _Result]) -> _Result | None:
        """Return what ``work`` reads; None where there is no file, and none is made."""
        if not os.path.exists(self.path):
            self._check_directory()
            return None

        def looked(cursor: Any) -> _Result:  # of sqlite3
            cursor.connection.text_factory = _text_or_bytes
            return work(cursor)

        return super().look(looked)

    def inspect(self) -> Iterator[Finding]:
        """Yield what the file, its directory and SQLite's own check tell."""
        yield from of_files(self.path)
        yield from self.look(lambda cursor: list(of_content(cursor, self.path))) or ()

    def close(self) -> None:
        """Close the connections and, unless other objects use it too, the lock file."""
        super().close()
        if self._liveness is not None:
            self._liveness.release()

    def begin(self, cursor: DBAPICursor) -> None:
        """Take the lock of the one writer, after a look whether the file is still the one that was opened."""
        if _identity(self.path) != self._identity:
            raise StorageUnavailable(self.url, "the file was moved, deleted or replaced while it was in use")
        cursor.execute("BEGIN IMMEDIATE")

    def begin_reading(self, cursor: DBAPICursor) -> bool:
        """Begin a transaction that sees one state, where a log keeps that for readers while others write."""
        cursor.execute("PRAGMA journal_mode")
        has_log: bool = cursor.fetchone() == ("wal",)
        if has_log:
            cursor.execute("BEGIN")
        return has_log

    def run_for_all(self, cursor: DBAPICursor, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that changes rows with each of ``rows``, in their order.

        An insert of many at once takes three quarters of the time; of few it takes longer.
        """
        if len(rows) >= _MANY_ROWS and is_insert(text):
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                some = rows[start : start + _ROWS_AT_ONCE]
                cursor.execute(insert_of(text, len(some)), [*chain.from_iterable(some)])
        else:
            super().run_for_all(cursor, text, rows)

    def tables(self, cursor: DBAPICursor) -> Collection[str]:
        """Return the names of the tables."""
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^'")
        return {str(name) for (name,) in cursor.fetchall()}

    def is_alive(self, owner: Owner) -> bool | None:
        """Return whether an owner on this machine holds its lock."""
        return self._lock_file().is_alive(owner)

    def hold(self) -> None:
        """Lock this process's byte."""
        self._lock_file().hold()

    def _lock_file(self) -> LivenessFile:
        if self._liveness is None:
            path = os.path.realpath(self.path)
            self._liveness = LivenessFile(f"{path}.lock", mode=os.stat(path).st_mode & 0o666)
        return self._liveness

    def translated(self, error: BaseException) -> BaseException:
        """Return what an error of SQLite, of the operating system or of SQLAlchemy means."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        return meaning_of(cause, self.url) if isinstance(cause, sqlite3.Error | OSError) else error


def _text_or_bytes(data: bytes) -> str | bytes:
    """Return a stored text, or its bytes where they are no text: the record that they are of can be named then."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _create_file(path: str) -> None:
    """Make an empty file, if there is none, that only its owner may read; SQLite makes those beside it like it."""
    if not os.path.exists(path):
        with suppress(FileExistsError):  # another process was quicker
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _identity(path: str) -> tuple[int, int]:
    """Return what tells a file from one that was put in its place, or zeros when there is none."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return stat.st_dev, stat.st_ino


def meaning_of(error: sqlite3.Error | OSError, url: str) -> StorageError:
    """Return our error for the driver's, or for the operating system's."""
    if isinstance(error, OSError):
        kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageUnavailable
        return kind(url, str(error))
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # the driver's own complaint: text that is not UTF-8, a connection that was closed
        return (Damaged if "decode" in str(error) else StorageUnavailable)(url, str(error))
    if code == sqlite3.SQLITE_TOOBIG:
        return TooLarge("a record", ROW_LIMIT_BYTES + 1, ROW_LIMIT_BYTES)
    return _MEANINGS.get(code & 0xFF, StorageUnavailable)(url, f"{error} ({error.sqlite_errorname})")
