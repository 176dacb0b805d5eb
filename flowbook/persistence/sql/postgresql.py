"""What is special about PostgreSQL: how it is reached by psycopg 3, locked, timed, and what its errors mean."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready
from sqlalchemy import Connection, NullPool, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError

from flowbook.clock import Clock
from flowbook.exceptions import (
    Damaged,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TooLarge,
)
from flowbook.persistence.options import Options
from flowbook.persistence.sql.addresses import address_of
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.persistence.sql.batches import Batch
from flowbook.persistence.sql.database import Database, Disconnected, Patience
from flowbook.persistence.sql.together import insert_of, inserts_of, parts_of, select_insert_of

_VALUE_LIMIT_BYTES: Final = 256 * 1024 * 1024
_NAME_LIMIT_BYTES: Final = 2704
_NAMES: Final = "a name, or the names of a record together,"
_INDEX_ROW: Final = re.compile(r"index row size (\d+)")
_PORT: Final = 5432
_PASSED: Final = "EXISTS (SELECT FROM fence)"
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SCHEMA_LOCK: Final = 0x666C6F77626F6F6B
"""The number of the advisory lock under which the schema is altered."""

_MEANINGS: Final[Mapping[str, type[StorageBusy | StorageFull | StorageUnavailable | Damaged]]] = {
    "40001": StorageBusy,  # serialization failure
    "40P01": StorageBusy,  # deadlock
    "55P03": StorageBusy,  # a lock was not to be had
    "57014": StorageBusy,  # a statement was cancelled
    "53100": StorageFull,
    "08": Disconnected,
    "57P": Disconnected,  # the server is stopped, or starts
    "25P03": Disconnected,  # thrown out for doing nothing in a transaction
    "53300": Disconnected,  # too many connections
    "XX": Damaged,
}
"""By the longest beginning of the error's code, see https://www.postgresql.org/docs/current/errcodes-appendix.html."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is given up when its server says nothing for too long: psycopg would wait for ever."""

    silence_s = float("inf")

    def wait(self, gen: PQGen[Any], *args: Any, **options: Any) -> Any:  # as psycopg's own, which differs by version
        return super().wait(self._listening(gen), *args, **options)

    def _listening(self, gen: PQGen[Any]) -> PQGen[Any]:
        """Pass on what a generator waits for; it is told at least every tenth of a second that nothing has come."""
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                now = time.monotonic()
                if ready != Ready.NONE:
                    heard_at = now
                elif now - heard_at > self.silence_s:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has said nothing for {self.silence_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


class PostgresqlDatabase(Database):
    """One database of a server; leases are judged by the server's clock alone."""

    def __init__(self, options: Options) -> None:
        address = address_of(options, port=_PORT)
        self.patience_s = options.seconds("timeout_s", default=10.0)
        patience = Patience(self.patience_s)
        wait_ms = max(1, int(self.patience_s * 1000))
        idle_ms = int(patience.idle_in_transaction_s * 1000)
        self._arguments: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "user": address.user or None,
            "password": address.password,
            "dbname": address.database,
            "sslmode": options.text("sslmode", default="prefer"),
            "sslrootcert": options.text("sslrootcert", default="") or None,
            "sslcert": options.text("sslcert", default="") or None,
            "sslkey": options.text("sslkey", default="") or None,
            "connect_timeout": max(2, int(self.patience_s)),
            "tcp_user_timeout": wait_ms,  # a server that is gone without a word is no reason to wait for ever
            "keepalives_idle": max(1, int(self.patience_s)),
            "application_name": "flowbook",
            "options": f"-c lock_timeout={wait_ms} -c idle_in_transaction_session_timeout={idle_ms}",
            "autocommit": True,
        }
        schema = options.text("schema", default="")
        if schema:
            self._arguments["options"] += f" -c search_path={_escaped(schema)}"
        how: dict[str, Any] = {"poolclass": NullPool, "pool_reset_on_return": None, "paramstyle": "format"}
        engine = create_engine("postgresql+psycopg://", creator=self.connect, **how)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_BEGIN))
        super().__init__(options.url, engine)

    def connect(self) -> DBAPIConnection:
        """Return a new connection; transactions are begun by `begin`."""
        connection: Any = _Connection.connect(**self._arguments)  # it has more than the protocol asks for
        connection.silence_s = Patience(self.patience_s).silence_s
        driver: DBAPIConnection = connection
        return driver

    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a transaction."""
        cursor.execute(_BEGIN)

    def begin_reading(self, cursor: DBAPICursor) -> bool:
        """Begin a transaction that sees one state."""
        cursor.execute(_BEGIN_READING)
        return True

    def run_for_all(self, cursor: DBAPICursor, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that changes rows with each of ``rows``, in their order: many at once.

        Psycopg's ``executemany`` sends a Flush behind its last answer. The server, which waits for what comes then,
        measures no time in which nothing is said, and would never throw out who is stopped there.
        """
        for some in parts_of(rows):
            cursor.execute(insert_of(text, len(some)), [*chain.from_iterable(some)])

    def run_behind(self, cursor: DBAPICursor, fence: str, values: Sequence[Any], batches: Sequence[Batch]) -> bool:
        """Run the fence and what stands behind it, as one statement where it can be one."""
        plain = inserts_of(batches)
        if plain is None:
            return super().run_behind(cursor, fence, values, batches)
        cursor.execute(_behind(fence, plain[0]), [*values, *plain[1]])
        ((passed,),) = cursor.fetchall()
        return bool(passed == 1)

    def tables(self, cursor: DBAPICursor) -> Collection[str]:
        """Return the names of the tables in the schema that new tables go to."""
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return {str(name) for (name,) in cursor.fetchall()}

    def lock_schema(self, connection: Connection) -> None:
        """Keep others from altering the schema until the transaction ends."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})

    def now(self, cursor: DBAPICursor) -> float:
        """Return the server's time, not that of the transaction's beginning."""
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        ((now,),) = cursor.fetchall()
        return float(now)

    def translated(self, error: BaseException) -> BaseException:
        """Return what an error of psycopg, of the operating system or of SQLAlchemy means."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg.Error):
            return self._meaning(cause)
        return Disconnected(self.url, str(cause)) if isinstance(cause, OSError) else error

    def _meaning(self, error: psycopg.Error) -> StorageError:
        code, said = error.sqlstate or "", str(error).strip()
        if code == "54000":
            size = _INDEX_ROW.search(said)
            return TooLarge(_NAMES, int(size[1]) if size else _NAME_LIMIT_BYTES + 1, _NAME_LIMIT_BYTES)
        for length in range(len(code), 1, -1):
            if code[:length] in _MEANINGS:
                return _MEANINGS[code[:length]](self.url, said)
        if not code and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return Disconnected(self.url, said)
        return StorageUnavailable(self.url, said)


