"""LinearFlow: one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from flowbook.flows.base import Flow, Link, Symbols, union


class LinearFlow(Flow):
    """Children run strictly in the order added; each sees what the earlier ones provide."""

    pattern = "linear"

    def iter_links(self) -> Iterator[Link]:
        """Yield one link from each child to the next."""
        return (Link(earlier, later) for earlier, later in pairwise(self.children))

    def _merged(self, parts: list[Symbols]) -> Symbols:
        unmet: set[str] = set()
        given: set[str] = set()
        for part in parts:
            needed = part.requires
            if len(given) < len(needed):
                needed -= given
            else:
                needed = needed - given
            unmet, given = union((unmet, needed)), union((given, part.provides))
        return Symbols(unmet, given)
