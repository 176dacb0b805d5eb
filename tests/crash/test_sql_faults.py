"""Connections to a database server break, and it restarts: what was asked for is done once, or an error says why."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from crash.proxy import Fault, Link, Proxy, cut, deliver_late, go_silent, lose_reply
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from flowbook.exceptions import NotFound, OwnershipLost, StorageBusy, StorageUnavailable
from flowbook.persistence.backend import Claim, Fence, Query
from flowbook.persistence.changes import Append, Change, Delete, Put
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import FLOW_ROW, begin, ids, stranger

KEY = "flow:f"
SAMPLE = 1
"""How many of the requests of a verb are disturbed, unless all are."""

LOGGING_IN = {"postgresql": 2, "mariadb": 5}
"""So many requests at the beginning of a connection: before their end, nobody knows whether there is a server."""

LONGEST_S = 5.0
GONE_WITHIN_S = 6.0
"""By when an error must be there where the deadline is a second: that, and one server that says nothing."""

CHANGES: list[Change] = [
    Put("atom", "a", {"state": "SUCCESS"}),
    Append("attempt", "a", {"n": 1}),
    Put("flow", "f", {**FLOW_ROW, "state": "SUCCESS"}),
]


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


@pytest.fixture
def proxy(storage: Storage) -> Iterator[Proxy]:
    with Proxy(storage.port) as proxy:
        yield proxy


class Scene:
    """A flow and its owner, who reaches the server through a proxy."""

    def __init__(self, storage: Storage, proxy: Proxy, name: str) -> None:
        self.storage, self.name, self.key = storage, name, f"flow:{name}"
        self.backend = storage.backend(proxy)
        self.claim = begin(self.backend, name)

    def requests(self) -> list[Any]:
        return self.storage.ask(f"SELECT data FROM requests WHERE claim = '{self.key}'")


def _claim(scene: Scene) -> None:
    before = scene.claim
    scene.claim = scene.backend.claim(scene.key, current_owner(), lease_s=60)
    assert scene.claim.epoch > before.epoch
    with pytest.raises(OwnershipLost):
        scene.backend.commit(before, CHANGES)
    scene.backend.commit(scene.claim, CHANGES)


def _commit(scene: Scene) -> None:
    after = scene.backend.commit(scene.claim, CHANGES)
    assert after == Claim(scene.key, scene.claim.epoch, scene.claim.seq + 1)
    with pytest.raises(OwnershipLost):
        scene.backend.commit(scene.claim, CHANGES)
    records = scene.backend.load(scene.name)
    assert records.appended == {"attempt": {"a": [{"n": 1}]}}
    assert records.rows["atom"] == {"a": {"state": "SUCCESS"}}


def _renew(scene: Scene) -> None:
    scene.backend.renew(scene.claim, lease_s=5000)
    ((lease_s,),) = scene.storage.ask(f"SELECT lease_until - since FROM claims WHERE claim = '{scene.key}'")
    assert 4900 < lease_s < 5100


def _give_up(scene: Scene) -> None:
    scene.backend.renew(scene.claim, lease_s=0)
    with pytest.raises(OwnershipLost):
        scene.backend.commit(scene.claim, CHANGES)
    scene.backend.claim(scene.key, stranger(), lease_s=60)


def _post(scene: Scene) -> None:
    scene.backend.post(scene.key, {"do": "suspend"})
    assert len(scene.requests()) == 1


def _destroy(scene: Scene) -> None:
    scene.backend.renew(scene.claim, lease_s=0)
    scene.backend.destroy(scene.name)
    for verb in (scene.backend.load, scene.backend.destroy):
        with pytest.raises(NotFound):
            verb(scene.name)
    assert scene.backend.claim(scene.key, current_owner(), lease_s=60).epoch > scene.claim.epoch + 1


def _load(scene: Scene) -> None:
    assert scene.backend.load(scene.name).rows["flow"] == {scene.name: FLOW_ROW}


def _find(scene: Scene) -> None:
    assert ids(scene.backend, Query(prefix=scene.name, limit=1)) == [scene.name]


VERBS: dict[str, tuple[Callable[[Scene], None], int]] = {
    "claim": (_claim, 10),
    "commit": (_commit, 5),
    "renew": (_renew, 4),
    "give up": (_give_up, 6),
    "post": (_post, 5),
    "destroy": (_destroy, 20),
    "load": (_load, 1),
    "find": (_find, 1),
}
"""What is done, and the fewest requests that it takes."""


def _killed_by_the_server(storage: Storage) -> Fault:
    def kill(link: Link, request: bytes) -> None:
        storage.kill_connections()
        link.server.sendall(request)

    return kill


def _killed_at_once_after(storage: Storage) -> Fault:
    def kill(link: Link, request: bytes) -> None:
        link.server.sendall(request)
        storage.kill_connections()

    return kill


FAULTS: dict[str, Callable[[Storage], Fault]] = {
    "cut": lambda storage: cut,
    "reply lost": lambda storage: lose_reply,
    "killed before": _killed_by_the_server,
    "killed beside": _killed_at_once_after,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_connection_lost_at_any_statement_is_no_trouble(
    fault: str, storage: Storage, proxy: Proxy, figures: Counter[str], full: bool
) -> None:
    for verb, (do, fewest) in VERBS.items():
        undisturbed = Scene(storage, proxy, verb)
        before = proxy.requests
        do(undisturbed)
        requests = proxy.requests - before
        assert requests >= fewest
        undisturbed.backend.close()
        every = range(1, requests + 1)
        for at in every if full else random.Random(f"{verb} {fault} {storage.kind}").sample(every, SAMPLE):
            scene = Scene(storage, proxy, f"{verb} {at}")
            proxy.arm(FAULTS[fault](storage), at=at)
            began = time.monotonic()
            do(scene)
            took_s = time.monotonic() - began
            is_lost = not proxy.is_armed
            proxy.disarm()
            scene.backend.close()
            assert is_lost or at > fewest, f"{verb} has no request {at}"  # what is sent in a row may come as one
            assert took_s < LONGEST_S, f"{verb}, lost at request {at}"
            figures[f"connections to {storage.kind} lost"] += is_lost


@pytest.mark.parametrize("fault", ["cut", "reply lost"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_connection_lost_while_a_storage_is_opened_is_no_trouble(
    is_new: bool, fault: str, storage: Storage, request: pytest.FixtureRequest, full: bool
) -> None:
    def opened(storage: Storage, at: int) -> int:
        with Proxy(storage.port) as proxy, closing(storage.backend(proxy)) as backend:
            proxy.arm(FAULTS[fault](storage), at=at)
            assert ids(backend, Query()) == []
            assert proxy.is_armed == (at > proxy.requests)
            return proxy.requests

    def next_storage() -> Storage:
        return storage_on(storage.kind, server_of(storage.kind, request)) if is_new else storage

    with closing(storage.backend()) as first:
        first.open()
    every = range(LOGGING_IN[storage.kind] + 1, opened(next_storage(), sys.maxsize) + 1)
    assert len(every) > (20 if is_new else 2)
    for at in every if full else random.Random(f"{is_new} {fault} {storage.kind}").sample(every, SAMPLE):
        opened(next_storage(), at)


def test_a_commit_that_arrives_after_its_connection_was_lost_is_waited_for(storage: Storage, proxy: Proxy) -> None:
    for verb in ("claim", "commit", "give up", "post"):
        scene = Scene(storage, proxy, verb)
        proxy.arm(deliver_late, containing=storage.commit_request)
        VERBS[verb][0](scene)
        assert not proxy.is_armed
        scene.backend.close()


@pytest.mark.parametrize("fault", ["cut", "reply lost"])
def test_a_flow_is_destroyed_once(fault: str, storage: Storage, proxy: Proxy) -> None:
    scene = Scene(storage, proxy, "f")
    scene.backend.renew(scene.claim, lease_s=0)
    proxy.arm(FAULTS[fault](storage), containing=storage.commit_request)
    scene.backend.destroy("f")
    assert not proxy.is_armed
    with pytest.raises(NotFound):
        scene.backend.destroy("f")
    scene.backend.close()


def test_a_request_that_may_have_been_taken_is_not_posted_again(storage: Storage, proxy: Proxy) -> None:
    scene = Scene(storage, proxy, "f")

    def take(link: Link, request: bytes) -> None:
        link.ask(request)
        with closing(storage.backend()) as owner:
            (waiting,) = owner.renew(scene.claim, lease_s=60)
            owner.commit(scene.claim, [Delete("request", waiting.id)])
        link.close()

    proxy.arm(take, containing=storage.commit_request)
    with pytest.raises(StorageUnavailable) as caught:
        scene.backend.post(scene.key, {"do": "suspend"})
    assert "not known" in caught.value.why
    assert scene.requests() == []
    scene.backend.close()


def test_a_commit_of_which_nobody_knows_says_so(storage: Storage, proxy: Proxy) -> None:
    with closing(storage.backend(proxy, timeout_s=1)) as backend:
        claim = begin(backend)

        def cut_off(link: Link, request: bytes) -> None:
            proxy.refuses = True
            lose_reply(link, request)

        proxy.arm(cut_off, containing=storage.commit_request)
        with pytest.raises(StorageUnavailable) as caught:
            backend.commit(claim, CHANGES)
        assert "whether it was written is not known" in caught.value.why
        proxy.refuses = False
        with pytest.raises(OwnershipLost):
            backend.commit(claim, CHANGES)
        assert backend.load("f").appended == {"attempt": {"a": [{"n": 1}]}}


def test_a_commit_whose_reply_is_lost_after_the_deadline_is_looked_up_all_the_same(
    storage: Storage, proxy: Proxy
) -> None:
    def wake_too_late(link: Link, request: bytes) -> None:
        link.ask(request)
        threading.Event().wait(1.5)
        link.close()

    with closing(storage.backend(proxy, timeout_s=1)) as backend:
        claim = begin(backend)
        proxy.arm(wake_too_late, containing=storage.commit_request)
        claim = backend.commit(claim, CHANGES)
        assert not proxy.is_armed
        backend.commit(claim, CHANGES)
        assert backend.load("f").appended == {"attempt": {"a": [{"n": 1}, {"n": 1}]}}


def test_a_commit_beside_others_of_its_owner_is_not_written_again_unseen(storage: Storage, proxy: Proxy) -> None:
    with closing(storage.backend(proxy)) as backend:
        claim = begin(backend)
        proxy.arm(lose_reply, containing=storage.commit_request)
        with pytest.raises(StorageUnavailable) as caught:
            backend.commit(claim, CHANGES, fence=Fence.EPOCH)
        assert "whether it was written is not known" in caught.value.why
        assert backend.load("f").appended == {"attempt": {"a": [{"n": 1}]}}


@pytest.mark.parametrize("how", ["refuses", "is silent"])
def test_a_server_that_is_gone_for_good_is_an_error_within_the_deadline(
    how: str, storage: Storage, proxy: Proxy, full: bool
) -> None:
    with closing(storage.backend(proxy, timeout_s=1)) as backend:
        claim = begin(backend)
        proxy.refuses = how == "refuses"
        proxy.swallows = how == "is silent"
        works: list[Callable[[], object]] = [
            lambda: backend.commit(claim, CHANGES),
            lambda: backend.load("f"),
            lambda: backend.renew(claim, lease_s=60),
        ]
        for work in works if full or how == "refuses" else works[:1]:
            proxy.arm(cut if how == "refuses" else go_silent)
            began = time.monotonic()
            with pytest.raises(StorageUnavailable) as caught:
                work()
            assert time.monotonic() - began < GONE_WITHIN_S
            assert caught.value.where == backend.url
            assert caught.value.why
            assert caught.value.todo


def test_a_lock_is_waited_for_until_the_deadline(storage: Storage) -> None:
    with closing(storage.backend(timeout_s=1)) as backend, closing(storage.connect()) as other:
        claim = begin(backend)
        cursor = other.cursor()
        cursor.execute(f"SELECT seq FROM heads WHERE claim = '{KEY}' FOR UPDATE")
        for work in (
            lambda: backend.commit(claim, CHANGES),
            lambda: backend.claim(KEY, stranger(), lease_s=1, take_over=True),
        ):
            began = time.monotonic()
            with pytest.raises(StorageBusy) as caught:
                work()
            assert 0.9 < time.monotonic() - began < GONE_WITHIN_S
            assert "lock" in caught.value.why.lower()
        other.rollback()
        backend.commit(claim, CHANGES)


def test_a_deadlock_is_tried_again(storage: Storage) -> None:
    with closing(storage.backend()) as backend, closing(storage.connect()) as other:
        claim = backend.commit(begin(backend), CHANGES)
        cursor = other.cursor()
        if storage.kind == "postgresql":
            cursor.execute("SET LOCAL deadlock_timeout = '1h'")  # so it is ours that finds it, and gives way
        else:
            rows = ", ".join(f"('other {i}', 1, 1)" for i in range(100))
            cursor.execute(f"INSERT INTO heads (claim, epoch, seq) VALUES {rows}")  # who has done less gives way
        cursor.execute(f"SELECT data FROM records WHERE claim = '{KEY}' FOR UPDATE")
        ours = threading.Thread(target=backend.commit, args=(claim, CHANGES))
        ours.start()
        storage.wait_until_somebody_waits()
        cursor.execute(f"SELECT seq FROM heads WHERE claim = '{KEY}' FOR UPDATE")
        cursor.fetchall()
        other.rollback()
        ours.join()
        assert backend.load("f").appended == {"attempt": {"a": [{"n": 1}, {"n": 1}]}}


FAILING = {
    "postgresql": [f"DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{code}'; END $$" for code in ("40001", "57014")],
    "mariadb": [f"SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'so'" for code in (1213, 1317)],
}


def test_what_the_server_undid_is_done_again(storage: Storage) -> None:
    for statement in FAILING[storage.kind]:
        with closing(storage.backend()) as backend:
            claim = begin(backend, "f")
            fails = [True]

            def work(cursor: Any, fails: list[bool] = fails, statement: str = statement) -> str:
                cursor.execute("UPDATE heads SET seq = seq + 1 WHERE claim = 'flow:f'")
                if fails:
                    fails.pop()
                    cursor.execute(statement)
                return "done"

            assert backend._database.write(work) == "done"
            backend.commit(Claim(claim.key, claim.epoch, claim.seq + 1), CHANGES)
