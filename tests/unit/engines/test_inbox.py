"""How much the loop takes at a time: what ends together is committed together, and nobody is waited for in vain."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from flowbook.engines import inbox as module
from flowbook.engines.core.messages import Start
from flowbook.engines.inbox import Finished, Inbox, Item, Wish
from flowbook.states import Direction

A, B, C, D = (Finished(Start(node, Direction.EXECUTE, 0, 1), Future()) for node in range(4))
TURN_S = 0.004


class Later(queue.SimpleQueue[Item]):
    """A queue into which ``late`` comes as soon as somebody waits for more; no time passes in it."""

    def __init__(self) -> None:
        self.late: list[Item] = []
        self.waited_s: list[float] = []

    def get(self, block: bool = True, timeout: float | None = None) -> Item:
        if not timeout or not self.empty():
            return super().get(block, timeout)
        self.waited_s.append(timeout)
        if self.late:
            self.put(self.late.pop(0))
        return super().get(timeout=0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace) -> Later:
    later = Later()
    monkeypatch.setattr(module, "queue", SimpleNamespace(SimpleQueue=lambda: later, Empty=queue.Empty))
    return later


def taken(inbox: Inbox, *items: Item, in_flight: int) -> list[Item]:
    for item in items:
        inbox.put(item)
    return inbox.take_all(None, in_flight)


def test_where_several_came_together_the_rest_is_waited_for(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    assert taken(inbox, A, B, in_flight=2) == [A, B]
    clock.now_s += TURN_S
    later.late = [B, C]
    assert taken(inbox, A, in_flight=3) == [A, B, C]


def test_the_rest_is_waited_for_half_a_turn_at_most(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    taken(inbox, A, B, in_flight=2)
    clock.now_s += TURN_S
    assert taken(inbox, A, in_flight=3) == [A]
    assert later.waited_s == [pytest.approx(TURN_S / 2)]


def test_after_a_long_turn_the_wait_is_short_all_the_same(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    taken(inbox, A, B, in_flight=2)
    clock.now_s += 3600.0
    taken(inbox, A, in_flight=3)
    assert sum(later.waited_s) < 0.01


def test_where_one_came_alone_nobody_is_waited_for(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    assert taken(inbox, A, in_flight=3) == [A]
    clock.now_s += TURN_S
    later.late = [B]
    assert taken(inbox, C, in_flight=3) == [C]
    assert later.waited_s == []


def test_when_all_have_ended_nobody_is_waited_for(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    taken(inbox, A, B, in_flight=2)
    clock.now_s += TURN_S
    assert taken(inbox, C, D, in_flight=2) == [C, D]
    assert later.waited_s == []


def test_a_wish_to_suspend_ends_the_wait(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    taken(inbox, A, B, in_flight=2)
    clock.now_s += TURN_S
    later.late = [Wish(), C]
    assert taken(inbox, A, in_flight=3) == [A, Wish()]


def test_a_wait_in_vain_is_the_last_one(later: Later, clock: SimpleNamespace) -> None:
    inbox = Inbox()
    taken(inbox, A, B, in_flight=2)
    clock.now_s += TURN_S
    taken(inbox, C, in_flight=3)
    clock.now_s += TURN_S
    taken(inbox, D, in_flight=3)
    assert len(later.waited_s) == 1
