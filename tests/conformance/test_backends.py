"""The suite of backends, over every backend of ours and over the wrappers that tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook.persistence import Backend, fetch
from flowbook.testing.backend_contract import BackendContract
from flowbook.testing.faults import Counting, CrashAtCommit


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return fetch("memory:")


class TestStrictMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return fetch("memory:?strict=true&value_limit_bytes=1048576")


class _OnDisk(BackendContract):
    @pytest.fixture
    def backend(self, url: str) -> Iterator[Backend]:
        with fetch(url) as backend:
            yield backend

    @pytest.fixture
    def reopened(self, url: str) -> Iterator[Backend]:
        with fetch(url) as backend:
            yield backend


class TestSqliteWithALog(_OnDisk):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/runs.db?timeout_s=30&value_limit_bytes=1048576"


class TestSqliteWithARollbackJournal(_OnDisk):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/runs.db?timeout_s=30&journal=delete"


class TestDirectory(_OnDisk):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"dir:{tmp_path}/runs?timeout_s=30&value_limit_bytes=1048576"


class TestCounting(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return Counting(fetch("memory:?strict=true"))


class TestCrashAtCommitUnarmed(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return CrashAtCommit(fetch("memory:"))
