"""What is drawn: nodes, edges between them, and boxes around them. Every way to draw reads this and nothing else."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a node stands for."""

    TASK = "task"
    RETRY = "retry"
    DECIDER = "decider"
    MARK = "mark"  # where several ends meet several beginnings
    FOLDED = "folded"  # several atoms drawn as one


@dataclass(frozen=True, slots=True)
class Node:
    """A node, and the id of the box that it stands in (None: in no box).

    ``notes`` are shown below the label, ``details`` to those who ask for more. ``counts`` are the atoms of a folded
    node by state, or by nothing ("") where no states are known.
    """

    id: str
    label: str
    kind: Kind = Kind.TASK
    box: str | None = None
    state: str | None = None
    notes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def atoms(self) -> int:
        """How many atoms the node stands for."""
        if self.kind is Kind.FOLDED:
            return sum(count for _, count in self.counts)
        return int(self.kind in (Kind.TASK, Kind.RETRY))


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` comes before ``target``; ``data`` names what is handed over: nothing where only the order counts."""

    source: str
    target: str
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A frame around nodes and other boxes; ``parent`` is the id of the box around it."""

    id: str
    label: str
    parent: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """What is drawn under one name. A node comes after those that lead to it, a box after the one around it.

    ``run`` and ``state`` say which run's states are shown; ``folded_below`` is how many boxes deep it is drawn in full.
    """

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    boxes: tuple[Box, ...] = ()
    run: str | None = None
    state: str | None = None
    folded_below: int | None = None

    @property
    def atoms(self) -> int:
        """How many atoms there are, folded ones too."""
        return sum(node.atoms for node in self.nodes)

    @property
    def counts(self) -> dict[str, int]:
        """The atoms by state, as far as states are known."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            for state, count in node.counts or ((node.state or "", node.atoms),):
                if state and count:
                    counts[state] = counts.get(state, 0) + count
        return counts

    @property
    def title(self) -> str:
        """What stands above the picture."""
        if self.run is None:
            return self.name
        return f"{self.name} · run {self.run}" + (f" · {self.state}" if self.state else "")

    @property
    def summary(self) -> str:
        """How many atoms there are, and whether some were folded, in a line."""
        atoms = "1 atom" if self.atoms == 1 else f"{self.atoms} atoms"
        folded = any(node.kind is Kind.FOLDED for node in self.nodes)
        return atoms + (", some drawn together" if folded else "")

    def depths(self) -> dict[str, int]:
        """Return how many boxes there are around each box."""
        depths: dict[str, int] = {}
        for box in self.boxes:
            depths[box.id] = 0 if box.parent is None else depths[box.parent] + 1
        return depths


class Inside:
    """What stands in each box, in order: nodes and boxes. None is the whole picture."""

    def __init__(self, graph: Graph) -> None:
        self._boxes = {box.id: box for box in graph.boxes}
        self._parents = {box.id: box.parent for box in graph.boxes} | {node.id: node.box for node in graph.nodes}
        self._inside: dict[str | None, list[Node | Box]] = {None: []}
        for node in graph.nodes:
            self._put(node)

    def _put(self, item: Node | Box) -> None:
        while True:
            around = self._parents[item.id]
            known = around in self._inside
            self._inside.setdefault(around, []).append(item)
            if known or around is None:
                return
            item = self._boxes[around]

    def of(self, box: str | None) -> list[Node | Box]:
        """Return what stands in a box, but no boxes that are empty."""
        return self._inside.get(box, [])

    def around(self, item: str) -> Iterator[str]:
        """Yield the boxes around a node or box, the innermost first."""
        box = self._parents[item]
        while box is not None:
            yield box
            box = self._parents[box]

    def walk(self, hidden: Container[str] = ()) -> Iterator[tuple[int, Node | Box, bool]]:
        """Yield all but what is hidden, from the outside in: its depth, it, and whether it is the last in its box."""
        stack = [self._shown(None, hidden)]
        while stack:
            rest = stack[-1]
            if not rest:
                stack.pop()
                continue
            item = rest.pop()
            yield len(stack) - 1, item, not rest
            if isinstance(item, Box):
                stack.append(self._shown(item.id, hidden))

    def nested(self) -> Iterator[tuple[int, Node | Box | None]]:
        """Yield all from the outside in, each with how deep its line is indented, and None where a box ends."""
        opened = 0
        for depth, item, _ in self.walk():
            for level in range(opened, depth, -1):
                yield level, None
            yield depth + 1, item
            opened = depth + isinstance(item, Box)
        for level in range(opened, 0, -1):
            yield level, None

    def _shown(self, box: str | None, hidden: Container[str]) -> list[Node | Box]:
        return [item for item in reversed(self.of(box)) if item.id not in hidden]


def without_repeats(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Return the edges, those between the same nodes made one with the data of all; none leads to where it begins."""
    data: dict[tuple[str, str], dict[str, None]] = {}
    for edge in edges:
        if edge.source != edge.target:
            data.setdefault((edge.source, edge.target), {}).update(dict.fromkeys(edge.data))
    return tuple(Edge(*ends, tuple(names)) for ends, names in data.items())
