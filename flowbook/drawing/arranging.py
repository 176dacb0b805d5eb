"""Where things stand on one level of a picture: in ranks, in an order with few crossings, as straight as can be.

Two axes, whichever way the picture runs: *along* is that in which edges lead, *across* the other one. The three steps
are those of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures", 1981:
ranks by longest paths, order within a rank by barycentres, and places by least squares (pooling adjacent violators).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Final, NamedTuple

Point = tuple[float, float]
"""A place: how far along, and how far across."""

_SWEEPS: Final = 8
_LARGE: Final = 4000  # vertices
_PLACINGS: Final = 6
_GAP: Final = 18.0
_GAP_OF_LINES: Final = 9.0
_LEAST_STEP: Final = 26.0
_MOST_STEP: Final = 110.0
_SLANT: Final = 0.1
_STRAIGHT: Final = 0.01


class Rank(Enum):
    """Where an item must stand: before or behind all others, or wherever its links let it."""

    FIRST = "first"
    ANY = "any"
    LAST = "last"


class Item(NamedTuple):
    """Something that takes room."""

    along: float
    across: float
    rank: Rank = Rank.ANY


class Link(NamedTuple):
    """A line from one item to another, by their indices, at these distances across from their middles.

    Links with the same ``trunk`` that begin at one item run together as far as they can. ``label`` is what stands on
    the line: links with the same trunk and label share it.
    """

    source: int
    target: int
    trunk: Hashable
    source_offset: float = 0.0
    target_offset: float = 0.0
    label: Item | None = None


@dataclass(slots=True)
class Arranged:
    """The middles of the items, and for each link its points and the middle of its label; all from 0 on."""

    along: float
    across: float
    items: list[Point]
    lines: list[list[Point]]
    labels: list[Point | None]


@dataclass(slots=True)
class _Vertex:
    along: float
    across: float
    rank: int
    is_line: bool = False
    at: float = 0.0  # its middle, across
    before: list[tuple[int, float, float]] = field(default_factory=list)  # vertex, its offset, the own offset
    after: list[tuple[int, float, float]] = field(default_factory=list)


def arrange(items: Sequence[Item], links: Sequence[Link]) -> Arranged:
    """Return where items and links stand. A link to an item with a lower index runs backwards; none changes ranks."""
    return _Level(items, links).arranged()


class _Level:
    def __init__(self, items: Sequence[Item], links: Sequence[Link]) -> None:
        self._items, self._links = items, links
        ranks = _ranks(items, links)
        self._vertices = [_Vertex(item.along, item.across, rank) for item, rank in zip(items, ranks, strict=True)]
        self._label_of: list[int | None] = []
        self._chains: list[list[int]] = []
        self._add_lines()
        self._layers = self._layered()

    def arranged(self) -> Arranged:
        _Order(self._vertices, self._layers).settle()
        _Places(self._vertices, self._layers).settle()
        low = min((v.at - v.across / 2 for v in self._vertices), default=0.0)
        high = max((v.at + v.across / 2 for v in self._vertices), default=0.0)
        for vertex in self._vertices:
            vertex.at -= low
        starts, ends = self._stretch()
        middles = [((starts[v.rank] + ends[v.rank]) / 2, v.at) for v in self._vertices]
        lines = [self._points(link, chain, starts, ends) for link, chain in zip(self._links, self._chains, strict=True)]
        labels = [None if label is None else middles[label] for label in self._label_of]
        return Arranged(ends[-1] if ends else 0.0, high - low, middles[: len(self._items)], lines, labels)

    def _add_lines(self) -> None:
        """Give every label a vertex, and every line one in each rank that it crosses."""
        shared: dict[tuple[Hashable, ...], int] = {}
        for link in self._links:
            if link.label is not None and link.source < link.target:
                rank = self._vertices[link.source].rank + 1
                key = ("label", link.source, link.trunk, link.label)
                self._label_of.append(self._shared(shared, key, link.label, rank))
            else:
                self._label_of.append(None)
        used = {vertex.rank for vertex in self._vertices}
        numbers = {rank: number for number, rank in enumerate(sorted(used))}
        for vertex in self._vertices:
            vertex.rank = numbers[vertex.rank]
        joined: set[tuple[int, int, float, float]] = set()
        for link, label in zip(self._links, self._label_of, strict=True):
            self._chains.append(self._chain(link, label, shared))
            self._join(link, self._chains[-1], joined)

    def _shared(self, shared: dict[tuple[Hashable, ...], int], key: tuple[Hashable, ...], size: Item, rank: int) -> int:
        if key not in shared:
            shared[key] = len(self._vertices)
            self._vertices.append(_Vertex(size.along, size.across, rank, is_line=True))
        return shared[key]

    def _chain(self, link: Link, label: int | None, shared: dict[tuple[Hashable, ...], int]) -> list[int]:
        """Return the vertices of a line from the lower to the higher rank."""
        first, last = sorted((link.source, link.target))
        chain = [first] if label is None else [first, label]
        for rank in range(self._vertices[chain[-1]].rank + 1, self._vertices[last].rank):
            key = ("line", chain[0], label, link.trunk, link.source < link.target, rank)
            chain.append(self._shared(shared, key, Item(0.0, 1.0), rank))
        return [*chain, last]

    def _join(self, link: Link, chain: list[int], joined: set[tuple[int, int, float, float]]) -> None:
        offsets = self._offsets(link)
        for at, (one, other) in enumerate(pairwise(chain)):
            leaves = offsets[0] if at == 0 else 0.0
            enters = offsets[1] if at == len(chain) - 2 else 0.0
            if (one, other, leaves, enters) not in joined:
                joined.add((one, other, leaves, enters))
                self._vertices[one].after.append((other, enters, leaves))
                self._vertices[other].before.append((one, leaves, enters))

    def _offsets(self, link: Link) -> tuple[float, float]:
        """Return where a line leaves its lower end, and where it enters the higher one."""
        if link.source < link.target:
            return link.source_offset, link.target_offset
        return link.target_offset, link.source_offset

    def _layered(self) -> list[list[int]]:
        """Return the vertices of each rank, at first in the order in which a walk from the first ones finds them."""
        layers: list[list[int]] = [[] for _ in range(max((v.rank for v in self._vertices), default=-1) + 1)]
        seen: set[int] = set()
        for root in range(len(self._items)):
            stack = [root]
            while stack:
                vertex = stack.pop()
                if vertex not in seen:
                    seen.add(vertex)
                    layers[self._vertices[vertex].rank].append(vertex)
                    stack.extend(other for other, _, _ in reversed(self._vertices[vertex].after))
        return layers

    def _stretch(self) -> tuple[list[float], list[float]]:
        """Return where each rank starts and ends along: the further lines go across, the longer they may be."""
        starts: list[float] = []
        ends: list[float] = []
        at = 0.0
        for layer in self._layers:
            starts.append(at)
            ends.append(at + max(self._vertices[one].along for one in layer))
            slants = [
                abs(self._vertices[one].at + leaves - self._vertices[other].at - enters)
                for one in layer
                for other, enters, leaves in self._vertices[one].after
            ]
            at = ends[-1] + min(_MOST_STEP, _LEAST_STEP + _SLANT * max(slants, default=0.0))
        return starts, ends

    def _points(self, link: Link, chain: list[int], starts: list[float], ends: list[float]) -> list[Point]:
        """Return the points of a line, two in each rank where it does not go straight on, in its own direction."""
        offsets = self._offsets(link)
        first, last = self._vertices[chain[0]], self._vertices[chain[-1]]
        points = [(_end(first, starts, ends), first.at + offsets[0]), (ends[first.rank], first.at + offsets[0])]
        for one in chain[1:-1]:
            vertex = self._vertices[one]
            points += [(starts[vertex.rank], vertex.at), (ends[vertex.rank], vertex.at)]
        points += [(starts[last.rank], last.at + offsets[1]), (_start(last, starts, ends), last.at + offsets[1])]
        points = _without_straight(points)
        return points if link.source < link.target else points[::-1]


def _without_straight(points: list[Point]) -> list[Point]:
    """Return the points without those that a straight line along would lead through anyway."""
    kept = points[:1]
    for at, (_, across) in enumerate(points[1:-1], 1):
        if max(abs(across - kept[-1][1]), abs(across - points[at + 1][1])) > _STRAIGHT:
            kept.append(points[at])
    return [*kept, points[-1]]


def _start(vertex: _Vertex, starts: list[float], ends: list[float]) -> float:
    return (starts[vertex.rank] + ends[vertex.rank] - vertex.along) / 2


def _end(vertex: _Vertex, starts: list[float], ends: list[float]) -> float:
    return (starts[vertex.rank] + ends[vertex.rank] + vertex.along) / 2


def _ranks(items: Sequence[Item], links: Iterable[Link]) -> list[int]:
    """Return the rank of each item: even numbers, the odd ones are for labels."""
    after: list[list[int]] = [[] for _ in items]
    for link in links:
        first, last = sorted((link.source, link.target))
        after[first].append(last)
    ranks = [0 if item.rank is Rank.FIRST else 2 for item in items]
    order = sorted(range(len(items)), key=lambda at: (list(Rank).index(items[at].rank), at))
    for at in order:
        for other in after[at]:
            ranks[other] = max(ranks[other], ranks[at] + 2)
    behind = max((rank for item, rank in zip(items, ranks, strict=True) if item.rank is not Rank.LAST), default=0) + 2
    return [behind if item.rank is Rank.LAST else rank for item, rank in zip(items, ranks, strict=True)]


def _rounds(most: int, vertices: Sequence[_Vertex]) -> int:
    """Return how often to go over all vertices: the more there are, the less often, so that time stays bounded."""
    return max(1, min(most, most * _LARGE // max(1, len(vertices))))


class _Order:
    """Puts the vertices of each rank in an order with few crossings of lines."""

    def __init__(self, vertices: list[_Vertex], layers: list[list[int]]) -> None:
        self._vertices, self._layers = vertices, layers
        self._position = [0.0] * len(vertices)
        for layer in layers:
            self._number(layer)

    def settle(self) -> None:
        """Sweep down and up a bounded number of times, and keep the best order that was seen."""
        best, least = [list(layer) for layer in self._layers], self._crossings()
        for sweep in range(_rounds(_SWEEPS, self._vertices)):
            if least == 0:
                break
            down = sweep % 2 == 0
            for layer in self._layers[1:] if down else reversed(self._layers[:-1]):
                self._sort(layer, down=down)
            crossings = self._crossings()
            if crossings < least:
                best, least = [list(layer) for layer in self._layers], crossings
        self._layers[:] = best

    def _number(self, layer: list[int]) -> None:
        for number, one in enumerate(layer):
            self._position[one] = float(number)

    def _sort(self, layer: list[int], *, down: bool) -> None:
        keys = {one: self._barycentre(one, down=down) for one in layer}
        layer.sort(key=keys.__getitem__)
        self._number(layer)

    def _barycentre(self, one: int, *, down: bool) -> float:
        vertex = self._vertices[one]
        neighbours = vertex.before if down else vertex.after
        if not neighbours:
            return self._position[one]
        return sum(self._seen_at(other, offset) for other, offset, _ in neighbours) / len(neighbours)

    def _seen_at(self, one: int, offset: float) -> float:
        across = self._vertices[one].across
        return self._position[one] + (offset / across if across else 0.0)

    def _crossings(self) -> int:
        return sum(self._crossings_behind(layer) for layer in self._layers[:-1])

    def _crossings_behind(self, layer: list[int]) -> int:
        """Count with a binary indexed tree the pairs of lines that end in another order than they begin."""
        lines = sorted(
            (self._seen_at(one, leaves), self._seen_at(other, enters))
            for one in layer
            for other, enters, leaves in self._vertices[one].after
        )
        places = {place: number for number, place in enumerate(sorted({end for _, end in lines}), 1)}
        tree = [0] * (len(places) + 1)
        crossings = 0
        for seen, (_, end) in enumerate(lines):
            number, below = places[end], 0
            while number:
                below += tree[number]
                number &= number - 1
            crossings += seen - below
            number = places[end]
            while number < len(tree):
                tree[number] += 1
                number += number & -number
        return crossings


class _Places:
    """Moves the vertices across, without changing their order, until lines are as straight as they can be."""

    def __init__(self, vertices: list[_Vertex], layers: list[list[int]]) -> None:
        self._vertices, self._layers = vertices, layers

    def settle(self) -> None:
        """Let each rank follow the one before and the one behind it in turn."""
        for layer in self._layers:
            self._place(layer, [(0.0, 1.0)] * len(layer))
        for _ in range(_rounds(_PLACINGS, self._vertices)):
            for layer in self._layers[1:]:
                self._place(layer, [self._wish(self._vertices[one], before=1.0, after=0.0) for one in layer])
            for layer in reversed(self._layers[:-1]):
                self._place(layer, [self._wish(self._vertices[one], before=0.0, after=1.0) for one in layer])
        for layer in self._layers:
            self._place(layer, [self._wish(self._vertices[one], before=1.0, after=1.0) for one in layer])

    def _wish(self, vertex: _Vertex, *, before: float, after: float) -> tuple[float, float]:
        """Return where a vertex would stand if it were alone, and how much that counts."""
        total = weights = 0.0
        for neighbours, factor in ((vertex.before, before), (vertex.after, after)):
            for other, offset, own in neighbours if factor else ():
                neighbour = self._vertices[other]
                weight = factor * (1 + 3 * vertex.is_line) * (1 + 3 * neighbour.is_line)
                total += weight * (neighbour.at + offset - own)
                weights += weight
        return (total / weights, weights) if weights else (vertex.at, 0.01)

    def _place(self, layer: list[int], wishes: list[tuple[float, float]]) -> None:
        """Give each vertex the place nearest to its wish that leaves room for all, by least squares."""
        room = 0.0
        rooms: list[float] = []
        blocks: list[tuple[float, float, int]] = []  # place, weight, how many stand in it
        earlier: _Vertex | None = None
        for one, (wish, weight) in zip(layer, wishes, strict=True):
            vertex = self._vertices[one]
            if earlier is not None:
                gap = _GAP_OF_LINES if vertex.is_line or earlier.is_line else _GAP
                room += (earlier.across + vertex.across) / 2 + gap
            rooms.append(room)
            earlier = vertex
            place, count = wish - room, 1
            while blocks and blocks[-1][0] >= place:
                other, other_weight, others = blocks.pop()
                place = (place * weight + other * other_weight) / (weight + other_weight)
                weight, count = weight + other_weight, count + others
            blocks.append((place, weight, count))
        at = 0
        for place, _, count in blocks:
            for _ in range(count):
                self._vertices[layer[at]].at = place + rooms[at]
                at += 1
