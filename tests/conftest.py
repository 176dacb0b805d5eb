"""What all tests share: how long they may look for a counterexample."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

import servers
from daemons.mariadb import mariadb
from daemons.postgresql import postgresql
from daemons.process import Daemon

FULL = os.environ.get("FLOWBOOK_FULL") == "1"

settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("full" if FULL else "quick")


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


def _running(server: servers.Server, make: Callable[[], Daemon]) -> Iterator[Daemon]:
    if not server.is_installed:
        pytest.skip(f"{server.program} is not installed (Debian: {' '.join(server.debian_packages)})")
    with make() as daemon:
        yield daemon
