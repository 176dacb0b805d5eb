"""What an engine's run sent to its storage, recorded once, to be sent again with no engine around it.

Statements, their values and their order are the engine's own; the connection is a plain one of the driver, on a
storage that was made ready by flowbook and is empty.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pymysql
from kazoo.client import KazooClient

from flowbook.persistence.directory.files import LocalFiles
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.persistence.zookeeper.backend import ZookeeperBackend

Call = tuple[str, tuple[Any, ...]]
"""A method, and what it was called with."""


class Recorded:
    """A connection of a driver, or a cursor of it; notes what is called."""

    def __init__(self, recorded: Any, calls: list[Call]) -> None:
        self._recorded, self._calls = recorded, calls

    def cursor(self) -> Recorded:
        """Return a cursor whose calls are noted too."""
        return Recorded(self._recorded.cursor(), self._calls)

    def __getattr__(self, name: str) -> Any:  # whatever the driver has
        found = getattr(self._recorded, name)
        if name not in ("execute", "executemany", "fetchall", "fetchone", "commit"):
            return found

        def noted(*values: Any) -> Any:
            self._calls.append((name, values))
            return found(*values)

        return noted


class RecordedFiles(LocalFiles):
    """Remembers the lines of commits, without the room that is made behind them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, file: int, data: bytes, at: int) -> None:
        """Write, and remember."""
        if b'"seq":' in data:
            self.lines.append(data.rstrip(b"\0\n") + b"\n")
        super().write(file, data, at)


def record_sql(backend: SqlBackend) -> list[list[Call]]:
    """Return what will be called on each connection that a backend makes from now on."""
    sessions = backend._database._sessions
    connect = sessions._connect
    made: list[list[Call]] = []

    def recorded() -> Any:  # stands for a connection of the driver
        made.append([])
        return Recorded(connect(), made[-1])

    sessions._connect = recorded
    return made


def record_zookeeper(backend: ZookeeperBackend) -> list[Sequence[Callable[[Any], Any]]]:
    """Return the requests that a backend will have under way together from now on."""
    connection = backend._connection
    asked = connection._asked
    made: list[Sequence[Callable[[Any], Any]]] = []

    def recorded(requests: Sequence[Callable[[Any], Any]], deadline: float) -> list[Any]:
        made.append(requests)
        return asked(requests, deadline)

    connection._asked = recorded  # type: ignore[method-assign]
    return made


def send_sql(connection: Any, calls: Sequence[Call]) -> None:
    """Make the calls on a connection of a driver."""
    cursor = connection.cursor()
    bound = {name: getattr(cursor, name) for name in ("execute", "executemany", "fetchall", "fetchone")}
    bound["commit"] = connection.commit
    for name, values in calls:
        bound[name](*values)


def send_zookeeper(client: Any, requests: Sequence[Sequence[Callable[[Any], Any]]]) -> None:
    """Ask, and wait for the answers before asking on."""
    for some in requests:
        for answer in [request(client) for request in some]:
            answer.wait()


def append(path: str, lines: Sequence[bytes]) -> None:
    """Append lines to a new file, each on the disk before the next one."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL)
    try:
        for line in lines:
            os.write(file, line)
            os.fdatasync(file)
    finally:
        os.close(file)


def connect(place: str) -> Any:
    """Return a plain connection of the driver that speaks with a place, as durable as flowbook's."""
    parts = urlsplit(place)
    if parts.scheme == "sqlite":
        connection = sqlite3.connect(place.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    if parts.scheme == "postgresql":
        schema = parse_qs(parts.query)["schema"][0]
        connection_ = psycopg.connect(parts._replace(query="").geturl(), autocommit=True)
        connection_.execute(f'SET search_path TO "{schema}"'.encode())
        return connection_
    if parts.scheme == "mysql":
        return pymysql.connect(
            host=parts.hostname, port=parts.port or 3306, user=parts.username, database=parts.path[1:], autocommit=True
        )
    client = KazooClient(f"{parts.netloc}{parts.path}")
    client.start()
    return client


def size_bytes(values: object) -> int:
    """Return how long the texts in ``values`` are together, those of statements not included."""
    if isinstance(values, str | bytes):
        return len(values)
    if isinstance(values, list | tuple):
        return sum(map(size_bytes, values[1:] if _is_statement(values) else values))
    return 0


def _is_statement(values: Sequence[Any]) -> bool:
    return len(values) > 1 and isinstance(values[0], str) and isinstance(values[1], list | tuple)
