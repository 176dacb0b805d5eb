"""Flows: atoms put together in patterns that nest. Compiling them is in `flowbook.flows.compilation`."""

from flowbook.flows.base import Flow, Link
from flowbook.flows.deciders import Depth
from flowbook.flows.graph import GraphFlow
from flowbook.flows.linear import LinearFlow
from flowbook.flows.unordered import UnorderedFlow

__all__ = ["Depth", "Flow", "GraphFlow", "LinearFlow", "Link", "UnorderedFlow"]
