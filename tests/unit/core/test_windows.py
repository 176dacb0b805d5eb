"""Which node starts next, where each executor has its own window."""

from __future__ import annotations

from collections import deque

from flowbook.engines.core.windows import Windows


def started(windows: Windows, queue: deque[int], queued: set[int]) -> list[int]:
    """Return the nodes that are started until no more have room."""
    nodes = list[int]()
    while (node := windows.take(queue, queued)) is not None:
        if node in queued:
            queued.remove(node)
            windows.started(node)
            nodes.append(node)
    return nodes


def test_each_window_keeps_its_order_and_lets_the_others_by() -> None:
    windows = Windows([0, 0, 0, 1, 1, 1], [1, 2])
    queue, queued = deque(range(6)), set(range(6))
    assert started(windows, queue, queued) == [0, 3, 4]
    windows.ended(3)
    assert started(windows, queue, queued) == [5]
    windows.ended(4)
    assert started(windows, queue, queued) == []
    windows.ended(0)
    assert started(windows, queue, queued) == [1]
    windows.ended(1)
    assert started(windows, queue, queued) == [2]
    assert not queue
    assert not queued


def test_what_is_held_back_and_not_meant_any_more_takes_no_slot() -> None:
    windows = Windows([0, 0, 0], [1])
    queue, queued = deque(range(3)), set(range(3))
    assert started(windows, queue, queued) == [0]
    queued.remove(1)
    windows.ended(0)
    assert started(windows, queue, queued) == [2]


def test_what_comes_later_waits_behind_what_is_held_back() -> None:
    windows = Windows([0, 0, 0], [1])
    queue, queued = deque([0, 1]), {0, 1}
    assert started(windows, queue, queued) == [0]
    queue.append(2)
    queued.add(2)
    windows.ended(0)
    assert started(windows, queue, queued) == [1]
