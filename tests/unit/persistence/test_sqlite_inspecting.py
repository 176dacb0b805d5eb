"""A SQLite storage tells how it is, and what an upgrade would run; looking changes nothing and makes nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from flowbook.exceptions import Damaged, NewerSchema, NotALogbook, NotPossible
from flowbook.persistence import Query
from flowbook.persistence.inspection import Finding, Inspectable, Level, SchemaVersions, Versioned
from flowbook.persistence.options import Options
from flowbook.persistence.sql.backend import SqlBackend, SqliteBackend
from flowbook.persistence.sql.sqlite import SqliteDatabase
from flowbook.persistence.sql.tables import REVISIONS, SCHEMA
from flowbook.testing.backend_samples import begin, ids

NEWEST = REVISIONS[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def backend(path: Path) -> SqliteBackend:
    """A storage with one run, closed."""
    backend = SqliteBackend(f"sqlite:///{path}")
    with backend:
        begin(backend)
    return backend


def run_sql(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


def make_with_no_revision(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    SCHEMA.create(engine)
    engine.dispose()


def worse_than_ok(backend: SqliteBackend) -> list[Finding]:
    return [finding for finding in backend.inspect() if finding.level is not Level.OK]


def test_it_has_the_verbs_of_both_protocols(backend: SqliteBackend) -> None:
    assert isinstance(backend, Inspectable)
    assert isinstance(backend, Versioned)


def test_a_sound_file_of_ones_own_gives_only_good_findings(backend: SqliteBackend, path: Path) -> None:
    findings = list(backend.inspect())
    assert {finding.level for finding in findings} == {Level.OK}
    assert {finding.where for finding in findings} == {str(path)}
    assert all(finding.what and not finding.fix for finding in findings)


class WithClock(SqliteDatabase):
    """A database that has a clock, as servers have: it stands still at 1000."""

    def now(self, cursor: object) -> float:
        return 1000.0


class Standing:
    """A clock of this machine that stands still."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


@pytest.mark.parametrize(
    ("at", "level", "told"),
    [
        (1003.0, Level.OK, "goes as that of this machine"),
        (990.0, Level.WARN, "is 10 s ahead of that"),
        (1060.0, Level.WARN, "is 60 s behind that"),
    ],
)
def test_a_clock_of_its_own_is_compared_with_ours(
    backend: SqliteBackend, path: Path, at: float, level: Level, told: str
) -> None:
    with_clock = SqlBackend(WithClock(Options(f"sqlite:///{path}")), clock=Standing(at))
    *_, finding = with_clock.inspect()
    assert (finding.level, bool(finding.fix)) == (level, level is Level.WARN)
    assert told in finding.what


def test_looking_makes_no_file(path: Path) -> None:
    backend = SqliteBackend(f"sqlite:///{path}")
    assert backend.schema_versions() == SchemaVersions(None, NEWEST)
    assert list(backend.inspect()) == []
    assert "CREATE TABLE records" in backend.upgrade_script()
    assert os.listdir(path.parent) == []


def test_looking_upgrades_nothing(path: Path) -> None:
    make_with_no_revision(path)
    before = path.read_bytes()
    backend = SqliteBackend(f"sqlite:///{path}")
    assert backend.schema_versions() == SchemaVersions("", NEWEST)
    assert not backend.schema_versions().is_newest
    assert backend.upgrade_script()
    assert [finding.what for finding in backend.inspect() if finding.level is Level.FAIL] == []
    assert path.read_bytes() == before


def test_a_directory_that_is_missing_is_refused(tmp_path: Path) -> None:
    backend = SqliteBackend(f"sqlite:///{tmp_path}/none/runs.db")
    with pytest.raises(NotPossible, match="no directory"):
        backend.schema_versions()


