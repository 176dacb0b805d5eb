"""Memory keeps what it is given, and judges owners by the clock it is given."""

from __future__ import annotations

import pytest

from flowbook.exceptions import EncodeError, FlowOwned, NotFound
from flowbook.persistence.changes import Inline, Put
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import FLOW_ROW, begin, stranger


class Hands:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


def test_a_lease_ends_when_its_time_has_come() -> None:
    clock = Hands()
    backend = MemoryBackend(clock=clock)
    backend.claim("flow:f", stranger(), lease_s=30)
    clock.at += 29.5
    with pytest.raises(FlowOwned) as caught:
        backend.claim("flow:f", current_owner(), lease_s=30)
    assert caught.value.lease_left_s == 0.5
    assert caught.value.since == "1970-01-01T00:16:40Z"
    clock.at += 0.5
    backend.claim("flow:f", current_owner(), lease_s=30)


def test_this_process_is_alive_after_its_lease_too() -> None:
    clock = Hands()
    backend = MemoryBackend(clock=clock)
    backend.claim("flow:f", current_owner(), lease_s=30)
    clock.at += 1000
    with pytest.raises(FlowOwned):
        backend.claim("flow:f", stranger(), lease_s=30)


def test_values_are_kept_as_live_objects() -> None:
    backend = MemoryBackend()
    live = object()
    backend.commit(begin(backend), [Put("atom", "a", {"result": Inline(live)})])
    assert backend.load("f").kind("atom")["a"]["result"].live is live


def test_strict_memory_refuses_a_value_that_was_not_encoded() -> None:
    backend = MemoryBackend("memory:?strict=yes")
    claim = begin(backend)
    with pytest.raises(EncodeError):
        backend.commit(claim, [Put("flow", "f", FLOW_ROW), Put("atom", "a", {"result": Inline(object())})])
    assert set(backend.load("f").rows) == {"flow"}


def test_many_flows_that_are_destroyed_leave_nothing_behind() -> None:
    backend = MemoryBackend()
    for number in range(100):
        claim = begin(backend, f"f{number}")
        backend.renew(claim, lease_s=0)
        backend.destroy(f"f{number}")
    assert backend._spaces == {}


def test_a_run_that_is_not_there_costs_the_same_however_many_are() -> None:
    backend = MemoryBackend()
    for number in range(200):
        begin(backend, f"f{number:03}")
    with pytest.raises(NotFound) as caught:
        backend.load("f")
    assert caught.value.known == tuple(f"f{number}" for number in range(100, 200))
