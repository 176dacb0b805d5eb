"""The suite that every `Backend` passes, ours and yours: subclass it and give it a ``backend`` fixture.

::

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self, tmp_path):
            with MyBackend(f"mine://{tmp_path}") as backend:
                yield backend

Give it also a ``reopened`` fixture, the same storage opened once more as another process would, unless your
storage dies with the object. Nothing in the suite waits: a lease of 0 seconds has ended when it begins.
"""

# ruff: noqa: D102 - names of tests are sentences

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flowbook.exceptions import FlowOwned, NotFound, OwnershipLost
from flowbook.persistence.backend import Backend, Fence, Query
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.options import hide_secrets
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_looks import LooksContract
from flowbook.testing.backend_ownership import FenceContract, OwnersContract
from flowbook.testing.backend_records import NamesContract, RecordsContract
from flowbook.testing.backend_samples import FLOW_ROW, begin, ids, stranger


class FindingContract:
    """Flows are found, and forgotten."""

    @pytest.fixture
    def three(self, backend: Backend) -> Backend:
        """Return a backend with three flows."""
        begin(backend, "a-1", book="sales", created_at=10.0)
        begin(backend, "a-2", book="sales", name="refunds", state="FAILURE", created_at=30.0)
        begin(backend, "b-1", state="SUCCESS", created_at=20.0)
        return backend

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (Query(), ["a-2", "b-1", "a-1"]),
            (Query(book="sales"), ["a-2", "a-1"]),
            (Query(book="none"), []),
            (Query(flow="a-1"), ["a-1"]),
            (Query(flow="a-"), []),
            (Query(flow="a-1", states=frozenset({"FAILURE"})), []),
            (Query(name="refunds"), ["a-2"]),
            (Query(states=frozenset({"FAILURE"})), ["a-2"]),
            (Query(states=frozenset({"FAILURE", "RUNNING"})), ["a-2", "a-1"]),
            (Query(prefix="a-"), ["a-2", "a-1"]),
            (Query(prefix="A-"), []),
            (Query(prefix="_-"), []),
            (Query(since=20.0), ["a-2", "b-1"]),
            (Query(until=20.0), ["b-1", "a-1"]),
            (Query(since=11.0, until=29.0), ["b-1"]),
            (Query(limit=2), ["a-2", "b-1"]),
            (Query(limit=0), []),
            (Query(book="sales", prefix="a", states=frozenset({"RUNNING"}), limit=5), ["a-1"]),
        ],
    )
    def test_flows_are_found_newest_first(self, three: Backend, query: Query, found: list[str]) -> None:
        assert ids(three, query) == found

    def test_a_summary_says_what_the_flow_record_says(self, backend: Backend, reopened: Backend) -> None:
        begin(backend)
        (found,) = reopened.find(Query())
        assert (found.flow, found.book, found.name, found.state) == ("f", "default", "orders", "RUNNING")
        assert (found.created_at, found.updated_at, found.atoms) == (1000.0, 1000.5, 3)

    def test_a_summary_names_the_owner_while_there_is_one(self, backend: Backend) -> None:
        claim = begin(backend)
        (owned,) = backend.find(Query())
        assert owned.owner == current_owner()
        assert owned.owned_since is not None
        backend.renew(claim, lease_s=0)
        (free,) = backend.find(Query())
        assert (free.owner, free.owned_since) == (None, None)

    def test_a_summary_follows_its_flow(self, backend: Backend) -> None:
        claim = begin(backend)
        changed = {**FLOW_ROW, "state": "SUCCESS", "updated_at": 2000.0, "book": "other"}
        claim = backend.commit(claim, [Put("flow", "f", changed)])
        (found,) = backend.find(Query(book="other"))
        assert (found.state, found.updated_at) == ("SUCCESS", 2000.0)
        backend.commit(claim, [Delete("flow", "f")])
        assert ids(backend, Query()) == []

    def test_a_destroyed_flow_is_forgotten(self, backend: Backend, reopened: Backend) -> None:
        claim = backend.commit(begin(backend), [Put("atom", "a", {}), Append("try", "a", {})])
        begin(backend, "f2")
        backend.post("flow:f", {})
        backend.renew(claim, lease_s=0)
        backend.destroy("f")
        with pytest.raises(NotFound):
            reopened.load("f")
        assert ids(reopened, Query()) == ["f2"]
        again = begin(backend)
        records = reopened.load("f")
        assert set(records.rows) == {"flow"}
        assert not records.appended
        assert list(backend.renew(again, lease_s=60)) == []

    def test_an_owner_of_a_destroyed_flow_cannot_write_into_its_successor(self, backend: Backend) -> None:
        old = begin(backend)
        backend.renew(backend.claim("flow:f", current_owner(), lease_s=60), lease_s=0)
        backend.destroy("f")
        new = begin(backend)
        assert new.epoch > old.epoch
        with pytest.raises(OwnershipLost):
            backend.commit(old, [])

    def test_an_unknown_flow_cannot_be_destroyed(self, backend: Backend) -> None:
        with pytest.raises(NotFound):
            backend.destroy("none")

    def test_an_owned_flow_cannot_be_destroyed(self, backend: Backend) -> None:
        begin(backend)
        with pytest.raises(FlowOwned):
            backend.destroy("f")
        backend.claim("flow:f", stranger(), lease_s=60, take_over=True)
        with pytest.raises(FlowOwned):
            backend.destroy("f")
        assert ids(backend, Query()) == ["f"]


