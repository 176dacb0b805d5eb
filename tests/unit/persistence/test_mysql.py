"""What MariaDB and MySQL alone do: limits of names and packets, and what their errors mean."""

from __future__ import annotations

from contextlib import closing

import pymysql
import pytest

from crash.sql_storages import Storage, storage_on
from daemons.process import Daemon
from flowbook.exceptions import Damaged, StorageBusy, StorageError, StorageFull, StorageUnavailable, TooLarge
from flowbook.persistence import fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.sql.database import Disconnected
from flowbook.testing.backend_samples import FLOW_ROW, begin

LIMIT = 1000
PACKET_BYTES = 16 * 1024 * 1024


@pytest.fixture
def storage(mariadb_server: Daemon) -> Storage:
    return storage_on("mariadb", mariadb_server)


def test_the_longest_name_is_kept_whole_and_a_longer_one_refused(storage: Storage) -> None:
    longest = "ä" * ((LIMIT - len("flow:") - 1) // 2) + "a"
    with storage.backend() as backend:
        begin(backend, longest, name="ä" * (LIMIT // 2))
        assert backend.load(longest).flow == longest
        for flow, fields in ((longest + "a", {}), ("f", {"name": "ä" * (LIMIT // 2) + "a"})):
            with pytest.raises(TooLarge) as caught:
                begin(backend, flow, **fields)
            assert caught.value.limit_bytes == LIMIT


def test_a_value_of_the_largest_size_comes_back_whole(storage: Storage) -> None:
    text = "x" * (4 * 1024 * 1024 - 100)
    with storage.backend() as backend:
        backend.commit(begin(backend), [Put("atom", "a", {"result": text})])
        assert backend.load("f").rows["atom"]["a"] == {"result": text}


def test_a_record_over_the_packet_of_the_server_is_refused_at_once(storage: Storage) -> None:
    with storage.backend(value_limit_bytes=100 * 1024 * 1024) as backend:
        claim = begin(backend)
        with pytest.raises(TooLarge) as caught:
            backend.commit(claim, [Put("atom", "a", {"result": "x" * PACKET_BYTES})])
        assert "max_allowed_packet" in str(caught.value)
        assert caught.value.limit_bytes == PACKET_BYTES - 1
        backend.commit(claim, [Put("flow", "f", FLOW_ROW)])
        assert "atom" not in backend.load("f").rows


def test_a_result_just_below_the_packet_of_the_server_is_taken(storage: Storage) -> None:
    text = "x" * (PACKET_BYTES - 1000)
    with storage.backend(value_limit_bytes=100 * 1024 * 1024) as backend:
        backend.commit(begin(backend), [Put("atom", "a", {"result": text})])
        assert backend.load("f").rows["atom"]["a"] == {"result": text}


def test_a_session_is_strict_and_in_universal_time(storage: Storage) -> None:
    with storage.backend() as backend:
        asked = "SELECT @@sql_mode, @@session.time_zone, @@tx_isolation"
        ((mode, zone, isolation),) = backend._database.read(asked, ())
    assert "STRICT_ALL_TABLES" in mode
    assert (zone, isolation) == ("+00:00", "READ-COMMITTED")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1205, StorageBusy),
        (1213, StorageBusy),
        (1317, StorageBusy),
        (1969, StorageBusy),
        (1020, StorageBusy),
        (1114, StorageFull),
        (1021, StorageFull),
        (1053, Disconnected),
        (1927, Disconnected),
        (1194, Damaged),
        (1142, StorageUnavailable),
        (1290, StorageUnavailable),
    ],
)
def test_an_error_of_the_server_is_one_of_ours(number: int, kind: type[StorageError], storage: Storage) -> None:
    raising = f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'what it says'"
    with closing(storage.backend(timeout_s=0)) as backend:
        backend.open()
        with pytest.raises(kind) as caught:
            backend._database.write(lambda cursor: cursor.execute(raising))
        assert type(caught.value) is kind
        assert isinstance(caught.value.__cause__, pymysql.err.Error)
        assert "what it says" in caught.value.args[1]


def test_a_port_that_nobody_listens_on_is_disconnected() -> None:
    with pytest.raises(Disconnected):
        fetch("mysql://ann@127.0.0.1:1/runs").open()
