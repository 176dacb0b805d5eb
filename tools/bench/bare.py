"""What a run writes, caught on its way to the driver, and written once more with the driver alone.

Same statements, same bytes, same durability, no engine: what is left is the physical limit of a chain.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import psycopg
import pymysql
from kazoo.client import KazooClient

from flowbook.persistence import Backend
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import LocalFiles
from flowbook.persistence.sql.backend import SqlBackend, SqliteBackend
from flowbook.persistence.sql.mysql import MysqlBackend
from flowbook.persistence.sql.postgresql import PostgresqlBackend
from flowbook.persistence.zookeeper.backend import ZookeeperBackend
from flowbook.persistence.zookeeper.space import OWNER

OURS, BARE = "ours-00000", "bare-00000"
"""The ids of a run and of its likeness: equally long, so that the bytes are as many."""


class Taken(NamedTuple):
    """Seconds, seconds of this process's own work, and bytes that were sent to the storage or its driver."""

    wall_s: float
    cpu_s: float
    size_bytes: int = 0


def timed(work: Callable[[], None]) -> Taken:
    """Return what ``work`` takes."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - began, time.process_time() - cpu)


class Recording(ABC):
    """What a run writes into ``backend`` while it is caught."""

    @contextmanager
    @abstractmethod
    def caught(self) -> Iterator[None]:
        """Catch what is written in the time of the block."""

    @abstractmethod
    def again(self) -> Taken:
        """Write it once more, under the name of the likeness."""


def recording_of(backend: Backend) -> Recording:
    """Return what can catch the writes of a backend."""
    if isinstance(backend, DirectoryBackend):
        return OfFiles(backend)
    if isinstance(backend, SqlBackend):
        return OfDatabase(backend)
    if isinstance(backend, ZookeeperBackend):
        return OfZookeeper(backend)
    raise TypeError(f"{backend.url} writes nothing durably")


Call = tuple[str, tuple[Any, ...]]
"""A method of a driver, and what it is called with."""


class _Wire:
    """A connection or a cursor, whose calls are noted."""

    def __init__(self, real: Any, calls: list[Call]) -> None:
        self._real, self._calls = real, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name == "cursor":
            return lambda: _Wire(found(), self._calls)
        if name not in ("execute", "executemany", "fetchall", "commit", "rollback"):
            return found

        def noted(*arguments: Any) -> Any:
            self._calls.append((name, arguments))
            return found(*arguments)

        return noted


class OfDatabase(Recording):
    """The driver's calls of a run, made on a connection of the driver's own kind.

    What renews the claim has a connection of its own, and is left out: the one with most calls is that of the loop.
    """

    def __init__(self, backend: SqlBackend) -> None:
        self._backend = backend
        self._calls: list[Call] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch what is written in the time of the block."""
        database = self._backend._database
        database.close()
        sessions, connect = database._sessions, database.connect
        made: list[list[Call]] = []

        def wired() -> Any:  # stands for a connection of the driver
            made.append([])
            return _Wire(connect(), made[-1])

        sessions._connect = wired
        try:
            self._backend.open()
            for calls in made:
                calls.clear()
            yield
        finally:
            self._calls = max(made, key=len)
            database.close()
            sessions._connect = connect

    def again(self) -> Taken:
        """Write it once more, under the name of the likeness."""
        connection = self._connected()
        cursor = connection.cursor()
        calls: list[tuple[Any, tuple[Any, ...]]] = []
        for name, arguments in self._calls:
            of = connection if name in ("commit", "rollback") else cursor
            calls.append((getattr(of, name), _renamed(arguments)))

        def work() -> None:
            for call, arguments in calls:
                call(*arguments)

        taken = timed(work)
        connection.close()
        size = sum(_size_of(arguments) for _, arguments in self._calls)
        return taken._replace(size_bytes=size)

    def _connected(self) -> Any:
        backend = self._backend
        if isinstance(backend, SqliteBackend):
            return backend._database.connect()  # sqlite3's own
        arguments = backend._database._arguments  # type: ignore[attr-defined]
        if isinstance(backend, PostgresqlBackend):
            return psycopg.connect(**arguments)
        assert isinstance(backend, MysqlBackend)
        connection = pymysql.connect(**arguments)
        connection.cursor().execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return connection


