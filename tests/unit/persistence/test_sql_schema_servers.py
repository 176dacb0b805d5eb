"""The schema on servers: made once, brought up to date from anywhere, and what is not ours is left alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest
from sqlalchemy import inspect as schema_of

from crash.proxy import Link, Proxy
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from daemons.databases import migrate_to
from flowbook.exceptions import NewerSchema, NotALogbook, StorageUnavailable
from flowbook.persistence import Query
from flowbook.persistence.backend import Claim
from flowbook.persistence.inspection import SchemaVersions
from flowbook.persistence.sql.tables import METADATA, REVISIONS, SCHEMA
from flowbook.testing.backend_samples import begin, ids

TABLE_OF_REVISIONS = (
    "CREATE TABLE flowbook_schema"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT flowbook_schema_pkc PRIMARY KEY (version_num))"
)
OLDER = (None, "", *REVISIONS[:-1])
"""From what a schema may have to be brought up to date: from nothing, and from every older revision."""

SAMPLE = 3


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


def structure_of(storage: Storage) -> dict[str, Any]:
    """Return the columns, keys and indexes of every table."""
    with closing(storage.backend()) as backend, backend._database._engine.connect() as connection:
        looked = schema_of(connection)
        return {
            table: [
                [(column["name"], str(column["type"]), column["nullable"]) for column in looked.get_columns(table)],
                looked.get_pk_constraint(table)["constrained_columns"],
                sorted((index["name"], index["column_names"]) for index in looked.get_indexes(table)),
            ]
            for table in looked.get_table_names()
        }


def execute_by_hand(storage: Storage, script: str) -> None:
    """Execute a script as an administrator would who gives it to the server's own shell."""
    with closing(storage.connect()) as connection, connection.cursor() as cursor:
        for statement in script.split(";"):
            if statement.strip():
                cursor.execute(statement)
        connection.commit()


def works(storage: Storage) -> bool:
    with storage.backend() as backend:
        begin(backend)
        return ids(backend, Query()) == ["f"]


def prepared(kind: str, revision: str | None, request: pytest.FixtureRequest) -> Storage:
    """Return a storage as an older flowbook left it: with this revision, "" before the first one; None for none."""
    one = storage_on(kind, server_of(kind, request))
    if revision is not None:
        one.ask(TABLE_OF_REVISIONS)
    if revision:
        with closing(one.backend()) as backend:
            migrate_to(revision, backend._database)
    return one


def test_a_new_schema_a_migrated_one_and_one_made_by_hand_are_equal(
    storage: Storage, request: pytest.FixtureRequest
) -> None:
    migrated = [prepared(storage.kind, revision, request) for revision in OLDER[1:]]
    by_hand = {revision: prepared(storage.kind, revision, request) for revision in OLDER}
    for found, one in by_hand.items():
        with closing(one.backend()) as backend:
            assert backend.schema_versions() == SchemaVersions(found, REVISIONS[-1])
            script = backend.upgrade_script()
        execute_by_hand(one, script)
    structures = []
    for one in (storage, *migrated, *by_hand.values()):
        assert works(one)
        with closing(one.backend()) as backend:
            assert backend.schema_versions() == SchemaVersions(REVISIONS[-1], REVISIONS[-1])
            assert backend.upgrade_script() == ""
        structures.append(structure_of(one))
    assert set(structures[0]) == set(METADATA.tables)
    assert all(structure == structures[0] for structure in structures)


def test_the_runs_of_an_older_schema_are_there_after_the_upgrade(
    storage: Storage, request: pytest.FixtureRequest
) -> None:
    begun: list[str] = []
    for revision in OLDER[2:]:
        old = prepared(storage.kind, revision, request)
        begun.append(f"of {revision}")
        with storage.backend() as backend:
            begin(backend, begun[-1])
        copy_rows(storage, old)
        with old.backend() as backend:
            assert backend.schema_versions() == SchemaVersions(REVISIONS[-1], REVISIONS[-1])
            assert ids(backend, Query()) == begun
            backend.commit(Claim(f"flow:{begun[-1]}", 1, 1), [])


