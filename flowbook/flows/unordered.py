"""UnorderedFlow: all at once."""

from __future__ import annotations

from collections.abc import Iterator

from flowbook.flows.base import Flow, Link, Symbols, union


class UnorderedFlow(Flow):
    """Children run in any order, or at the same time; none sees what another provides."""

    pattern = "unordered"

    def iter_links(self) -> Iterator[Link]:
        """Yield nothing: there is no order."""
        return iter(())

    def _merged(self, parts: list[Symbols]) -> Symbols:
        return Symbols(union(part.requires for part in parts), union(part.provides for part in parts))
