"""TaskFlow's unordered flow, which is flowbook's `UnorderedFlow`."""

from flowbook.flows import UnorderedFlow
from flowbook.taskflow import flow


class Flow(flow.Flow, UnorderedFlow):
    """Children run in any order, or at the same time; none sees what another provides."""