@lru_cache(maxsize=256)
def _behind(fence: str, inserts: tuple[tuple[str, int], ...]) -> str:
    """Return one statement for the fence and for inserts of so many rows; it answers how many rows the fence changed.

    An insert that asks for rows of the fence waits until that has changed them.
    """
    parts = [f"fence AS ({fence} RETURNING 1)"]
    for number, (insert, count) in enumerate(inserts):
        parts.append(f"insert_{number} AS ({select_insert_of(insert, count, _PASSED)})")
    return f"WITH {', '.join(parts)} SELECT count(*) FROM fence"


def _escaped(name: str) -> str:
    """Return a quoted name as it is written in libpq's ``options``."""
    quoted = '"' + name.replace('"', '""') + '"'
    return quoted.replace("\\", "\\\\").replace(" ", "\\ ")


class PostgresqlBackend(SqlBackend):
    """Keeps records in a database of a PostgreSQL server (``postgresql://user:password@host/runs``), by psycopg 3.

    Options: ``timeout_s`` bounds the wait for locks and for a lost server (10); ``password_file`` names a file with the
    password; ``schema`` is where the tables are (the first of the ``search_path``); ``sslmode``, ``sslrootcert``,
    ``sslcert`` and ``sslkey`` are libpq's; ``value_limit_bytes`` bounds a value (256 MiB).
    """

    def __init__(self, conf: str | Mapping[str, object], *, clock: Clock | None = None) -> None:
        options = Options(conf)
        database = PostgresqlDatabase(options)
        limit_bytes = options.size("value_limit_bytes", default=_VALUE_LIMIT_BYTES)
        options.refuse_others()
        super().__init__(database, value_limit_bytes=limit_bytes, clock=clock)
