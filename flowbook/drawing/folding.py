"""Folding: a box with all in it, atoms that differ by name alone, or many in a row become a node that counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from flowbook.drawing.model import Edge, Graph, Inside, Kind, Node, without_repeats
from flowbook.drawing.palette import leading

ATOMS_SHOWN: Final = 500
"""Above this many nodes a picture is folded unless somebody asks for all of it."""

_ALIKE: Final = 10
"""How many atoms must be alike for a node that stands for all of them."""

_BETWEEN: Final = " … "


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
    """Return the graph with at most so many nodes: as deep as possible.

    When its outermost boxes are folded and there are still more, atoms with the same neighbours are drawn as one, then
    those in a row that have the same state; and if that is not enough, as many as it takes that follow each other.
    """
    if len(graph.nodes) <= nodes:
        return graph
    graph = fold(graph, _deepest(graph, nodes))
    for folded in (_alike_folded, _rows_folded, _alike_folded, partial(_pieces_folded, nodes=nodes)):
        if len(graph.nodes) > nodes:
            graph = folded(graph)
    return graph


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
    before, after = _neighbours(graph)
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in graph.nodes:
        if node.kind in (Kind.TASK, Kind.FOLDED):
            neighbours = (frozenset(before.get(node.id, ())), frozenset(after.get(node.id, ())))
            groups.setdefault((node.box, *neighbours), []).append(node)
    return _with_groups(graph, [group for group in groups.values() if len(group) >= _ALIKE])


def _rows_folded(graph: Graph) -> Graph:
    """Fold nodes of the same state and box, each of which leads to the next one only, and that comes from it only."""
    before, after = _neighbours(graph)
    nodes = {node.id: node for node in graph.nodes}
    rows: dict[str, list[Node]] = {}  # by the last node
    for node in graph.nodes:
        sources = before.get(node.id, ())
        last = nodes[sources[0]] if len(sources) == 1 and len(after[sources[0]]) == 1 else None
        row = rows.pop(last.id) if last is not None and _can_be_one(last, node) else []
        row.append(node)
        rows[node.id] = row
    whole = len(rows) == 1  # then its ends stay: one node is no picture
    return _with_groups(graph, [row[1:-1] if whole else row for row in rows.values()])


def _can_be_one(one: Node, other: Node) -> bool:
    kinds = {one.kind, other.kind} <= {Kind.TASK, Kind.FOLDED}
    return kinds and one.box == other.box and leading(_counts([one])) == leading(_counts([other]))


def _pieces_folded(graph: Graph, nodes: int) -> Graph:
    """Fold pieces of equal length of all nodes in their order, which edges follow: so pieces never form a circle."""
    each = -(-len(graph.nodes) // nodes)
    return _with_groups(graph, [graph.nodes[at : at + each] for at in range(0, len(graph.nodes), each)])


def _neighbours(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what leads to each node, and what each one leads to."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for edge in graph.edges:
        before.setdefault(edge.target, []).append(edge.source)
        after.setdefault(edge.source, []).append(edge.target)
    return before, after


def _with_groups(graph: Graph, groups: Iterable[Sequence[Node]]) -> Graph:
    """Return the graph with each group of several nodes as one."""
    becomes: dict[str, str] = {}
    folded: dict[str, Node] = {}
    for group in groups:
        if len(group) < 2:
            continue
        node = _all_of(group)
        folded[node.id] = node
        becomes |= {one.id: node.id for one in group}
    return _replaced(graph, becomes, folded) if becomes else graph


def _all_of(group: Sequence[Node]) -> Node:
    atoms = [node for node in group if node.atoms] or group
    first, last = _ends(atoms[0])[0], _ends(atoms[-1])[-1]
    label = first if first == last else f"{first}{_BETWEEN}{last}"
    return Node(f"all_{group[0].id}", label, Kind.FOLDED, group[0].box, counts=_counts(group))


def _ends(node: Node) -> list[str]:
    """Return the name of a node, or the first and the last one of those that it stands for already."""
    return node.label.split(_BETWEEN) if node.kind is Kind.FOLDED else [node.label]


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
