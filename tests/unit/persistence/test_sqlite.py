"""SQLite: its file, its journal, its errors, and other programs' files."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowbook.exceptions import (
    Damaged,
    FlowOwned,
    NotFound,
    NotPossible,
    StorageBusy,
    StorageFull,
    StorageUnavailable,
)
from flowbook.persistence import Query
from flowbook.persistence.changes import Append, Put
from flowbook.persistence.owners import current_owner
from flowbook.persistence.sql.backend import SqliteBackend
from flowbook.testing.backend_samples import begin, decoded, ids, stranger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SqliteBackend]:
    with SqliteBackend(f"sqlite:///{path}?timeout_s=0.05") as backend:
        yield backend


def ask(path: Path, statement: str, *values: object) -> list[Any]:
    """Run one statement on a connection of our own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def of_this_thread(backend: SqliteBackend) -> sqlite3.Connection:
    connection: Any = backend._database._sessions.current().connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


# -- where the file is ----------------------------------------------------------------------------------------


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relative, absolute = SqliteBackend("sqlite:///a b%20.db"), SqliteBackend(f"sqlite:///{tmp_path}/abs.db")
    monkeypatch.chdir("..")  # the directory counts in which it was made
    for backend in (relative, absolute):
        with backend:
            begin(backend)
    assert {"a b%20.db", "abs.db"} <= set(os.listdir(tmp_path))


@pytest.mark.parametrize(
    "url",
    ["sqlite:", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite::memory:"],
)
def test_a_database_in_memory_is_refused_and_the_better_one_named(url: str) -> None:
    with pytest.raises(NotPossible) as caught:
        SqliteBackend(url)
    assert "memory:" in caught.value.todo


@pytest.mark.parametrize("url", ["sqlite:runs.db", "sqlite://host/runs.db", "sqlite:///a\0b"])
def test_what_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(NotPossible, match="no file"):
        SqliteBackend(url)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="missing"):
        SqliteBackend(f"sqlite:///{tmp_path}/missing/runs.db").open()


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="is a directory"):
        SqliteBackend(f"sqlite:///{tmp_path}")


def test_only_its_owner_may_read_the_files(path: Path, backend: SqliteBackend) -> None:
    begin(backend)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("runs.db", "runs.db-wal", "runs.db-shm", "runs.db.lock"), 0o600)


def test_a_file_that_was_deleted_while_in_use_takes_no_more_commits(path: Path, backend: SqliteBackend) -> None:
    claim = begin(backend)
    path.unlink()
    with pytest.raises(StorageUnavailable) as caught:
        backend.commit(claim, [])
    assert "deleted" in caught.value.why


# -- how it is written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "mode", "level"), [("", "wal", 2), ("?journal=delete", "delete", 3)])
def test_commits_are_synced_in_either_journal(path: Path, option: str, mode: str, level: int) -> None:
    with SqliteBackend(f"sqlite:///{path}{option}") as backend:
        begin(backend)
        connection = of_this_thread(backend)
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)


@pytest.mark.parametrize(("option", "mode"), [("", "delete"), ("?journal=wal", "wal")])
def test_an_older_file_keeps_its_journal_unless_another_is_asked_for(path: Path, option: str, mode: str) -> None:
    with SqliteBackend(f"sqlite:///{path}?journal=delete") as backend:
        begin(backend)
    with SqliteBackend(f"sqlite:///{path}{option}") as backend:
        backend.open()
    assert ask(path, "PRAGMA journal_mode") == [(mode,)]


def test_only_commits_are_counted_as_transactions(backend: SqliteBackend) -> None:
    claim = begin(backend)
    claim = backend.commit(claim, [Put("atom", "a", {})])
    backend.renew(claim, lease_s=30)
    backend.post("flow:f", {})
    assert backend.transactions == 2


@pytest.mark.parametrize("kinds", [None, ["atom"], ["try", "atom"]])
def test_a_flow_is_loaded_by_one_query(backend: SqliteBackend, kinds: list[str] | None) -> None:
    changes = [Put("atom", str(number), {}) for number in range(1000)]
    backend.commit(begin(backend), [*changes, Append("try", "1", {})])
    queries: list[str] = []
    connection = of_this_thread(backend)
    connection.set_trace_callback(queries.append)
    records = backend.load("f", kinds)
    connection.set_trace_callback(None)
    assert len(records.kind("atom")) == 1000
    assert len(queries) == 1


# -- what can go wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_file_that_others_keep_locked_is_busy_and_usable_later(path: Path, journal: str) -> None:
    url = f"sqlite:///{path}?timeout_s=0.05&journal={journal}"
    with SqliteBackend(url) as backend, closing(sqlite3.connect(path, isolation_level=None)) as other:
        claim = begin(backend)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageBusy) as caught:
            backend.commit(claim, [Put("atom", "a", {})])
        assert "SQLITE_BUSY" in caught.value.why
        with pytest.raises(StorageBusy):
            backend.claim("flow:g", current_owner(), lease_s=30)
        other.execute("ROLLBACK")
        backend.commit(claim, [Put("atom", "a", {})])


