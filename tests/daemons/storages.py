"""An empty storage of every kind, for tests that say the same of all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from daemons.databases import new_mariadb_database, new_postgresql_schema
from daemons.process import Daemon

ON_SERVERS: Final = {
    "postgresql": ("postgresql_server", new_postgresql_schema),
    "mysql": ("mariadb_server", new_mariadb_database),
    "zookeeper": ("zookeeper_server", lambda server: f"{server.url}{uuid4().hex}?timeout_s=20"),
}
"""The fixture that starts the server, and what makes a place of its own on it, by the name of the backend."""

IN_FILES: Final = ("sqlite", "dir")
OUTLIVING: Final = (*IN_FILES, *ON_SERVERS)
"""The backends whose storages outlive the process."""

ALL: Final = ("memory", *OUTLIVING)


def kinds(*names: str) -> list[Any]:
    """Return the parameters of a test that runs for these backends, those on servers marked."""
    return [pytest.param(name, marks=[pytest.mark.server] if name in ON_SERVERS else []) for name in names]


def new_storage(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the URL of an empty storage; one in files is below ``folder``. Skips where its server is not installed."""
    if kind in ON_SERVERS:
        fixture, make = ON_SERVERS[kind]
        server: Daemon = request.getfixturevalue(fixture)
        place: Callable[[Daemon], str] = make
        return place(server)
    return {"memory": "memory:", "sqlite": f"sqlite:///{folder}/runs.db", "dir": f"dir:{folder}/runs"}[kind]
