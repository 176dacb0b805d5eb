"""The suite of backends over a real ZooKeeper server, each test below a path of its own."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

import servers
from crash.proxy import Link, Proxy
from daemons.process import LOOPBACK, Daemon, free_port
from daemons.zookeeper import four_letters, zookeeper, zookeeper_with_tls, zookeeper_with_users
from flowbook.exceptions import (
    Damaged,
    FlowOwned,
    NewerSchema,
    NotALogbook,
    OwnershipLost,
    StorageError,
    StorageUnavailable,
    TooLarge,
)
from flowbook.persistence.backend import Backend, Fence, Query
from flowbook.persistence.changes import Append, Put
from flowbook.persistence.inspection import Inspectable, Level, SchemaVersions, Versioned
from flowbook.persistence.owners import current_owner
from flowbook.persistence.zookeeper.backend import ZookeeperBackend
from flowbook.persistence.zookeeper.sealing import sealed
from flowbook.testing.backend_contract import BackendContract
from flowbook.testing.backend_samples import FLOW_ROW, begin, ids, stranger

MULTI_READ = struct.pack(">ii", 22, 4)
"""How a request begins, behind its number, that asks for many znodes: its type, and that of its first part."""

UNKNOWN = struct.pack(">ii", 99, 4)

pytestmark = pytest.mark.skipif(not servers.ZOOKEEPER.is_installed, reason="ZooKeeper is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Daemon]:
    with zookeeper() as daemon:
        yield daemon


class _OnAServer(BackendContract):
    options = ""

    @pytest.fixture
    def url(self, server: Daemon) -> str:
        return f"{server.url}{uuid4().hex}/runs?timeout_s=30{self.options}"

    @pytest.fixture
    def backend(self, url: str) -> Iterator[Backend]:
        with ZookeeperBackend(url) as backend:
            yield backend

    @pytest.fixture
    def reopened(self, url: str) -> Iterator[Backend]:
        with ZookeeperBackend(url) as backend:
            yield backend


class TestZookeeper(_OnAServer):
    pass


class TestZookeeperInSmallParts(_OnAServer):
    """Most commits are larger than a znode may be."""

    options = "&znode_limit_bytes=256&value_limit_bytes=262144"


@pytest.fixture
def url(server: Daemon) -> str:
    return f"{server.url}{uuid4().hex}"


@pytest.fixture
def znodes(server: Daemon) -> Iterator[Any]:
    """Return a client of kazoo's, which has no types."""
    client = KazooClient(f"{LOOPBACK}:{server.port}")
    client.start()
    yield client
    client.stop()
    client.close()


def path_of(url: str) -> str:
    return "/" + url.rpartition("/")[2]


