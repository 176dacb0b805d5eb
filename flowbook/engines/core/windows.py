"""Windows: how much of what is in flight each executor may have, in a run whose atoms name several."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set


class Windows:
    """How many attempts are in flight in each window, how many may be, and which nodes wait for a slot in theirs.

    ``window_of`` has the window of each node by its index, ``widths`` the slots of each, at least 1. A node whose
    window is full lets those of other windows by, and is taken before what comes to the queue of its own later.
    """

    __slots__ = ("_held", "_in_flight", "_widths", "_window_of")

    def __init__(self, window_of: Sequence[int], widths: Sequence[int]) -> None:
        self._window_of, self._widths = window_of, widths
        self._in_flight = [0] * len(widths)
        self._held: list[deque[int]] = [deque() for _ in widths]

    def take(self, queue: deque[int], queued: Set[int]) -> int | None:
        """Take out and return the first node whose window has room: of those held back, else of ``queue``; or None.

        A node that is not in ``queued`` is not meant any more; one may be returned all the same.
        """
        for window, held in enumerate(self._held):
            if held and self._has_room(window):
                return held.popleft()
        while queue:
            node = queue.popleft()
            window = self._window_of[node]
            if self._has_room(window):
                return node
            if node in queued:
                self._held[window].append(node)
        return None

    def started(self, node: int) -> None:
        """Count an attempt that is in flight from now on."""
        self._in_flight[self._window_of[node]] += 1

    def ended(self, node: int) -> None:
        """Count an attempt that has ended, or was withdrawn, as in flight no more."""
        self._in_flight[self._window_of[node]] -= 1

    def _has_room(self, window: int) -> bool:
        return self._in_flight[window] < self._widths[window]
