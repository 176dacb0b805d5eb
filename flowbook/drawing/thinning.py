"""Leaving lines out of a picture that has too many, so that its size and the time that it takes stay bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flowbook.drawing.model import Edge, Graph

_RANKS_CROSSED: Final = 10_000
"""Where lines cross more ranks than that together, those are left out that say nothing new about the order."""

_MOST_CROSSED: Final = 20_000
"""Where lines still cross more, the longest ones are left out too."""

_FOR_EACH_NODE: Final = 4
_TRACED: Final = 20_000  # nodes: looking for other ways takes memory by their square


def thinned(graph: Graph) -> Graph:
    """Return the graph with few enough edges for a picture; most have all.

    What goes first is an edge beside a longer way from its source to its target: the order can be seen without it.
    """
    ranks = ranks_of(graph)
    room = _FOR_EACH_NODE * len(graph.nodes)
    edges = graph.edges
    if _crossed(edges, ranks) > _RANKS_CROSSED + room and len(graph.nodes) <= _TRACED:
        edges = _without_ways_around(graph)
    if _crossed(edges, ranks) > _MOST_CROSSED + room:
        edges = _without_the_longest(edges, ranks, _MOST_CROSSED + room)
    return graph if edges is graph.edges else replace(graph, edges=edges)


def ranks_of(graph: Graph) -> dict[str, int]:
    """Return how many edges the longest way to each node has."""
    ranks = {node.id: 0 for node in graph.nodes}
    after: dict[str, list[str]] = {}
    for edge in graph.edges:
        after.setdefault(edge.source, []).append(edge.target)
    for node in graph.nodes:  # which come after those that lead to them
        for other in after.get(node.id, ()):
            ranks[other] = max(ranks[other], ranks[node.id] + 1)
    return ranks


def _crossed(edges: tuple[Edge, ...], ranks: dict[str, int]) -> int:
    return sum(ranks[edge.target] - ranks[edge.source] for edge in edges)


def _without_ways_around(graph: Graph) -> tuple[Edge, ...]:
    bits = {node.id: 1 << number for number, node in enumerate(graph.nodes)}
    before: dict[str, list[str]] = {}
    for edge in graph.edges:
        before.setdefault(edge.target, []).append(edge.source)
    far: dict[str, int] = {}  # what is before each node by two edges or more
    near: dict[str, int] = {}
    for node in graph.nodes:
        far[node.id] = near[node.id] = 0
        for source in before.get(node.id, ()):
            far[node.id] |= far[source] | near[source]
            near[node.id] |= bits[source]
    return tuple(edge for edge in graph.edges if not far[edge.target] & bits[edge.source])


def _without_the_longest(edges: tuple[Edge, ...], ranks: dict[str, int], most: int) -> tuple[Edge, ...]:
    lengths = [ranks[edge.target] - ranks[edge.source] for edge in edges]
    kept: set[int] = set()
    for number in sorted(range(len(edges)), key=lengths.__getitem__):
        most -= lengths[number]
        if most < 0:
            break
        kept.add(number)
    return tuple(edge for number, edge in enumerate(edges) if number in kept)
