"""What is special about MySQL and MariaDB: how they are reached by PyMySQL, locked, timed, and what errors mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy import Connection, NullPool, create_engine, text
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
from flowbook.persistence.sql.tables import NAME_LIMIT_BYTES
from flowbook.persistence.sql.together import insert_of, inserts_of

_VALUE_LIMIT_BYTES: Final = 4 * 1024 * 1024
_PORT: Final = 3306
_SCHEMA_LOCK: Final = "flowbook schema"
_SIZE_AT_ONCE: Final = 64 * 1024  # far below the smallest max_allowed_packet in use

_MEANINGS: Final[Mapping[int, type[StorageBusy | StorageFull | StorageUnavailable | Damaged]]] = {
    **dict.fromkeys((1020, 1205, 1213, 3572), StorageBusy),  # a lock was not to be had; deadlock
    **dict.fromkeys((1317, 1969, 3024), StorageBusy),  # a statement was cancelled
    **dict.fromkeys((1021, 1114), StorageFull),
    **dict.fromkeys((0, 1040, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1927), Disconnected),
    **dict.fromkeys((2002, 2003, 2006, 2013, 2014, 2055, 4031), Disconnected),
    **dict.fromkeys((126, 127, 1034, 1035, 1194, 1195), Damaged),
}
"""By the server's and the client's numbers, see https://mariadb.com/kb/en/mariadb-error-codes/."""

_TOO_LONG: Final = frozenset({1071, 1406})


class _Connection(pymysql.connections.Connection):  # type: ignore[misc]  # the driver has no types
    """A connection that refuses what the server would answer by hanging up."""

    packet_limit_bytes = 2**63

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        text = sql.encode(self.encoding) if isinstance(sql, str) else sql
        if len(text) >= self.packet_limit_bytes:
            raise TooLarge("a record (see the server's max_allowed_packet)", len(text), self.packet_limit_bytes - 1)
        affected: int = super().query(text, unbuffered)
        return affected


class MysqlDatabase(Database):
    """One database of a server; leases are judged by the server's clock alone."""

    def __init__(self, options: Options) -> None:
        address = address_of(options, port=_PORT)
        self.patience_s = options.seconds("timeout_s", default=10.0)
        patience = Patience(self.patience_s)
        self._wait_s = max(1, int(self.patience_s))
        self._idle_s = int(patience.idle_in_transaction_s)
        self._arguments: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "user": address.user or None,
            "password": address.password or "",
            "database": address.database,
            "ssl_ca": options.text("ssl_ca", default="") or None,
            "ssl_cert": options.text("ssl_cert", default="") or None,
            "ssl_key": options.text("ssl_key", default="") or None,
            "connect_timeout": self._wait_s,
            "read_timeout": patience.silence_s,
            "write_timeout": patience.silence_s,
            "charset": "utf8mb4",
            "client_flag": CLIENT.FOUND_ROWS | CLIENT.MULTI_STATEMENTS,  # rows that matched, altered or not
            "autocommit": True,
        }
        how: dict[str, Any] = {"poolclass": NullPool, "pool_reset_on_return": None, "paramstyle": "format"}
        engine = create_engine("mysql+pymysql://", creator=self.connect, **how)
        super().__init__(options.url, engine)

    def connect(self) -> DBAPIConnection:
        """Return a new connection; transactions are begun by `begin`."""
        connection = _Connection(**self._arguments)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                # Where the clock is put back in autumn, an hour of local time is there twice.
                settings = "time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
                # MySQL knows connections that do nothing, MariaDB also transactions.
                idle = "idle_transaction_timeout" if "MariaDB" in connection.get_server_info() else "wait_timeout"
                limits = f"innodb_lock_wait_timeout = %s, {idle} = %s"
                cursor.execute(f"SET SESSION {settings}, {limits}", (self._wait_s, self._idle_s))
                cursor.execute("SELECT @@max_allowed_packet")
                ((connection.packet_limit_bytes,),) = cursor.fetchall()
        except BaseException:
            connection.close()
            raise
        made: DBAPIConnection = connection
        return made

    def begin(self, cursor: DBAPICursor) -> None:
        """Begin a transaction."""
        cursor.execute("BEGIN")

    def begin_reading(self, cursor: DBAPICursor) -> bool:
        """Begin a transaction that sees one state: that of its first query."""
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # of the next one alone
        cursor.execute("START TRANSACTION READ ONLY")
        return True

    def run_behind(self, cursor: Any, fence: str, values: Sequence[Any], batches: Sequence[Batch]) -> bool:
        """Run the fence and what stands behind it, as one query of several statements where there is little of it."""
        plain = inserts_of(batches)
        if plain is None or sum(len(value) for value in plain[1] if isinstance(value, str)) > _SIZE_AT_ONCE:
            return super().run_behind(cursor, fence, values, batches)
        cursor.execute(_query_of(fence, plain[0]), [*values, *plain[1]])
        passed: bool = cursor.rowcount == 1
        while cursor.nextset():  # an error of a later statement is raised here
            pass
        return passed

    def tables(self, cursor: DBAPICursor) -> Collection[str]:
        """Return the names of the tables."""
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
        return {str(name) for (name,) in cursor.fetchall()}

    def lock_schema(self, connection: Connection) -> None:
        """Keep others from altering the schema until the connection is closed; MySQL commits after each step."""
        asked = connection.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": _SCHEMA_LOCK, "wait": self._wait_s})
        if asked.scalar() != 1:
            raise StorageBusy(self.url, "others have been altering the schema all the time")

    def now(self, cursor: DBAPICursor) -> float:
        """Return the server's time, not that of the transaction's beginning."""
        cursor.execute("SELECT UNIX_TIMESTAMP(SYSDATE(6))")
        ((now,),) = cursor.fetchall()
        return float(now)

    def translated(self, error: BaseException) -> BaseException:
        """Return what an error of PyMySQL, of the operating system or of SQLAlchemy means."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, pymysql.err.Error):
            return self._meaning(cause)
        return Disconnected(self.url, str(cause)) if isinstance(cause, OSError) else error

    def _meaning(self, error: BaseException) -> StorageError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else -1
        if number in _TOO_LONG:
            return TooLarge(f"a name ({error})", NAME_LIMIT_BYTES + 1, NAME_LIMIT_BYTES)
        return _MEANINGS.get(number, StorageUnavailable)(self.url, str(error))


@lru_cache(maxsize=256)
def _query_of(fence: str, inserts: tuple[tuple[str, int], ...]) -> str:
    return "; ".join([fence, *(insert_of(text, count) for text, count in inserts)])


class MysqlBackend(SqlBackend):
    """Keeps records in a database of a MySQL or MariaDB server (``mysql://user:password@host/runs``), by PyMySQL.

    Options: ``timeout_s`` bounds the wait for locks and for a lost server (10); ``password_file`` names a file with the
    password; ``ssl_ca``, ``ssl_cert`` and ``ssl_key`` are PyMySQL's; ``value_limit_bytes`` bounds a value (4 MiB: the
    server's ``max_allowed_packet`` must be four times as much).
    """

    def __init__(self, conf: str | Mapping[str, object], *, clock: Clock | None = None) -> None:
        options = Options(conf)
        database = MysqlDatabase(options)
        limit_bytes = options.size("value_limit_bytes", default=_VALUE_LIMIT_BYTES)
        options.refuse_others()
        super().__init__(database, value_limit_bytes=limit_bytes, clock=clock)
