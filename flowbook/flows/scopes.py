"""Which providers an atom may read a symbol from: the nearest first, found without a search.

One dictionary leads from a symbol to the newest provider, each provider to the one before it. An atom keeps the head
that it saw, so a lookup costs O(1) an argument however many atoms share the symbol; siblings that must not see each
other are undone from a log.
"""

from __future__ import annotations

from collections.abc import Iterable


class Provider:
    """An atom (by its node) that provides a symbol, as the part ``index`` of its result; then the next nearest."""

    __slots__ = ("farther", "index", "node")

    def __init__(self, node: int, index: int | str | None, farther: Provider | None) -> None:
        self.node = node
        self.index = index
        self.farther = farther


class Provided:
    """One symbol that an atom provides, as the part ``part`` of its result (None: all of it).

    ``head`` is the last one that it was seen as: most that see it see the same behind it, and share that.
    """

    __slots__ = ("head", "node", "part", "symbol")

    def __init__(self, symbol: str, node: int, part: int | str | None) -> None:
        self.symbol = symbol
        self.node = node
        self.part = part
        self.head: Provider | None = None


class Visible:
    """What can be seen at the present point of the walk over a flow."""

    __slots__ = ("_log", "heads")

    def __init__(self) -> None:
        self.heads: dict[str, Provider | None] = {}
        self._log: list[tuple[Provided, Provider | None]] = []

    def add(self, symbol: str, node: int, index: int | str | None) -> None:
        """Let all that follow see ``symbol`` of ``node`` first."""
        self.add_all((Provided(symbol, node, index),))

    def add_all(self, provided: Iterable[Provided]) -> None:
        """Let all that follow see these, the last one first."""
        heads, log = self.heads, self._log
        for one in provided:
            before, head = heads.get(one.symbol), one.head
            if head is None or head.farther is not before:
                head = one.head = Provider(one.node, one.part, before)
            heads[one.symbol] = head
            log.append((one, before))

    def mark(self) -> int:
        """Return a point that `undo` can go back to."""
        return len(self._log)

    def undo(self, mark: int) -> list[Provided]:
        """Hide all that was added since ``mark``; return it in the order in which it was added."""
        undone = self._log[mark:]
        for provided, before in reversed(undone):
            self.heads[provided.symbol] = before
        del self._log[mark:]
        return [provided for provided, _ in undone]
