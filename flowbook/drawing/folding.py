"""Folding: a box with all in it, or atoms that differ by name alone, become one node that counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from flowbook.drawing.model import Edge, Graph, Inside, Kind, Node, without_repeats

ATOMS_SHOWN: Final = 500
"""Above this many nodes a picture is folded unless somebody asks for all of it."""

_ALIKE: Final = 10
"""How many atoms must be alike for a node that stands for all of them."""


def fold(graph: Graph, depth: int) -> Graph:
    """Return the graph with every box that has ``depth`` boxes or more around it drawn as one node."""
    depths = graph.depths()
    inside = Inside(graph)
    becomes: dict[str, str] = {}
    for node in graph.nodes:
        for box in inside.around(node.id):
            if depths[box] >= depth:
                becomes[node.id] = box  # the outermost one stays
    if not becomes:
        return graph
    labels = {box.id: (box.label, box.parent, box.notes) for box in graph.boxes}
    members: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.id in becomes:
            members.setdefault(becomes[node.id], []).append(node)
    folded = {
        box: Node(box, labels[box][0], Kind.FOLDED, labels[box][1], notes=labels[box][2], counts=_counts(nodes))
        for box, nodes in members.items()
    }
    shown = {box for box, level in depths.items() if level < depth}
    kept = replace(graph, boxes=tuple(box for box in graph.boxes if box.id in shown), folded_below=depth)
    return _replaced(kept, becomes, folded)


def fold_to(graph: Graph, nodes: int = ATOMS_SHOWN) -> Graph:
    """Return the graph with at most so many nodes, where folding can do that: as deep as possible.

    When its outermost boxes are folded and there are still more, atoms with the same neighbours are drawn as one.
    """
    if len(graph.nodes) <= nodes:
        return graph
    folded = fold(graph, _deepest(graph, nodes))
    return folded if len(folded.nodes) <= nodes else _alike_folded(folded)


def _deepest(graph: Graph, nodes: int) -> int:
    """Return the greatest depth of folding that leaves at most so many nodes, or the least that leaves several."""
    depths = graph.depths()
    direct = Counter(0 if node.box is None else depths[node.box] + 1 for node in graph.nodes)
    boxes = Counter(depths.values())
    shown, found = 0, None
    for depth in range(max(direct) + 1):
        left = shown + direct[depth] + boxes[depth]
        if left > nodes and found is not None:
            return found
        if left > 1:
            found = depth
        if left > nodes:
            return depth
        shown += direct[depth]
    return found or 0


def _alike_folded(graph: Graph) -> Graph:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for edge in graph.edges:
        before.setdefault(edge.target, []).append(edge.source)
        after.setdefault(edge.source, []).append(edge.target)
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in graph.nodes:
        if node.kind in (Kind.TASK, Kind.FOLDED):
            neighbours = (frozenset(before.get(node.id, ())), frozenset(after.get(node.id, ())))
            groups.setdefault((node.box, *neighbours), []).append(node)
    alike = [group for group in groups.values() if len(group) >= _ALIKE]
    becomes = {node.id: f"all_{group[0].id}" for group in alike for node in group}
    folded = {f"all_{group[0].id}": _all_of(group) for group in alike}
    return _replaced(graph, becomes, folded)


def _all_of(group: Sequence[Node]) -> Node:
    first, last = group[0], group[-1]
    label = f"{first.label} … {last.label}"
    return Node(f"all_{first.id}", label, Kind.FOLDED, first.box, counts=_counts(group))


def _counts(nodes: Sequence[Node]) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for node in nodes:
        for state, count in node.counts or ((node.state or "", node.atoms),):
            if count:
                counts[state] += count
    return tuple(counts.most_common())


def _replaced(graph: Graph, becomes: Mapping[str, str], folded: Mapping[str, Node]) -> Graph:
    """Return the graph with each folded node where the first of those stood that it stands for."""
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        new = folded[becomes[node.id]] if node.id in becomes else node
        nodes.setdefault(new.id, new)
    edges = (
        Edge(becomes.get(edge.source, edge.source), becomes.get(edge.target, edge.target), edge.data)
        for edge in graph.edges
    )
    return replace(graph, nodes=tuple(nodes.values()), edges=without_repeats(edges))