def copy_rows(source: Storage, target: Storage) -> None:
    """Copy the rows of all tables but that of revisions."""
    with closing(target.connect()) as connection, connection.cursor() as cursor:
        for table in METADATA.tables.values():
            if table is not SCHEMA:
                marks = ", ".join(["%s"] * len(table.columns))
                for row in source.ask(f"SELECT * FROM {table.name}"):
                    cursor.execute(f"INSERT INTO {table.name} VALUES ({marks})", row)
        connection.commit()


def test_looking_at_a_schema_makes_nothing(storage: Storage) -> None:
    with closing(storage.backend()) as backend:
        backend.schema_versions()
        backend.upgrade_script()
    assert structure_of(storage) == {}


def test_a_newer_schema_is_left_alone(storage: Storage) -> None:
    assert works(storage)
    storage.ask("UPDATE flowbook_schema SET version_num = '9999'")
    with closing(storage.backend()) as backend:
        for verb in (backend.open, backend.upgrade, backend.schema_versions):
            with pytest.raises(NewerSchema) as caught:
                verb()
            assert "9999" in caught.value.why
    assert storage.ask("SELECT version_num FROM flowbook_schema") == [("9999",)]


def test_another_programs_database_is_left_alone(storage: Storage) -> None:
    storage.ask("CREATE TABLE photos (name INT)")
    with closing(storage.backend()) as backend, pytest.raises(NotALogbook) as caught:
        backend.open()
    assert "photos" in caught.value.why
    assert set(structure_of(storage)) == {"photos"}


def test_upgrading_can_be_repeated(storage: Storage) -> None:
    with closing(storage.backend()) as backend:
        backend.upgrade()
        backend.upgrade()
    assert works(storage)


@pytest.mark.parametrize("revision", OLDER)
def test_making_the_schema_can_be_interrupted_at_any_statement(
    revision: str | None, storage: Storage, request: pytest.FixtureRequest, full: bool
) -> None:
    with Proxy(storage.port) as proxy:
        whole = prepared(storage.kind, revision, request)
        with whole.backend(proxy):
            pass
        expected, requests = structure_of(whole), proxy.requests - 2  # the last ones part, which may go unheard
        assert requests > 10
        for at in range(1, requests + 1) if full else random.Random(0).sample(range(1, requests + 1), SAMPLE):
            one = prepared(storage.kind, revision, request)
            proxy.arm(_done_and_cut, at=at)
            with (
                closing(one.backend(proxy, timeout_s=0)) as backend,
                suppress(StorageUnavailable),
            ):  # or it was the last
                backend.open()
            assert not proxy.is_armed
            assert works(one), f"interrupted after request {at} of {requests}"
            assert structure_of(one) == expected


def _done_and_cut(link: Link, request: bytes) -> None:
    """Cut the connection when the server has done what it was asked for, as the client's death would."""
    link.ask(request)
    link.close()


@pytest.mark.parametrize("revision", OLDER)
def test_several_may_open_a_new_or_an_older_database_at_once(
    revision: str | None, storage: Storage, request: pytest.FixtureRequest
) -> None:
    storage = prepared(storage.kind, revision, request)
    barrier = threading.Barrier(4)
    troubles: list[BaseException] = []

    def opened(number: int) -> Callable[[], None]:
        def work() -> None:
            with closing(storage.backend()) as backend:
                barrier.wait()
                try:
                    begin(backend, f"f{number}")
                except Exception as error:
                    troubles.append(error)

        return work

    threads = [threading.Thread(target=opened(number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert storage.ask("SELECT count(*) FROM flows") == [(4,)]
    assert storage.ask("SELECT version_num FROM flowbook_schema") == [(REVISIONS[-1],)]
