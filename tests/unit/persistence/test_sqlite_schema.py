"""The schema is the same however it came about, and only a schema of ours, not newer than us, is touched."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from daemons.databases import migrate_to
from flowbook.exceptions import NewerSchema, NotALogbook
from flowbook.persistence import Query
from flowbook.persistence.backend import Claim
from flowbook.persistence.inspection import SchemaVersions
from flowbook.persistence.sql.backend import SqliteBackend
from flowbook.persistence.sql.tables import METADATA, REVISIONS, SCHEMA
from flowbook.testing.backend_samples import begin, ids

IMPORTS = """
import sys
from flowbook.persistence import fetch
from flowbook.testing.backend_samples import begin
with fetch(sys.argv[1]) as backend:
    begin(backend)
print("alembic" in sys.modules)
"""


KILLED = """
import sys
sys.path[:] = sys.argv[3:]
from crash.driving import crash_at_statement
from flowbook.persistence import fetch
count = crash_at_statement(int(sys.argv[2]))
with fetch(sys.argv[1]):
    pass
sys.exit(count[0])
"""

OLDER = (None, "", *REVISIONS[:-1])
"""From what a schema may have to be brought up to date: from nothing, and from every older revision."""

SAMPLE = 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def ask(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def schema_of(path: Path) -> set[tuple[str, ...]]:
    found = ask(path, "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return {(kind, name, table, " ".join(sql.split())) for kind, name, table, sql in found}


def make_with_no_revision(path: Path) -> None:
    """Make a database as it was before the first revision."""
    engine = create_engine(f"sqlite:///{path}")
    SCHEMA.create(engine)
    engine.dispose()


def make(path: Path, revision: str | None) -> Path:
    """Make a database as an older flowbook left it: with this revision, "" before the first one; None for none."""
    if revision is not None:
        make_with_no_revision(path)
    if revision:
        with closing(SqliteBackend(f"sqlite:///{path}")) as backend:
            migrate_to(revision, backend._database)
    return path


def test_a_new_schema_a_migrated_one_and_one_made_by_hand_are_equal(tmp_path: Path) -> None:
    paths = [make(tmp_path / f"from {revision}.db", revision) for revision in OLDER]
    for revision in OLDER:
        paths.append(make(tmp_path / f"by hand from {revision}.db", revision))
        with closing(SqliteBackend(f"sqlite:///{paths[-1]}")) as backend:
            assert backend.schema_versions() == SchemaVersions(revision, REVISIONS[-1])
            script = backend.upgrade_script()
        with closing(sqlite3.connect(paths[-1])) as connection:
            connection.executescript(script)
    for path in paths:
        with SqliteBackend(f"sqlite:///{path}") as backend:
            begin(backend)
            assert ids(backend, Query()) == ["f"]
            assert backend.upgrade_script() == ""
        assert schema_of(path) == schema_of(paths[0])
        assert ask(path, "SELECT version_num FROM flowbook_schema") == [(REVISIONS[-1],)]


@pytest.mark.parametrize("revision", OLDER[2:])
def test_the_runs_of_an_older_schema_are_there_after_the_upgrade(revision: str, tmp_path: Path) -> None:
    newest, old = tmp_path / "newest.db", make(tmp_path / "old.db", revision)
    with SqliteBackend(f"sqlite:///{newest}") as backend:
        begin(backend)
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("ATTACH DATABASE ? AS newest", (str(newest),))
        for table in set(METADATA.tables) - {SCHEMA.name}:
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM newest.{table}")
    with SqliteBackend(f"sqlite:///{old}") as backend:
        assert backend.schema_versions() == SchemaVersions(REVISIONS[-1], REVISIONS[-1])
        assert ids(backend, Query(limit=1)) == ["f"]
        backend.commit(Claim("flow:f", 1, 1), [])


@pytest.mark.slow
@pytest.mark.parametrize("revision", OLDER)
def test_making_the_schema_can_be_killed_at_any_statement(revision: str | None, tmp_path: Path, full: bool) -> None:
    def killed(path: Path, at: int) -> int:
        command = [sys.executable, "-c", KILLED, f"sqlite:///{path}", str(at), *sys.path]
        return subprocess.run(command, capture_output=True, check=False).returncode

    whole = make(tmp_path / "whole.db", revision)
    statements = killed(whole, 0)
    every = range(1, statements + 1)
    for at in every if full else random.Random(str(revision)).sample(every, SAMPLE):
        path = make(tmp_path / f"{at}.db", revision)
        assert killed(path, at) == -signal.SIGKILL
        with SqliteBackend(f"sqlite:///{path}") as backend:
            begin(backend)
        assert schema_of(path) == schema_of(whole)


def test_the_migrations_lead_to_the_tables(path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    make_with_no_revision(path)
    with SqliteBackend(f"sqlite:///{path}"):
        pass
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": SCHEMA.name})
        differences = compare_metadata(context, METADATA)
    engine.dispose()
    # Alembic leaves its own table out of what it finds, and takes ours for one that is to be made.
    assert [kind for kind, *rest in differences if rest[0] is not SCHEMA] == []


def test_the_revisions_are_those_that_alembic_finds() -> None:
    from alembic.script import ScriptDirectory

    import flowbook.persistence.sql.migrations as migrations

    script = ScriptDirectory(str(Path(migrations.__path__[0])))
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == REVISIONS


@pytest.mark.slow
def test_alembic_is_imported_only_for_a_schema_that_is_behind(path: Path) -> None:
    def is_imported() -> str:
        command = [sys.executable, "-c", IMPORTS, f"sqlite:///{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert is_imported() == "False"
    assert is_imported() == "False"
    path.unlink()
    make_with_no_revision(path)
    assert is_imported() == "True"


def test_upgrading_can_be_repeated(path: Path) -> None:
    with SqliteBackend(f"sqlite:///{path}") as backend:
        backend.upgrade()
        backend.upgrade()
        begin(backend)


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    with SqliteBackend(f"sqlite:///{path}") as backend:
        begin(backend)
    ask(path, "UPDATE flowbook_schema SET version_num = '9999'")
    backend = SqliteBackend(f"sqlite:///{path}")
    for verb in (backend.open, backend.upgrade):
        with pytest.raises(NewerSchema) as caught:
            verb()
        assert "9999" in caught.value.why
    backend.close()
    assert ask(path, "SELECT version_num FROM flowbook_schema") == [("9999",)]


def test_another_programs_database_is_left_alone(path: Path) -> None:
    ask(path, "CREATE TABLE photos (name)")
    before = path.read_bytes()
    backend = SqliteBackend(f"sqlite:///{path}")
    with pytest.raises(NotALogbook) as caught:
        backend.open()
    backend.close()
    assert "photos" in caught.value.why
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("A shopping list: bread, cheese, and enough words to be longer than a header is." * 20)
    backend = SqliteBackend(f"sqlite:///{path}")
    with pytest.raises(NotALogbook):
        backend.open()
    backend.close()
    assert path.read_text().startswith("A shopping list")
