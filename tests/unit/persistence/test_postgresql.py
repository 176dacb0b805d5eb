"""What PostgreSQL alone does: large values, its schemas, its limits, and what its errors mean."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest

from crash.proxy import Link, Proxy
from crash.sql_storages import Storage, storage_on
from daemons.process import Daemon
from flowbook.exceptions import (
    Damaged,
    OwnershipLost,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TooLarge,
)
from flowbook.persistence import fetch
from flowbook.persistence.backend import Query
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.sql.database import Disconnected
from flowbook.testing.backend_samples import FLOW_ROW, begin, stranger

LIMIT = 2704


@pytest.fixture
def storage(postgresql_server: Daemon) -> Storage:
    return storage_on("postgresql", postgresql_server)


def test_a_value_of_megabytes_comes_back_whole(storage: Storage) -> None:
    text = "0123456789abcde\n" * (5 * 1024 * 1024 // 16)
    with storage.backend() as backend:
        backend.commit(begin(backend), [Put("atom", "a", {"result": text})])
        assert backend.load("f").rows["atom"]["a"] == {"result": text}


def test_a_long_name_that_fits_is_kept_whole(storage: Storage) -> None:
    name = "".join(f"{number:04x}" for number in range(325))
    with storage.backend() as backend:
        begin(backend, name)
        assert backend.load(name).flow == name


def test_a_name_over_the_limit_tells_the_limit(storage: Storage) -> None:
    name = "".join(f"{number * 7919 % 65536:04x}" for number in range(2000))
    with storage.backend() as backend, pytest.raises(TooLarge) as caught:
        begin(backend, name)
    assert caught.value.limit_bytes == LIMIT
    assert caught.value.size_bytes > 8000


def test_a_schema_that_is_not_there_is_named(storage: Storage) -> None:
    with closing(storage.backend(schema="no such schema")) as backend, pytest.raises(StorageUnavailable) as caught:
        backend.open()
    assert "schema" in caught.value.why


def test_schemas_do_not_see_each_other(storage: Storage, postgresql_server: Daemon) -> None:
    other = storage_on("postgresql", postgresql_server)
    with storage.backend() as one, other.backend() as two:
        begin(one, "f")
        assert two.claim("flow:f", stranger(), lease_s=1).epoch == 1


@pytest.mark.parametrize("count", [1, 3, 3000])
def test_who_says_nothing_before_the_end_of_a_commit_is_thrown_out(count: int, storage: Storage) -> None:
    def silent_until_another_has_it(link: Link, request: bytes) -> None:
        threading.Event().wait(1.5)
        with storage.backend() as heir:
            heir.claim("flow:f", stranger(), lease_s=60, take_over=True)
        link.server.sendall(request)

    changes = [Put("atom", f"a{number}", {}) for number in range(count)]
    with Proxy(storage.port) as proxy, closing(storage.backend(proxy, timeout_s=2)) as backend:
        claim = begin(backend)
        proxy.arm(silent_until_another_has_it, containing=storage.commit_request)
        with pytest.raises(OwnershipLost):
            backend.commit(claim, changes)
        assert not proxy.is_armed
        assert set(backend.load("f").rows) == {"flow"}


def test_of_the_changes_of_one_record_the_last_one_counts(storage: Storage) -> None:
    twice = [Put("atom", "a", {"n": 1}), Put("atom", "b", {"n": 2}), Put("atom", "a", {"n": 3})]
    with storage.backend() as backend:
        claim = backend.commit(begin(backend), [*twice, Put("flow", "f", {"name": "x"}), Put("flow", "f", FLOW_ROW)])
        assert backend.load("f").rows["atom"] == {"a": {"n": 3}, "b": {"n": 2}}
        assert [summary.name for summary in backend.find(Query())] == [FLOW_ROW["name"]]
        backend.commit(claim, [*twice, Delete("atom", "a"), Put("atom", "a", {"n": 4})])
        assert backend.load("f").rows["atom"] == {"a": {"n": 4}, "b": {"n": 2}}


def test_what_is_appended_keeps_its_order(storage: Storage) -> None:
    with storage.backend() as backend:
        backend.commit(begin(backend), [Append("try", "a", {"n": number}) for number in range(2500)])
        assert [row["n"] for row in backend.load("f").appended["try"]["a"]] == list(range(2500))


def _isolation(cursor: Any) -> list[Any]:
    cursor.execute("SHOW transaction_isolation")
    return list(cursor.fetchall())


def test_a_role_that_wants_other_isolation_changes_nothing(storage: Storage) -> None:
    with storage.backend() as backend:
        backend._database.read("SELECT set_config('default_transaction_isolation', 'serializable', false)", ())
        found = backend._database.write(_isolation)
    assert found == [("read committed",)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40001", StorageBusy),
        ("40P01", StorageBusy),
        ("55P03", StorageBusy),
        ("57014", StorageBusy),
        ("53100", StorageFull),
        ("57P01", Disconnected),
        ("08006", Disconnected),
        ("53300", Disconnected),
        ("XX001", Damaged),
        ("42501", StorageUnavailable),
        ("25006", StorageUnavailable),
    ],
)
def test_an_error_of_the_server_is_one_of_ours(code: str, kind: type[StorageError], storage: Storage) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'what it says' USING ERRCODE = '{code}'; END $$"
    with closing(storage.backend(timeout_s=0)) as backend:
        backend.open()
        with pytest.raises(kind) as caught:
            backend._database.write(lambda cursor: cursor.execute(raising))
        assert type(caught.value) is kind
        assert isinstance(caught.value.__cause__, psycopg.Error)
        assert "what it says" in caught.value.args[1]


def test_a_port_that_nobody_listens_on_is_disconnected() -> None:
    with pytest.raises(Disconnected):
        fetch("postgresql://ann@127.0.0.1:1/runs").open()
