"""Fixtures of the tests of engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook.persistence import Backend, fetch


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture(params=["memory:", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with fetch("memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/runs.db") as backend:
        yield backend
