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
    """A ``symbol`` that an atom provides, and the ``head`` that it was last seen as.

    Most that see it see the same behind it, and share that.
    """

    __slots__ = ("head", "symbol")

    def __init__(self, symbol: str, head: Provider) -> None:
        self.symbol = symbol
        self.head = head


class Visible:
    """What can be seen at the present point of the walk over a flow."""

    __slots__ = ("_log", "heads")

    def __init__(self) -> None:
        self.heads: dict[str, Provider | None] = {}
        self._log: list[Provided] = []

    def add(self, symbol: str, node: int, index: int | str | None) -> None:
        """Let all that follow see ``symbol`` of ``node`` first."""
        head = self.heads[symbol] = Provider(node, index, self.heads.get(symbol))
        self._log.append(Provided(symbol, head))

    def add_all(self, provided: Iterable[Provided]) -> None:
        """Let all that follow see these, the last one first."""
        heads, log = self.heads, self._log
        for one in provided:
            before, head = heads.get(one.symbol), one.head
            if head.farther is not before:
                head = one.head = Provider(head.node, head.index, before)
            heads[one.symbol] = head
            log.append(one)

    def mark(self) -> int:
        """Return a point that `undo` can go back to."""
        return len(self._log)

    def undo(self, mark: int) -> list[Provided]:
        """Hide all that was added since ``mark``; return it in the order in which it was added."""
        undone = self._log[mark:]
        for one in reversed(undone):
            self.heads[one.symbol] = one.head.farther
        del self._log[mark:]
        return undone
