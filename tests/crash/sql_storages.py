"""Storages on database servers, as the crash tests see them: by their own connection, and through a proxy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pymysql
import pytest

from crash.proxy import LOOPBACK, Proxy
from daemons.databases import new_mariadb_database, new_postgresql_schema
from daemons.process import Daemon
from flowbook.clock import Clock
from flowbook.persistence.options import Options
from flowbook.persistence.registry import fetch
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.persistence.sql.mysql import MysqlBackend
from flowbook.persistence.sql.postgresql import PostgresqlBackend

KINDS: Final = ("postgresql", "mariadb")
SETTINGS: Final = {"timeout_s": 5}

_COMES_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.15  # MariaDB tells the same again to those who ask within a tenth of a second


@dataclass(frozen=True)
class Storage:
    """An empty database (or schema) on a server that others use too."""

    kind: str
    url: str
    port: int

    def conf(self, proxy: Proxy | None = None, **options: object) -> dict[str, Any]:
        """Return how it is reached, directly or through a proxy."""
        url = self.url if proxy is None else self.url.replace(f":{self.port}/", f":{proxy.port}/")
        return {"connection": url, **SETTINGS, **options}

    def backend(self, proxy: Proxy | None = None, *, clock: Clock | None = None, **options: object) -> SqlBackend:
        """Return a backend on it."""
        make = PostgresqlBackend if self.kind == "postgresql" else MysqlBackend
        return make(self.conf(proxy, **options), clock=clock)

    @property
    def commit_request(self) -> bytes:
        """Return what a client sends to commit, and in nothing else."""
        return b"COMMIT\0" if self.kind == "postgresql" else b"\x03COMMIT"

    def connect(self) -> Any:  # a connection of either driver
        """Return a connection of one's own, which begins a transaction with the first statement."""
        options = Options(self.url)
        if self.kind == "postgresql":
            schema = options.text("schema", default="").replace(" ", "\\ ")
            return psycopg.connect(options.address, options=f'-c search_path="{schema}"')
        database = options.address.rpartition("/")[2]
        return pymysql.connect(
            host=LOOPBACK,
            port=self.port,
            user="root",
            database=database,
            client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
        )

    def ask(self, statement: str) -> list[Any]:
        """Return the rows of a statement, which is committed."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                found = list(cursor.fetchall()) if cursor.description else []
            connection.commit()
        finally:
            connection.close()
        return found

    def wait_until_somebody_waits(self) -> None:
        """Return when a connection to the server waits for a lock."""
        if self.kind == "postgresql":
            waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        else:
            waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        deadline = time.monotonic() + _COMES_WITHIN_S
        while not self.ask(waiting):
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(_LOOK_EVERY_S)

    def kill_connections(self) -> None:
        """Have the server end all connections to this storage but the one that asks for it."""
        if self.kind == "postgresql":
            self.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'flowbook' AND pid <> pg_backend_pid()"
            )
            return
        for (number,) in self.ask(
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        ):
            self.ask(f"KILL {number}")


def storage_on(kind: str, server: Daemon) -> Storage:
    """Return a new storage on a server."""
    url = new_postgresql_schema(server) if kind == "postgresql" else new_mariadb_database(server)
    return Storage(kind, url, server.port)


def server_of(kind: str, request: pytest.FixtureRequest) -> Daemon:
    """Return the server of a kind that all tests of this process share."""
    server: Daemon = request.getfixturevalue(f"{kind}_server")
    return server


def opened_in_a_process(conf: dict[str, Any]) -> str:
    """Open a storage in a process of its own; return what came of it."""
    with fetch(conf):
        return "opened"