def _renamed(value: Any) -> Any:
    """Return what was written, under the name of the likeness."""
    if isinstance(value, str):
        return value.replace(OURS, BARE)
    if isinstance(value, bytes):
        return value.replace(OURS.encode(), BARE.encode())
    return type(value)(map(_renamed, value)) if isinstance(value, list | tuple) else value


def _size_of(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_size_of, value))
    return len(value.encode()) if isinstance(value, str) else 8


class SeenFiles(LocalFiles):
    """Remembers what is written, and counts how often the disk was waited for."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.syncs = 0

    def write(self, file: int, data: bytes, at: int) -> None:
        """Write, and remember."""
        self.lines.append(data)
        super().write(file, data, at)

    def sync(self, descriptor: int) -> None:
        """Wait for the disk, and count."""
        self.syncs += 1
        super().sync(descriptor)


class OfFiles(Recording):
    """The lines of a run, appended and synced one by one."""

    def __init__(self, backend: DirectoryBackend) -> None:
        self._backend = backend
        self._seen = SeenFiles()

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch what is written in the time of the block."""
        backend = self._backend
        backend.close()
        files, root = backend._files, backend._root
        backend._files = root.files = self._seen
        try:
            yield
        finally:
            backend.close()
            backend._files = root.files = files

    def again(self) -> Taken:
        """Append and sync the lines of commits, without the room behind them."""
        lines = [line.rstrip(b"\n") + b"\n" for line in self._seen.lines if b'"seq":' in line]
        path = f"{self._backend.path}.bare"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def work() -> None:
            for line in lines:
                os.write(file, line)
                os.fdatasync(file)

        taken = timed(work)
        os.close(file)
        os.unlink(path)
        return taken._replace(size_bytes=sum(map(len, lines)))


class OfZookeeper(Recording):
    """The transactions of a run's commits, asked for one by one with kazoo alone."""

    def __init__(self, backend: ZookeeperBackend) -> None:
        self._backend = backend
        self._multis: list[Any] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch what is written in the time of the block."""
        connection = self._backend._connection
        multi = connection.multi

        def noted(ops: Any, deadline: float) -> list[Any]:
            self._multis.append(list(ops))
            return multi(ops, deadline)

        connection.multi = noted  # type: ignore[method-assign]
        try:
            yield
        finally:
            del connection.multi

    def again(self) -> Taken:
        """Ask for the transactions of the commits under a new znode."""
        commits = [ops for ops in self._multis if [op.verb for op in ops] == ["check", "set_data", "create"]]
        head = commits[0][1].path
        address = self._backend._connection.address
        client = KazooClient(address.hosts, timeout=address.session_timeout_s, **address.how)
        client.start()
        path = head.replace(OURS, BARE)
        with suppress(Exception):
            client.delete(path, recursive=True)
        client.create(path, b"")
        client.create(f"{path}/{OWNER}", b"", ephemeral=True)
        asked = _renamed([[tuple(op) for op in ops] for ops in commits])

        def work() -> None:
            for version, ops in enumerate(asked):
                transaction = client.transaction()
                for verb, where, more in ops:
                    arguments = (more[0], version) if verb == "set_data" else more
                    getattr(transaction, verb)(where, *arguments)
                transaction.commit()

        taken = timed(work)
        client.delete(path, recursive=True)
        client.stop()
        client.close()
        size = sum(len(op[2][0]) for ops in commits for op in ops if op.verb != "check" and op.more)
        return taken._replace(size_bytes=size)
