"""What all tests share: how long they may look for a counterexample."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

import servers
from daemons.mariadb import mariadb
from daemons.postgresql import postgresql
from daemons.process import Daemon
from daemons.zookeeper import zookeeper

FULL = os.environ.get("FLOWBOOK_FULL") == "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and tests press Ctrl-C
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup does so
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and tests close terminals

settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("full" if FULL else "quick")


SERVERS = frozenset({"postgresql_server", "mariadb_server", "zookeeper_server"})
"""The fixtures that start a server."""

ASKED_FOR = re.compile(
    "zookeeper|test_sql_(faults|zombies|servers|schema_servers)|test_(server_|waiting_peers|postgresql|mysql)"
)
"""Tests that ask for such a fixture while they run, or start a server of their own."""

BACKENDS = {
    "memory": re.compile("memory|counting|unarmed"),
    "dir": re.compile(r"director|\bdir\b|power_loss|fsync|file_faults|full_disk|damaged_files|hostile_names"),
    "sqlite": re.compile(r"sqlite|\bwal\b|rollback"),
    "postgresql": re.compile("postgresql"),
    "mysql": re.compile("mysql|mariadb"),
    "zookeeper": re.compile("zookeeper"),
}
"""The backend that a test is of, by its full name in small letters."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their backend, for ``tox -e py311-dir`` and the like, and those that need a server."""
    for item in items:
        for backend, pattern in BACKENDS.items():
            if pattern.search(item.nodeid.lower()):
                item.add_marker(backend)
        if SERVERS.intersection(getattr(item, "fixturenames", ())) or ASKED_FOR.search(item.nodeid):
            item.add_marker("server")


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether a test that can be short or long is to be long (``tox -e crash``)."""
    return FULL


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Daemon]:
    """Return a PostgreSQL server that the tests of this process share."""
    yield from _running(servers.POSTGRESQL, postgresql)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Daemon]:
    """Return a MariaDB server that the tests of this process share."""
    yield from _running(servers.MARIADB, mariadb)


@pytest.fixture(scope="session")
def zookeeper_server() -> Iterator[Daemon]:
    """Return a ZooKeeper server that the tests of this process share."""
    yield from _running(servers.ZOOKEEPER, zookeeper)


def _running(server: servers.Server, make: Callable[[], Daemon]) -> Iterator[Daemon]:
    if not server.is_installed:
        pytest.skip(f"{server.program} is not installed (Debian: {' '.join(server.debian_packages)})")
    with make() as daemon:
        yield daemon
