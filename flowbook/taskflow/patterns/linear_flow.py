"""TaskFlow's linear flow, which is flowbook's `LinearFlow`."""

from collections.abc import Iterator

from flowbook.flows import LinearFlow
from flowbook.taskflow import flow


class Flow(flow.Flow, LinearFlow):
    """Children run strictly in the order added, and are reverted the other way round."""

    def iter_links(self) -> Iterator[flow.Link]:  # type: ignore[override]  # as TaskFlow has them
        """Yield one link from each child to the next."""
        return ((link.source, link.target, {flow.LINK_INVARIANT: True}) for link in LinearFlow.iter_links(self))
