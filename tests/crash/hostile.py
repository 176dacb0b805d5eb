"""Strings that mean something to SQL, JSON, paths, formats or terminals; and what a storage is besides our records."""

from __future__ import annotations

import itertools
import sqlite3
import unicodedata
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from kazoo.client import KazooClient

from crash.sql_storages import server_of, storage_on
from daemons.process import LOOPBACK, Daemon
from flowbook.persistence.backend import Backend, FlowRecords, Query
from flowbook.persistence.changes import Put
from flowbook.persistence.registry import fetch
from flowbook.testing.backend_samples import begin

_BEFORE: Final = ("", "'", "\\", "%", "../")
_AFTER: Final = ("", "'", "--", "\0")
_BETWEEN: Final = (
    *("; DROP TABLE records; ", "' OR '1'='1", " UNION SELECT * FROM heads ", "'); DELETE FROM flows; ", "') AS x"),
    *(
        "\\'; DROP TABLE flows; #",
        "$$; DROP SCHEMA public CASCADE; $$",
        "`",
        "]",
        "[",
        "_%",
        "0x27",
        "\x1a",
        "CHAR(39)",
    ),
    *("%s", "%(claim)s", ":the_claim", "?", "$1", "{}", "{0.__class__}", "${HOME}", "%", "%%", "%n", "$(id)", "`id`"),
    *('"}', '","state":"SUCCESS', '{"!bytes":"x"}', "!secret", "\\u0000", "\\ud800", "null", "[[[["),
    *("/", "../x", "/zookeeper", "/zookeeper/quota", ".", "..", "//", "flow:", "logbook:", "%2E%2E", "%2F"),
    *("\0", "\n", "\r\n", "\t", "\x10", "\x100027", "\x1b[31m", "\x7f", "\u2028", "\u202e", "\ufeff", "\uffff"),
    *("é", "e\u0301", unicodedata.normalize("NFD", "한"), "ß", "İ", "\u0131", "😀", "\U0010ffff", "K", "k", "a "),
    *("\ud800", "\udcff", "\udc00\ud800", "x" * 300, "é" * 600, "x" * 2000, "'" * 500, "x" * 9000),
)

STRINGS: Final = tuple(dict.fromkeys(map("".join, itertools.product(_BEFORE, _BETWEEN, _AFTER))))
"""Each once."""

BESIDE: Final = "beside"


class Attacked:
    """A storage with a run that nobody must touch; at the end all but our own records is as it was."""

    def __init__(self, backend: Backend, outside: Callable[[], object]) -> None:
        self.backend, self._outside = backend, outside
        claim = begin(backend, BESIDE)
        backend.renew(backend.commit(claim, [Put("atom", "a", {"precious": "x"})]), lease_s=0)
        self._before = self._seen()

    def check(self) -> None:
        """See that what surrounds our records is as it was, and so is the run that was not touched."""
        assert self._seen() == self._before

    def _seen(self) -> tuple[object, FlowRecords, object]:
        found = next(one for one in self.backend.find(Query(flow=BESIDE)))
        return self._outside(), self.backend.load(BESIDE), found


def attacked_on(kind: str, request: pytest.FixtureRequest, folder: Path) -> Attacked:
    """Return a new storage of a kind, with all that lies around it."""
    if kind == "memory":
        return Attacked(fetch("memory:"), lambda: None)
    if kind == "zookeeper":
        server: Daemon = request.getfixturevalue("zookeeper_server")
        root = uuid4().hex
        return Attacked(fetch(f"{server.url}{root}?timeout_s=20"), lambda: _znodes(server.port, root))
    if kind == "sqlite":
        path = folder / "runs.db"
        return Attacked(fetch(f"sqlite:///{path}"), lambda: (_sqlite_schema(path), sorted(map(str, folder.iterdir()))))
    storage = storage_on(kind, server_of(kind, request))
    return Attacked(fetch(storage.url), lambda: [sorted(storage.ask(text)) for text in _OF_SERVERS[kind]])


_OF_SERVERS: Final = {
    "postgresql": [
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns",
        "SELECT schemaname, tablename, indexdef FROM pg_indexes",
        "SELECT rolname, rolsuper FROM pg_roles",
        "SELECT datname FROM pg_database",
    ],
    "mariadb": [
        "SELECT table_schema, table_name, column_name, column_type FROM information_schema.columns",
        "SELECT table_schema, table_name, index_name, column_name FROM information_schema.statistics",
        "SELECT user, host FROM mysql.user",
        "SELECT schema_name FROM information_schema.schemata",
    ],
}


def _sqlite_schema(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"))


def _znodes(port: int, root: str) -> dict[str, bytes]:
    """Return what is in the znodes that are not below the root."""
    client = KazooClient(f"{LOOPBACK}:{port}")
    client.start()
    try:
        found: dict[str, bytes] = {}
        waiting = ["/"]
        while waiting:
            path = waiting.pop()
            found[path] = client.get(path)[0]
            names = [name for name in client.get_children(path) if (path, name) != ("/", root)]
            waiting += [f"{path.rstrip('/')}/{name}" for name in names]
        return found
    finally:
        client.stop()
        client.close()