class TestZnodes:
    def test_a_run_that_was_given_up_is_a_head_and_its_records(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            claim = begin(backend)
            for number in range(5):
                claim = backend.commit(claim, [Append("try", "a", {"n": number})])
            flow = f"{path_of(url)}/keys/flow/f"
            assert len(znodes.get_children(flow)) == 7  # the commits, and the owner
            backend.renew(claim, lease_s=0)
            (records,) = znodes.get_children(flow)
            assert records.startswith("p-")
            assert len(backend.load("f").appended["try"]["a"]) == 5

    def test_a_long_run_is_summed_up_while_it_goes_on(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            claim = begin(backend)
            for number in range(1000):
                claim = backend.commit(claim, [Put("atom", "a", {"n": number})])
            backend.renew(claim, lease_s=60)
            assert len(znodes.get_children(f"{path_of(url)}/keys/flow/f")) == 2
            claim = backend.commit(claim, [Put("atom", "b", {})])
            assert backend.load("f").kind("atom") == {"a": {"n": 999}, "b": {}}
            assert claim.seq == 1002

    def test_a_connection_that_was_closed_leaves_the_claim_until_somebody_takes_it(self, url: str) -> None:
        with ZookeeperBackend(url) as backend, ZookeeperBackend(url) as other:
            claim = begin(backend)
            backend.close()
            claim = backend.commit(claim, [Put("atom", "a", {})])
            backend.renew(claim, lease_s=60)  # a new session stands behind it
            with pytest.raises(FlowOwned):
                other.claim("flow:f", stranger(), lease_s=60)
            claim = backend.commit(claim, [])
            backend.close()
            other.claim("flow:f", stranger(), lease_s=60)
            with pytest.raises(OwnershipLost):
                backend.commit(claim, [])

    def test_where_the_session_of_a_claim_has_ended_the_server_refuses_its_writes(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            claim = begin(backend)
            znodes.delete(f"{path_of(url)}/keys/flow/f/owner")  # what its end does, before this client hears of it
            for fence in Fence:
                with pytest.raises(OwnershipLost):
                    backend.commit(claim, [Put("atom", "a", {})], fence=fence)
            assert set(backend.load("f").rows) == {"flow"}

    def test_a_destroyed_run_leaves_nothing(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            backend.post("flow:f", {"do": "suspend"})
            claim = backend.commit(begin(backend), [Put("atom", "a", {"text": "x" * 10_000})])
            backend.renew(claim, lease_s=0)
            backend.destroy("f")
            assert znodes.get_children(f"{path_of(url)}/keys/flow") == []

    def test_a_flow_record_that_is_too_large_to_be_told_is_refused_with_the_whole_commit(self, url: str) -> None:
        with ZookeeperBackend(url) as backend:
            claim = begin(backend)
            with pytest.raises(TooLarge):
                backend.commit(claim, [Put("atom", "a", {}), Put("flow", "f", {**FLOW_ROW, "name": "n" * 200_000})])
            assert set(backend.load("f").rows) == {"flow"}
            backend.commit(claim, [Put("atom", "a", {})])


class TestListing:
    """A list of runs is read by few requests: kazoo takes a quarter of a millisecond for each."""

    RUNS = 1000

    @pytest.fixture
    def many(self, url: str, znodes: Any) -> str:
        with ZookeeperBackend(url) as backend:
            begin(backend, "r0")
        head = json.loads(znodes.get(f"{path_of(url)}/keys/flow/r0")[0][9:])
        made = []
        for number in range(1, self.RUNS):
            place = f"keys/flow/r{number}"
            document = {**head, "key": f"flow:r{number}", "flow": {**FLOW_ROW, "created_at": 1000.0 + number}}
            made.append(znodes.create_async(f"{path_of(url)}/{place}", sealed(json.dumps(document).encode(), place)))
        for answer in made:
            answer.get()
        return url

    def test_the_newest_of_many_runs_are_found_by_few_requests(self, many: str, server: Daemon) -> None:
        with ZookeeperBackend(many) as backend:
            assert len(ids(backend, Query())) == self.RUNS
            before = _requests_to(server)
            assert ids(backend, Query(limit=3)) == ["r999", "r998", "r997"]
            assert _requests_to(server) - before < self.RUNS / 50
            assert sorted(ids(backend, Query(prefix="r99"))) == ["r99", *(f"r99{digit}" for digit in range(10))]

    def test_a_server_that_is_too_old_to_be_asked_for_many_is_asked_for_each(self, many: str, server: Daemon) -> None:
        def from_a_newer_client(link: Link, request: bytes) -> None:
            link.server.sendall(request.replace(MULTI_READ, UNKNOWN, 1))

        with Proxy(server.port) as proxy, ZookeeperBackend(_through(proxy, many)) as backend:
            backend.open()
            proxy.arm(from_a_newer_client, containing=MULTI_READ)
            for _ in range(2):
                assert ids(backend, Query(limit=3)) == ["r999", "r998", "r997"]
                assert not proxy.is_armed

    def test_a_run_that_may_not_be_read_is_an_error(self, many: str, znodes: Any) -> None:
        znodes.set_acls(f"{path_of(many)}/keys/flow/r7", [make_digest_acl("ann", "s3cret", all=True)])
        with ZookeeperBackend(many) as backend, pytest.raises(StorageUnavailable) as caught:
            backend.find(Query())
        assert "does not let this user" in caught.value.why


def _through(proxy: Proxy, url: str) -> str:
    return f"zookeeper://{LOOPBACK}:{proxy.port}/{url.rpartition('/')[2]}"


def _requests_to(server: Daemon) -> int:
    """Return how many packets the server has received by now."""
    lines = dict(line.split("\t", 1) for line in four_letters(server.port, "mntr").splitlines() if "\t" in line)
    return int(lines["zk_packets_received"])


class TestDamage:
    def test_any_damaged_znode_is_named_and_harms_its_own_flow_alone(self, url: str, znodes: Any) -> None:
        root = path_of(url)
        with ZookeeperBackend(f"{url}?znode_limit_bytes=200") as backend:
            begin(backend, "whole")
            claim = backend.claim("flow:f", current_owner(), lease_s=60)
            claim = backend.commit(claim, [Put("flow", "f", FLOW_ROW), Put("atom", "a", {"text": "x" * 300})])
            backend.renew(claim, lease_s=0)
            claim = backend.claim("flow:f", current_owner(), lease_s=60)
            claim = backend.commit(claim, [Put("atom", "b", {})])
            backend.commit(claim, [Put("atom", "c", {"text": "y" * 300})])
            backend.post("flow:f", {"do": "suspend"})
            flow = f"{root}/keys/flow/f"
            names = [name for name in znodes.get_children(flow) if name not in ("owner", "requests")]
            (request,) = znodes.get_children(f"{flow}/requests")
            paths = [flow, f"{flow}/requests/{request}", *(f"{flow}/{name}" for name in names)]
            assert len(paths) > 6
            for path in paths:
                before, _ = znodes.get(path)
                for broken in [b"", b"{}", b"\xff" * 20, before[:-1], before[:4], _altered(before), b"[" * 100_000]:
                    znodes.set(path, broken)
                    with pytest.raises(Damaged) as caught:
                        backend.load("f")
                    assert path in caught.value.where
                    assert len(backend.load("whole").rows) == 1
                    states = {found.flow: found.state for found in backend.find(Query())}
                    assert states == {"whole": "RUNNING", "f": "DAMAGED" if path == flow else "RUNNING"}
                znodes.set(path, before)
                backend.load("f")

    def test_a_znode_in_anothers_place_is_found(self, url: str, znodes: Any) -> None:
        root = path_of(url)
        with ZookeeperBackend(url) as backend:
            for flow in ("one", "two"):
                backend.commit(begin(backend, flow), [Put("atom", "a", {"of": flow})])
            for name in ("", "/c-0000000001", "/c-0000000002"):
                one, two = (f"{root}/keys/flow/{flow}{name}" for flow in ("one", "two"))
                before, _ = znodes.get(one)
                znodes.set(one, znodes.get(two)[0])
                with pytest.raises(Damaged):
                    backend.load("one")
                znodes.set(one, before)

    def test_a_znode_that_is_gone_is_missed(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            backend.commit(begin(backend), [Put("atom", "a", {})])
            znodes.delete(f"{path_of(url)}/keys/flow/f/c-0000000002")
            with pytest.raises(Damaged) as caught:
                backend.load("f")
            assert "c-0000000002" in caught.value.where

    def test_a_damaged_run_can_be_given_up_and_destroyed(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            claim = backend.commit(begin(backend), [Put("atom", "a", {})])
            znodes.set(f"{path_of(url)}/keys/flow/f/c-0000000002", b"")
            backend.renew(claim, lease_s=0)
            with pytest.raises(Damaged):
                backend.load("f")
            backend.destroy("f")
            assert ids(backend, Query()) == []

    def test_what_belongs_to_another_program_is_left_alone(self, url: str, znodes: Any) -> None:
        root = path_of(url)
        znodes.create(root, b"")
        znodes.create(f"{root}/brokers", b"")
        with pytest.raises(NotALogbook) as caught:
            ZookeeperBackend(url).open()
        assert "brokers" in caught.value.why
        for data in (b"text", b"{}", b"7"):
            znodes.set(root, data)
            with pytest.raises(NotALogbook):
                ZookeeperBackend(url).open()
        znodes.set(root, b'{"logbook": "zookeeper", "format": 2}')
        with pytest.raises(NewerSchema):
            ZookeeperBackend(url).open()

    def test_an_empty_znode_becomes_a_logbook(self, url: str, znodes: Any) -> None:
        znodes.create(path_of(url), b"")
        with ZookeeperBackend(url) as backend:
            begin(backend)
        with ZookeeperBackend(url) as backend:
            assert ids(backend, Query()) == ["f"]


class TestInspection:
    def test_where_nothing_is_nothing_is_found_and_nothing_is_made(self, url: str, znodes: Any) -> None:
        backend = ZookeeperBackend(url)
        assert isinstance(backend, Inspectable)
        assert isinstance(backend, Versioned)
        assert list(backend.inspect()) == []
        assert backend.schema_versions() == SchemaVersions(None, "1")
        backend.close()
        assert znodes.exists(path_of(url)) is None

    def test_what_is_damaged_is_found_and_what_anybody_may_change(self, url: str, znodes: Any) -> None:
        with ZookeeperBackend(url) as backend:
            begin(backend)
            assert [finding.level for finding in backend.inspect()] == [Level.WARN, Level.OK]
            assert backend.schema_versions().is_newest
            assert backend.upgrade_script() == ""
            znodes.set(f"{path_of(url)}/keys/flow/f/c-0000000001", b"")
            znodes.create(f"{path_of(url)}/keys/flow/%zz", b"")
            found = list(backend.inspect())
        assert [finding.level for finding in found] == [Level.WARN, Level.WARN, Level.FAIL]
        assert all(finding.fix for finding in found)
        assert "c-0000000001" in found[-1].where


class TestReaching:
    def test_where_no_server_answers_there_is_an_error_at_the_deadline(self) -> None:
        backend = ZookeeperBackend(f"zookeeper://{LOOPBACK}:{free_port()}/runs?timeout_s=0.3")
        began_at = time.monotonic()
        with pytest.raises(StorageUnavailable) as caught:
            backend.open()
        assert time.monotonic() - began_at < 5
        assert "refused" in caught.value.why
        assert caught.value.todo

    def test_a_server_that_goes_away_is_an_error_at_the_deadline_and_not_a_hang(self) -> None:
        with zookeeper() as own, ZookeeperBackend(f"{own.url}?timeout_s=0.5") as backend:
            claim = begin(backend)
            own.kill()
            began_at = time.monotonic()
            with pytest.raises(StorageUnavailable):
                backend.commit(claim, [Put("atom", "a", {})])
            assert time.monotonic() - began_at < 5
            with pytest.raises(StorageUnavailable):
                backend.find(Query())

    def test_users_have_logbooks_of_their_own(self, tmp_path: Path) -> None:
        with zookeeper_with_users(tmp_path, ann="s3cret", bob="an0ther") as own:
            ann = f"{own.url}runs?timeout_s=3&sasl_user=ann&sasl_password="
            with ZookeeperBackend(f"{ann}s3cret") as backend:
                assert "s3cret" not in backend.url
                begin(backend)
            with ZookeeperBackend(f"{ann}s3cret") as backend:
                assert ids(backend, Query()) == ["f"]
            for wrong in (
                f"{ann}wrong",
                f"{own.url}runs?timeout_s=3",
                f"{own.url}runs?sasl_user=bob&sasl_password=an0ther",
            ):
                backend = ZookeeperBackend(wrong)
                with pytest.raises(StorageUnavailable) as caught:
                    backend.open()
                assert "user" in caught.value.why
                with suppress(StorageError):
                    backend.close()

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # kazoo leaves refused sockets open
    def test_over_tls_both_sides_show_certificates(self, tmp_path: Path) -> None:
        own, url = zookeeper_with_tls(tmp_path)
        certificates = f"&certfile={tmp_path}/client.pem&keyfile={tmp_path}/client.pem"
        with own:
            with ZookeeperBackend(f"{url}runs?use_ssl=true&ca={tmp_path}/ca.pem{certificates}") as backend:
                begin(backend)
                assert ids(backend, Query()) == ["f"]
            with pytest.raises(StorageUnavailable) as caught:
                ZookeeperBackend(f"{url}runs?timeout_s=1&use_ssl=true{certificates}").open()
            assert "certificate verify failed" in caught.value.why


def _altered(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