def test_a_full_disk_is_named_and_the_commit_succeeds_when_there_is_space(backend: SqliteBackend) -> None:
    claim = begin(backend)
    connection = of_this_thread(backend)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(StorageFull):
        backend.commit(claim, [Put("atom", "a", {}), Put("atom", "b", {"text": "x" * 100_000})])
    assert set(backend.load("f").rows) == {"flow"}
    connection.execute("PRAGMA max_page_count=1000000")
    backend.commit(claim, [Put("atom", "a", {})])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageUnavailable):
            SqliteBackend(f"sqlite:///{tmp_path}/runs.db").open()
    finally:
        tmp_path.chmod(0o700)


def test_a_lock_file_that_cannot_be_opened_is_named(path: Path, backend: SqliteBackend) -> None:
    backend.open()
    Path(f"{path}.lock").mkdir()
    with pytest.raises(StorageUnavailable):
        backend.claim("flow:f", current_owner(), lease_s=30)


@pytest.mark.parametrize(
    "damage",
    ["'{\"half'", "''", "'[]'", "'7'", "7", "x'7b7d'", "CAST(x'7bff7d' AS TEXT)", f"'{'[' * 100_000}'"],
    ids=lambda damage: damage[:20],
)
@pytest.mark.parametrize("table", ["records", "appended"])
def test_a_damaged_record_is_named_and_other_flows_go_on(
    path: Path, backend: SqliteBackend, table: str, damage: str
) -> None:
    for flow in ("f", "g"):
        backend.commit(begin(backend, flow), [Put("atom", "a", {}), Append("try", "a", {})])
    ask(path, f"UPDATE {table} SET data = {damage} WHERE claim = 'flow:f' AND kind IN ('atom', 'try')")
    with pytest.raises(Damaged):
        backend.load("f")
    with pytest.raises(Damaged):
        decoded(backend.look("f", None, lambda records: ["a"]))
    assert set(decoded(backend.look("f", ["flow"], lambda records: ["a"])).rows) == {"flow"}
    assert set(backend.load("g").rows) == {"flow", "atom"}
    assert ids(backend, Query()) == ["f", "g"]


@pytest.mark.parametrize("damage", ["'{\"half'", "'{}'", "'[]'", "7"])
def test_a_damaged_owner_is_named(path: Path, backend: SqliteBackend, damage: str) -> None:
    begin(backend)
    ask(path, f"UPDATE claims SET owner = {damage}")
    with pytest.raises(Damaged):
        backend.claim("flow:f", current_owner(), lease_s=30)
    assert [str(found.owner) for found in backend.find(Query())] == ["unreadable:0"]
    backend.claim("flow:f", current_owner(), lease_s=30, take_over=True)


def test_a_damaged_file_is_named(path: Path) -> None:
    with SqliteBackend(f"sqlite:///{path}") as backend:
        backend.commit(begin(backend), [Put("atom", str(number), {"x": "y" * 500}) for number in range(100)])
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(Damaged), SqliteBackend(f"sqlite:///{path}") as backend:
        backend.load("f")


# -- threads --------------------------------------------------------------------------------------------------


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_connection_of_a_thread_ends_with_it(backend: SqliteBackend) -> None:
    begin(backend)
    before = open_files()
    for _ in range(5):
        thread = threading.Thread(target=backend.load, args=("f",))
        thread.start()
        thread.join()
    assert open_files() == before


def test_closing_gives_back_all_files(path: Path) -> None:
    before = open_files()
    for _ in range(3):
        with SqliteBackend(f"sqlite:///{path}") as backend:
            begin(backend)
            backend.find(Query())
    assert open_files() == before


def test_an_owner_on_another_boot_keeps_its_flow_for_its_lease(backend: SqliteBackend) -> None:
    backend.claim("flow:f", stranger(), lease_s=30)
    with pytest.raises(FlowOwned):
        backend.claim("flow:f", current_owner(), lease_s=30)


def test_reading_a_file_that_does_not_exist_finds_nothing_and_makes_none(tmp_path: Path) -> None:
    with closing(SqliteBackend(f"sqlite:///{tmp_path}/none.db")) as backend:
        assert list(backend.find(Query())) == []
        with pytest.raises(NotFound):
            backend.load("r")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("many", [7, 8, 32, 33, 100])
def test_rows_of_a_large_commit_are_all_there_in_their_order(backend: SqliteBackend, many: int) -> None:
    claim = begin(backend)
    rows = [Append("attempt", "a", {"n": number}) for number in range(many)]
    backend.commit(claim, [*(Put("atom", str(number), {"n": number}) for number in range(many)), *rows])
    found = backend.load("f")
    assert found.kind("atom") == {str(number): {"n": number} for number in range(many)}
    assert found.appended["attempt"]["a"] == [{"n": number} for number in range(many)]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts what the process reads as Linux does")
def test_a_large_record_is_not_read_to_find_another(backend: SqliteBackend) -> None:
    def read_bytes() -> int:
        return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])  # rchar, the first field

    large = 8 * 1024 * 1024  # more than SQLite keeps in memory
    claim = begin(backend)
    names = [f"a{number}" for number in range(9)]
    rows = {name: {"text": "x" * large if name == "a4" else "small"} for name in names}
    claim = backend.commit(claim, [Put("atom", name, row) for name, row in rows.items()])
    before = read_bytes()
    for name in names:
        if name != "a4":
            claim = backend.commit(claim, [Put("atom", name, {"text": "changed"})])
    assert read_bytes() - before < large