class SharingContract:
    """One backend for many threads, opened and closed at any time."""

    def test_it_opens_when_it_is_first_used_and_after_it_was_closed(self, backend: Backend) -> None:
        claim = begin(backend)
        backend.open()
        backend.open()
        backend.upgrade()
        backend.close()
        backend.close()
        backend.commit(claim, [Put("atom", "a", {})])
        assert set(backend.load("f").kind("atom")) == {"a"}

    def test_its_url_shows_no_secret(self, backend: Backend) -> None:
        assert backend.url
        assert hide_secrets(backend.url) == backend.url

    def test_threads_with_claims_of_their_own_write_side_by_side(self, backend: Backend) -> None:
        def work(number: int) -> None:
            claim = begin(backend, f"f{number}")
            for count in range(10):
                claim = backend.commit(claim, [Put("atom", "a", {"n": count}), Append("try", "a", {})])

        _in_threads(work)
        for number in range(4):
            records = backend.load(f"f{number}")
            assert records.kind("atom")["a"] == {"n": 9}
            assert len(records.appended["try"]["a"]) == 10

    def test_threads_write_under_one_claim(self, backend: Backend) -> None:
        claim = begin(backend)

        def work(number: int) -> None:
            for count in range(10):
                backend.commit(claim, [Put("unit", f"{number}.{count}", {})], fence=Fence.EPOCH)

        _in_threads(work)
        assert len(backend.load("f").kind("unit")) == 40

    def test_of_threads_that_use_one_number_exactly_one_wins(self, backend: Backend) -> None:
        claim = begin(backend)
        won: list[int] = []

        def work(number: int) -> None:
            try:
                backend.commit(claim, [Append("try", "a", {"by": number})])
            except OwnershipLost:
                return
            won.append(number)

        _in_threads(work)
        assert [row["by"] for row in backend.load("f").appended["try"]["a"]] == won
        assert len(won) == 1


def _in_threads(work: Callable[[int], None]) -> None:
    """Call ``work`` with its number in each of four threads at once; raise what any of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def run(number: int) -> None:
        barrier.wait(10)
        try:
            work(number)
        except BaseException as error:  # shown by the thread that asserts
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class BackendContract(
    RecordsContract, LooksContract, NamesContract, FenceContract, OwnersContract, FindingContract, SharingContract
):
    """Every `Backend` passes this: subclass it as ``Test…`` and give it a ``backend`` fixture."""

    @pytest.fixture
    def reopened(self, backend: Backend) -> Backend:
        """Return the same storage, opened again as another process would."""
        return backend
