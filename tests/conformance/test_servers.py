"""The suite of backends, over databases on real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemons.databases import new_mariadb_database, new_postgresql_schema
from daemons.process import Daemon
from flowbook.persistence import Backend, fetch
from flowbook.testing.backend_contract import BackendContract

OPTIONS = "&value_limit_bytes=1048576"


class _OnAServer(BackendContract):
    @pytest.fixture
    def backend(self, url: str) -> Iterator[Backend]:
        with fetch(url) as backend:
            yield backend

    @pytest.fixture
    def reopened(self, url: str) -> Iterator[Backend]:
        with fetch(url) as backend:
            yield backend


class TestPostgresql(_OnAServer):
    @pytest.fixture
    def url(self, postgresql_server: Daemon) -> str:
        return new_postgresql_schema(postgresql_server) + OPTIONS


class TestMariadb(_OnAServer):
    @pytest.fixture
    def url(self, mariadb_server: Daemon) -> str:
        return new_mariadb_database(mariadb_server) + OPTIONS