@pytest.mark.parametrize("end", ["", ".lock"])
def test_a_file_that_others_may_read_is_named_with_what_closes_it(backend: SqliteBackend, path: Path, end: str) -> None:
    file = Path(f"{path}{end}")
    file.chmod(0o644)
    (finding,) = worse_than_ok(backend)
    assert (finding.level, finding.where) == (Level.WARN, str(file))
    assert "0644" in finding.what
    assert f"chmod 600 {file}" in finding.fix


def test_a_directory_in_which_anybody_may_write_is_named(backend: SqliteBackend, path: Path) -> None:
    path.parent.chmod(0o777)
    (finding,) = worse_than_ok(backend)
    assert (finding.where, finding.fix) == (str(path.parent), f"chmod o-w {path.parent}")
    path.parent.chmod(0o1777)
    assert worse_than_ok(backend) == []


def test_files_of_a_database_that_is_gone_are_named(backend: SqliteBackend, path: Path) -> None:
    path.unlink()
    (finding,) = worse_than_ok(backend)
    assert (finding.level, finding.where) == (Level.WARN, f"{path}.lock")
    assert f"rm {path}.lock" in finding.fix


def test_records_of_a_run_that_has_lost_its_own_are_a_failure(backend: SqliteBackend, path: Path) -> None:
    run_sql(path, "DELETE FROM flows")
    (finding,) = worse_than_ok(backend)
    assert finding.level is Level.FAIL
    assert "1 runs have lost a part of their records: flow:f" in finding.what
    assert finding.fix


def test_an_index_that_does_not_fit_is_found(backend: SqliteBackend, path: Path) -> None:
    run_sql(
        path,
        "PRAGMA writable_schema=ON;"
        "UPDATE sqlite_master SET sql = replace(sql, '(book, created_at DESC)', '(name, created_at DESC)')"
        " WHERE name = 'ix_flows_newest_of_book';",
    )
    found = worse_than_ok(backend)
    assert {finding.level for finding in found} == {Level.FAIL}
    assert all("the database is damaged: " in finding.what and ".recover" in finding.fix for finding in found)
    assert found


def test_a_file_that_was_overwritten_is_damaged(backend: SqliteBackend, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    try:
        levels = {finding.level for finding in worse_than_ok(backend)}
    except Damaged:
        levels = {Level.FAIL}
    assert levels == {Level.FAIL}


def test_a_database_of_another_program_is_not_looked_into(path: Path) -> None:
    run_sql(path, "CREATE TABLE albums (name)")
    path.chmod(0o600)
    backend = SqliteBackend(f"sqlite:///{path}")
    with pytest.raises(NotALogbook):
        backend.schema_versions()
    with pytest.raises(NotALogbook):
        backend.upgrade_script()
    assert worse_than_ok(backend) == []


def test_a_newer_schema_is_refused(backend: SqliteBackend, path: Path) -> None:
    run_sql(path, "UPDATE flowbook_schema SET version_num = '9999'")
    with pytest.raises(NewerSchema):
        backend.schema_versions()


def test_the_newest_schema_needs_no_script(backend: SqliteBackend) -> None:
    assert backend.schema_versions() == SchemaVersions(NEWEST, NEWEST)
    assert backend.upgrade_script() == ""


@pytest.mark.parametrize("is_new", [True, False])
def test_the_script_makes_what_an_upgrade_makes(path: Path, is_new: bool) -> None:
    by_hand = path.with_name("by_hand.db")
    if not is_new:
        make_with_no_revision(path)
        make_with_no_revision(by_hand)
    backend = SqliteBackend(f"sqlite:///{path}")
    script = backend.upgrade_script()
    run_sql(by_hand, script)
    with backend:
        assert backend.schema_versions().found == NEWEST
    with SqliteBackend(f"sqlite:///{by_hand}") as made:
        begin(made)
        assert ids(made, Query()) == ["f"]
    assert tables_of(path) == tables_of(by_hand)


def tables_of(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
    return {(str(kind), str(name)) for kind, name in found}
