"""Places on servers for runs that crash: an empty schema, database or path, reached directly or through a proxy."""

from __future__ import annotations

import os
import select
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import pytest

from crash import driving
from crash.flows import Line, lines_of
from crash.points import every_commit
from crash.proxy import Link, Proxy
from daemons.databases import new_mariadb_database, new_postgresql_schema
from daemons.process import Daemon
from flowbook.persistence import Backend, fetch
from flowbook.testing.faults import Counting

KINDS: Final = ("postgresql", "mariadb", "zookeeper")

MODULES: Final = (
    "flowbook.persistence.sql.postgresql",
    "flowbook.persistence.sql.mysql",
    "flowbook.persistence.zookeeper.backend",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.mysql.pymysql",
)
"""What a process needs that works on a server; it is imported once for all."""

INSIDE: Final = ("unsent", "sent")
"""When all of a transaction has reached the server but its end, or all of it, and its reply has not come back."""

_COMMIT: Final = {
    "postgresql": b"COMMIT\0",
    "mariadb": b"\x03COMMIT",
    # A transaction (14) that begins with a check (13), not one that takes a claim; a part's header ends with -1.
    "zookeeper": b"\0\0\0\x0e\0\0\0\x0d\0\xff\xff\xff\xff",
}

_ANSWERS_WITHIN_S: Final = 30


@dataclass(frozen=True)
class Place:
    """Where runs are kept on a server: all runs of a test, and of its neighbours, each under an id of its own."""

    kind: str
    url: str
    port: int

    def conf(self, proxy: Proxy | None = None, **options: object) -> dict[str, Any]:
        """Return how it is reached, directly or through a proxy."""
        url = self.url if proxy is None else self.url.replace(f":{self.port}/", f":{proxy.port}/")
        return {"connection": url, "timeout_s": 20, **options}

    def backend(self) -> Backend:
        """Return a backend on it, opened when it is used."""
        return fetch(self.conf())

    @property
    def commit_request(self) -> bytes:
        """Return what a client sends to commit, and in nothing else."""
        return _COMMIT[self.kind]

    def points(self, commits: int) -> list[str]:
        """Return where a process can be interrupted: beside each commit, and inside each transaction.

        There are two more transactions: the first one claims (or begins to), and the last one gives up.
        """
        requests = commits + 2
        return every_commit(commits) + [f"{when} {at}" for at in range(1, requests + 1) for when in INSIDE]


class Undisturbed:
    """How each flow ends when nothing happens to it, and what it then does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[dict[str, Any], list[Line]]] = {}

    def run(self, flow: str, engine: str) -> tuple[dict[str, Any], list[Line]]:
        """Return what came of a flow, and its log."""
        if (flow, engine) not in self._known:
            log = str(self._folder / uuid4().hex)
            backend = Counting(fetch("memory:?strict=true"))
            self._known[flow, engine] = driving.drive(flow, backend, engine=engine, log=log), lines_of(log)
        return self._known[flow, engine]


class Interrupting:
    """A fault: a process is killed or stopped by a signal when its request has come.

    The server gets the request at once and answers it. Or it never gets it from one who is killed, and from one who is
    stopped when that one wakes: `wake` says so.
    """

    def __init__(self, by: signal.Signals, *, is_delivered: bool) -> None:
        self._by, self._is_delivered, self._pid = by, is_delivered, 0
        self._is_known, self._is_done, self._is_awake = threading.Event(), threading.Event(), threading.Event()

    def let(self, pid: int) -> None:
        """Say which process is meant; its request waits for that."""
        self._pid = pid
        self._is_known.set()

    def wait_done(self) -> None:
        """Return when the server has answered, where it gets the request at once."""
        assert self._is_done.wait(_ANSWERS_WITHIN_S)

    def wake(self) -> None:
        """Say that the process is awake again."""
        self._is_awake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wake()

    def __call__(self, link: Link, request: bytes) -> None:
        assert self._is_known.wait(_ANSWERS_WITHIN_S)
        os.kill(self._pid, self._by)
        if self._is_delivered:
            link.server.sendall(request)
            select.select([link.server], [], [], _ANSWERS_WITHIN_S)
        self._is_done.set()
        if self._by is signal.SIGKILL:
            link.close()
        elif not self._is_delivered:
            self._is_awake.wait()
            link.server.sendall(request)


def place_on(kind: str, request: pytest.FixtureRequest) -> Place:
    """Return a new place, ready for runs, on the server of a kind that all tests of this process share."""
    server: Daemon = request.getfixturevalue(f"{kind}_server")
    url = {
        "postgresql": lambda: new_postgresql_schema(server),
        "mariadb": lambda: new_mariadb_database(server),
        "zookeeper": lambda: f"{server.url}{uuid4().hex}",
    }[kind]()
    place = Place(kind, url, server.port)
    with place.backend() as backend:
        backend.open()
    return place
