"""The part of the suite of backends about ownership: one writer, and no flow taken from the living."""

# ruff: noqa: D102 - names of tests are sentences

from __future__ import annotations

import pytest

from flowbook.exceptions import FlowbookError, FlowOwned, OwnershipLost
from flowbook.persistence.backend import Backend, Claim, Fence, Query
from flowbook.persistence.changes import Append, Change, Delete, Put
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import FLOW_ROW, begin, stranger


class FenceContract:
    """Of all who write, the newest owner alone is taken."""

    def test_each_commit_raises_the_number_of_the_claim(self, backend: Backend) -> None:
        first = backend.claim("flow:f", current_owner(), lease_s=60)
        second = backend.commit(first, [Put("atom", "a", {})])
        third = backend.commit(second, [])
        assert (second.key, second.epoch) == ("flow:f", first.epoch)
        assert (second.seq, third.seq) == (first.seq + 1, first.seq + 2)

    def test_a_claim_that_another_commit_has_used_is_refused(self, backend: Backend) -> None:
        stale = begin(backend)
        fresh = backend.commit(stale, [Put("atom", "a", {"by": "fresh"})])
        with pytest.raises(OwnershipLost) as caught:
            backend.commit(stale, [Put("atom", "a", {"by": "stale"})])
        assert (caught.value.key, caught.value.epoch) == ("flow:f", stale.epoch)
        assert backend.load("f").kind("atom")["a"] == {"by": "fresh"}
        backend.commit(fresh, [Put("atom", "a", {"by": "fresh again"})])

    def test_of_a_refused_commit_nothing_is_written(self, backend: Backend) -> None:
        stale = begin(backend)
        backend.commit(stale, [])
        changes: list[Change] = [
            Put("flow", "f", {**FLOW_ROW, "state": "SUCCESS"}),
            Append("try", "a", {}),
            Put("x", "y", {}),
        ]
        with pytest.raises(OwnershipLost):
            backend.commit(stale, changes)
        records = backend.load("f")
        assert records.kind("flow")["f"]["state"] == "RUNNING"
        assert set(records.rows) == {"flow"}
        assert not records.appended
        assert backend.find(Query())[0].state == "RUNNING"

    def test_the_second_of_two_writers_refuses_the_first(self, backend: Backend, reopened: Backend) -> None:
        first = begin(backend)
        second = reopened.claim("flow:f", stranger(), lease_s=60, take_over=True)
        assert second.epoch > first.epoch
        with pytest.raises(OwnershipLost):
            backend.commit(first, [Put("atom", "a", {})])
        with pytest.raises(OwnershipLost):
            backend.commit(first, [Put("atom", "a", {})], fence=Fence.EPOCH)
        with pytest.raises(OwnershipLost):
            backend.renew(first, lease_s=60)
        reopened.commit(second, [Put("atom", "b", {})])
        assert set(reopened.load("f").kind("atom")) == {"b"}

    def test_a_writer_that_only_fears_newer_owners_can_write_beside_others(self, backend: Backend) -> None:
        claim = begin(backend)
        backend.commit(claim, [Put("unit", "1", {})], fence=Fence.EPOCH)
        after = backend.commit(claim, [Put("unit", "2", {})])
        same = backend.commit(claim, [Put("unit", "3", {})], fence=Fence.EPOCH)
        assert (same, after.seq) == (claim, claim.seq + 1)
        assert set(backend.load("f").kind("unit")) == {"1", "2", "3"}

    def test_a_key_that_was_never_claimed_cannot_be_written(self, backend: Backend) -> None:
        for fence in Fence:
            with pytest.raises(OwnershipLost):
                backend.commit(Claim("flow:none", 1, 0), [Put("atom", "a", {})], fence=fence)
        with pytest.raises(OwnershipLost):
            backend.renew(Claim("flow:none", 1, 0), lease_s=60)

    def test_a_row_that_is_no_json_is_refused_with_all_that_stands_beside_it(self, backend: Backend) -> None:
        if backend.keeps_references:
            pytest.skip("it keeps live objects and encodes nothing")
        claim = begin(backend)
        with pytest.raises(FlowbookError):
            backend.commit(claim, [Put("atom", "a", {}), Put("atom", "b", {"value": object()})])
        assert set(backend.load("f").rows) == {"flow"}
        backend.commit(claim, [Put("atom", "a", {})])

    def test_claims_on_different_keys_do_not_meet(self, backend: Backend) -> None:
        one, other = begin(backend, "one"), begin(backend, "other")
        for _ in range(3):
            one, other = backend.commit(one, []), backend.commit(other, [])
        assert one.seq == other.seq


