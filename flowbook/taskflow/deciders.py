"""TaskFlow's ``deciders``: the depths are flowbook's own."""

from flowbook.flows.deciders import Depth as Depth
from flowbook.flows.deciders import pick_widest as pick_widest
