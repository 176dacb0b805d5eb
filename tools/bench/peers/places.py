"""Where records go: empty storages of every kind, on servers that are as durable as they are by themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import psycopg

sys.path.append(str(Path(__file__).resolve().parents[3] / "tests"))  # where servers are started
from daemons.databases import new_mariadb_database, new_postgresql_schema
from daemons.mariadb import mariadb
from daemons.postgresql import postgresql
from daemons.process import Daemon
from daemons.zookeeper import zookeeper

SERVERS: dict[str, Callable[[], Daemon]] = {
    "postgresql": lambda: postgresql(syncs=True),
    "mysql": lambda: mariadb(syncs=True),
    "zookeeper": zookeeper,
}


class Places:
    """Empty storages: a server is started when a place on it is first asked for, and ended with this."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._running: dict[str, Daemon] = {}
        self._numbers = count(1)

    def new(self, kind: str) -> str:
        """Return the URL of an empty storage. Raises FileNotFoundError when its server is not installed."""
        number = next(self._numbers)
        if kind in ("sqlite", "dir"):
            return {"sqlite": f"sqlite:///{self.folder}/{number}.db", "dir": f"dir:{self.folder}/{number}"}[kind]
        server = self._server(kind.partition(" ")[0])
        if kind == "postgresql":
            return new_postgresql_schema(server)
        if kind == "mysql":
            return new_mariadb_database(server)
        if kind == "postgresql database":
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE of_{number}".encode())
            return server.url.removesuffix("postgres") + f"of_{number}"
        return f"{server.url}of_{number}"

    def _server(self, name: str) -> Daemon:
        if name not in self._running:
            self._running[name] = self._open.enter_context(SERVERS[name]())
        return self._running[name]

    def __enter__(self) -> Self:
        self.folder = Path(self._open.enter_context(TemporaryDirectory(prefix="flowbook-bench-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
