"""Places for the nodes of a directed graph: in layers, every edge downwards, with few crossings.

Source: Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures",
IEEE Transactions on Systems, Man, and Cybernetics 11(2), 1981. Edges over several layers are cut by *bends*,
which take a place in each layer between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

SWEEPS = 24
BEND_WIDTH = 14.0

Graph = Mapping[str, Sequence[str]]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the nodes' middles are, and over which points each edge leads; the first layer has the height 0."""

    nodes: Mapping[str, Point]
    edges: Mapping[tuple[str, str], Sequence[Point]]


def arrange(graph: Graph, widths: Mapping[str, float], *, gap: float, layer_height: float) -> Layout:
    """Return the places of the nodes of ``graph``, which are ``widths`` wide and ``gap`` apart."""
    heights = _heights(graph)
    top = max(heights.values(), default=0)
    layers: list[list[str]] = [[] for _ in range(top + 1)]
    for node in sorted(heights):
        layers[top - heights[node]].append(node)
    chains = {edge: _chain(edge, layers, top, heights) for edge in _edges(graph)}
    neighbours = _Neighbours(chains.values())
    layers = _with_few_crossings(layers, neighbours)
    xs = _straightened(layers, neighbours, widths, gap)
    place = {node: (xs[node], n * layer_height) for n, layer in enumerate(layers) for node in layer}
    return Layout(
        {node: place[node] for node in heights},
        {edge: [place[node] for node in chain] for edge, chain in chains.items()},
    )


def _edges(graph: Graph) -> list[tuple[str, str]]:
    return [(source, target) for source, targets in sorted(graph.items()) for target in targets]


def _heights(graph: Graph) -> dict[str, int]:
    """Return each node's layer, counted from below: one above the highest node that it leads to.

    Within a circle, edges count as if each led from the earlier name to the later one.
    """
    components = nx.strongly_connected_components(nx.DiGraph(graph))
    circle_of = {node: number for number, nodes in enumerate(components) for node in nodes}
    down = nx.DiGraph()
    down.add_nodes_from(graph)
    for source, target in _edges(graph):
        turned = circle_of[source] == circle_of[target] and target < source
        down.add_edge(*((target, source) if turned else (source, target)))
    heights: dict[str, int] = {}
    for node in reversed(list(nx.topological_sort(down))):
        heights[node] = 1 + max((heights[target] for target in down[node]), default=-1)
    return heights


def _chain(edge: tuple[str, str], layers: list[list[str]], top: int, heights: Mapping[str, int]) -> list[str]:
    """Return the nodes that an edge leads over, with a new bend in each layer between its ends."""
    source, target = edge
    start, end = top - heights[source], top - heights[target]
    step = 1 if start < end else -1
    chain = [source]
    for layer in range(start + step, end, step):
        bend = f"{source} {target} {layer}"
        layers[layer].append(bend)
        chain.append(bend)
    return [*chain, target]


class _Neighbours:
    """Who is linked to whom, in the layer above (``up``) and in the one below (``down``)."""

    def __init__(self, chains: Iterable[Sequence[str]]) -> None:
        self.linked: dict[str, set[str]] = {}
        for chain in chains:
            for one, other in pairwise(chain):
                self.linked.setdefault(one, set()).add(other)
                self.linked.setdefault(other, set()).add(one)

    def within(self, node: str, layer: Mapping[str, int]) -> list[int]:
        """Return the positions of the node's neighbours in one layer."""
        return sorted(layer[other] for other in self.linked.get(node, ()) if other in layer)


def _with_few_crossings(layers: list[list[str]], neighbours: _Neighbours) -> list[list[str]]:
    """Return the layers ordered by sweeps over them, each node put to the middle of its neighbours; the best of all."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, neighbours)
    for sweep in range(SWEEPS):
        order = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        for n in order:
            fixed = _positions(layers[n - 1 if sweep % 2 == 0 else n + 1])
            layers[n] = _by_middles(layers[n], fixed, neighbours)
        crossings = _crossings(layers, neighbours)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _positions(layer: Sequence[str]) -> dict[str, int]:
    return {node: position for position, node in enumerate(layer)}


def _by_middles(layer: Sequence[str], fixed: Mapping[str, int], neighbours: _Neighbours) -> list[str]:
    scale = len(fixed) / max(1, len(layer))

    def middle(position: int, node: str) -> float:
        places = neighbours.within(node, fixed)
        return sum(places) / len(places) if places else position * scale

    keys = {node: (middle(position, node), position) for position, node in enumerate(layer)}
    return sorted(layer, key=keys.__getitem__)


def _crossings(layers: Sequence[Sequence[str]], neighbours: _Neighbours) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        positions = _positions(lower)
        ends: list[int] = []
        for node in upper:
            found = neighbours.within(node, positions)
            count += sum(end > other for other in found for end in ends)
            ends += found
    return count


def _straightened(
    layers: Sequence[Sequence[str]], neighbours: _Neighbours, widths: Mapping[str, float], gap: float
) -> dict[str, float]:
    """Return how far right each node is: near the middle of its neighbours, in the order of its layer."""
    xs: dict[str, float] = {}
    offsets = {n: _offsets(layer, widths, gap) for n, layer in enumerate(layers)}
    for n, layer in enumerate(layers):
        middle = offsets[n][-1] / 2 if layer else 0.0
        xs.update({node: at - middle for node, at in zip(layer, offsets[n], strict=True)})
    for sweep in range(SWEEPS):
        order = range(len(layers)) if sweep % 2 == 0 else range(len(layers) - 1, -1, -1)
        for n in order:
            wanted = [_wish(node, xs, neighbours) for node in layers[n]]
            xs.update(zip(layers[n], _apart(wanted, offsets[n]), strict=True))
    return xs


def _offsets(layer: Sequence[str], widths: Mapping[str, float], gap: float) -> list[float]:
    """Return how far each node of a layer is from the first when they stand as close as they may."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        offsets.append(offsets[-1] + (widths.get(left, BEND_WIDTH) + widths.get(right, BEND_WIDTH)) / 2 + gap)
    return offsets[: len(layer)]


def _wish(node: str, xs: Mapping[str, float], neighbours: _Neighbours) -> float:
    others = sorted(xs[other] for other in neighbours.linked.get(node, ()))
    return sum(others) / len(others) if others else xs[node]


def _apart(wanted: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the places nearest to those ``wanted`` at which nobody is closer than ``offsets`` allow.

    Places less offsets must not fall: least squares under that order are found by pooling neighbours that violate it.
    Source: Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete Information", Annals of
    Mathematical Statistics 26(4), 1955.
    """
    pools: list[tuple[float, int]] = []  # sum, count
    for place, offset in zip(wanted, offsets, strict=True):
        total, count = place - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            more, many = pools.pop()
            total, count = total + more, count + many
        pools.append((total, count))
    means = [total / count for total, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