class OwnersContract:
    """Who may claim, and who must wait."""

    def test_a_living_stranger_is_not_disturbed(self, backend: Backend, reopened: Backend) -> None:
        backend.claim("flow:f", stranger(7), lease_s=60)
        with pytest.raises(FlowOwned) as caught:
            reopened.claim("flow:f", current_owner(), lease_s=60)
        assert (caught.value.key, caught.value.owner) == ("flow:f", str(stranger(7)))
        assert caught.value.since.endswith("Z")
        assert caught.value.lease_left_s is not None
        assert 0 < caught.value.lease_left_s <= 60

    def test_a_refused_claim_leaves_the_owner_its_own(self, backend: Backend) -> None:
        theirs = backend.claim("flow:f", stranger(), lease_s=60)
        with pytest.raises(FlowOwned):
            backend.claim("flow:f", current_owner(), lease_s=60)
        backend.commit(theirs, [Put("atom", "a", {})])

    def test_this_process_is_alive_in_the_eyes_of_others(self, backend: Backend, reopened: Backend) -> None:
        begin(backend)
        with pytest.raises(FlowOwned):
            reopened.claim("flow:f", stranger(), lease_s=60)

    def test_a_stranger_whose_lease_has_ended_is_superseded(self, backend: Backend) -> None:
        theirs = backend.claim("flow:f", stranger(), lease_s=0)
        ours = backend.claim("flow:f", current_owner(), lease_s=60)
        assert ours.epoch > theirs.epoch
        with pytest.raises(OwnershipLost):
            backend.commit(theirs, [])

    def test_a_lease_that_is_renewed_protects_again(self, backend: Backend) -> None:
        theirs = backend.claim("flow:f", stranger(), lease_s=0)
        backend.renew(theirs, lease_s=60)
        with pytest.raises(FlowOwned):
            backend.claim("flow:f", current_owner(), lease_s=60)

    def test_a_newer_engine_of_the_same_process_supersedes(self, backend: Backend, reopened: Backend) -> None:
        older = begin(backend)
        newer = reopened.claim("flow:f", current_owner(), lease_s=60)
        assert newer.epoch > older.epoch
        with pytest.raises(OwnershipLost):
            backend.commit(older, [])
        reopened.commit(newer, [])

    def test_renewing_does_not_disturb_the_next_commit(self, backend: Backend) -> None:
        claim = begin(backend)
        backend.renew(claim, lease_s=60)
        after = backend.commit(claim, [])
        backend.renew(claim, lease_s=60)  # the thread that renews may hold an older number
        backend.commit(after, [])

    def test_a_claim_that_was_given_up_is_free_and_writes_no_more(self, backend: Backend) -> None:
        claim = begin(backend)
        backend.renew(claim, lease_s=0)
        with pytest.raises(OwnershipLost):
            backend.commit(claim, [])
        with pytest.raises(OwnershipLost):
            backend.renew(claim, lease_s=60)
        theirs = backend.claim("flow:f", stranger(), lease_s=60)
        assert theirs.epoch > claim.epoch

    def test_giving_up_twice_or_too_late_does_nothing(self, backend: Backend) -> None:
        claim = begin(backend)
        backend.renew(claim, lease_s=0)
        backend.renew(claim, lease_s=0)
        theirs = backend.claim("flow:f", stranger(), lease_s=60)
        backend.renew(claim, lease_s=0)
        backend.commit(theirs, [])
        with pytest.raises(FlowOwned):
            backend.claim("flow:f", current_owner(), lease_s=60)

    def test_requests_reach_the_owner_in_their_order(self, backend: Backend, reopened: Backend) -> None:
        claim = begin(backend)
        assert list(backend.renew(claim, lease_s=60)) == []
        reopened.post("flow:f", {"do": "suspend"})
        reopened.post("flow:f", {"do": "cancel", "atoms": ["a"]})
        requests = backend.renew(claim, lease_s=60)
        assert [request.row for request in requests] == [{"do": "suspend"}, {"do": "cancel", "atoms": ["a"]}]
        assert len({request.id for request in requests}) == 2

    def test_a_request_waits_until_its_owner_deletes_it(self, backend: Backend) -> None:
        claim = begin(backend)
        for number in range(3):
            backend.post("flow:f", {"n": number})
        middle = backend.renew(claim, lease_s=60)[1]
        backend.commit(claim, [Delete("request", middle.id)])
        assert [request.row["n"] for request in backend.renew(claim, lease_s=60)] == [0, 2]

    def test_a_request_may_be_posted_before_there_is_an_owner(self, backend: Backend) -> None:
        backend.post("flow:f", {"do": "suspend"})
        claim = begin(backend)
        assert [request.row for request in backend.renew(claim, lease_s=60)] == [{"do": "suspend"}]

    def test_waiting_requests_are_loaded_with_the_flow(self, backend: Backend) -> None:
        claim = begin(backend)
        backend.post("flow:f", {"do": "suspend"})
        (request,) = backend.renew(claim, lease_s=60)
        assert backend.load("f").kind("request") == {request.id: {"do": "suspend"}}
        assert not backend.load("f", ["atom"]).kind("request")
        backend.commit(claim, [Delete("request", request.id)])
        assert not backend.load("f").kind("request")

    def test_requests_for_others_are_not_seen_and_cannot_be_deleted(self, backend: Backend) -> None:
        one, other = begin(backend, "one"), begin(backend, "other")
        backend.post("flow:other", {})
        (theirs,) = backend.renew(other, lease_s=60)
        assert list(backend.renew(one, lease_s=60)) == []
        backend.commit(one, [Delete("request", theirs.id), Delete("request", "no such id")])
        assert len(backend.renew(other, lease_s=60)) == 1
