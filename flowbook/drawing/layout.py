"""The layout of a picture: every box is arranged for itself, from the inside out, and then is one thing.

So boxes never overlap, and no line runs through a box that it has no end in. A line that crosses the frame of a box
does so at a *port*, which stands in the first or last rank of what is in the box.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from flowbook.drawing.arranging import Arranged, Item, Link, Point, Rank, arrange
from flowbook.drawing.model import Edge, Graph, Inside
from flowbook.drawing.thinning import ranks_of

_PADDING: Final = 14.0
_HEADER: Final = 24.0
_AROUND_HEADER: Final = 10.0


class Size(NamedTuple):
    """How much room something takes."""

    width: float = 0.0
    height: float = 0.0


class Frame(NamedTuple):
    """Where something stands: its upper left corner, and its size."""

    x: float
    y: float
    width: float
    height: float


class Line(NamedTuple):
    """A line through these points; ``arrow``: it ends at a node, ``data`` is empty where only order counts."""

    points: tuple[Point, ...]
    data: tuple[str, ...]
    arrow: bool


class Label(NamedTuple):
    """What stands on lines: names of data, with the middle of the text."""

    x: float
    y: float
    text: str


class Header(NamedTuple):
    """Where the label of a box begins, and how much room there is for it."""

    x: float
    y: float
    room: float


@dataclass(slots=True)
class Layout:
    """Where everything stands, in pixels from the upper left corner."""

    width: float = 0.0
    height: float = 0.0
    nodes: dict[str, Frame] = field(default_factory=dict)
    boxes: dict[str, Frame] = field(default_factory=dict)
    headers: dict[str, Header] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)


class Measures(NamedTuple):
    """How much room nodes take, headers of boxes, and labels of lines by their text."""

    nodes: dict[str, Size]
    headers: dict[str, float]
    labels: dict[tuple[str, ...], tuple[str, Size]]


def lay_out(graph: Graph, measures: Measures, *, sideways: bool) -> Layout:
    """Return the layout of a graph that runs downwards, or with ``sideways`` from left to right."""
    return _Layouter(graph, measures, sideways=sideways).layout()


def runs_sideways(graph: Graph, *, width: float = 1200.0, height: float = 800.0) -> bool:
    """Return whether a graph is better drawn from left to right: it takes the smaller sheet of this shape."""
    by_rank = Counter(ranks_of(graph).values())
    longest, widest = len(by_rank), max(by_rank.values(), default=0)
    downwards = max(widest * 170 / width, longest * 90 / height)
    return max(longest * 240 / width, widest * 60 / height) < downwards


class _Port(NamedTuple):
    """Where lines enter or leave a box; ``end`` is the node within that they lead to, or come from."""

    enters: bool
    end: str
    data: tuple[str, ...]


class _Piece(NamedTuple):
    """The part of a line on one level; where an end is a box, at this port of it."""

    source: str
    target: str
    data: tuple[str, ...]
    from_port: _Port | None = None
    to_port: _Port | None = None
    labelled: bool = False


@dataclass(slots=True)
class _Level:
    """One box, or the whole picture: what stands in it, its ports, and the parts of lines."""

    names: list[str] = field(default_factory=list)
    ports: dict[_Port, None] = field(default_factory=dict)
    pieces: dict[_Piece, None] = field(default_factory=dict)
    arranged: Arranged | None = None
    size: Size = field(default_factory=Size)
    shift: Point = (0.0, 0.0)  # of what is in it: along, across
    header_at: float = 0.0
    first: int = 0  # of the items arranged: before them come the ports that lead in
    offsets: dict[_Port, float] = field(default_factory=dict)  # of ports from the middle of the box, across


class _Layouter:
    def __init__(self, graph: Graph, measures: Measures, *, sideways: bool) -> None:
        self._graph, self._measures, self._sideways = graph, measures, sideways
        self._inside = Inside(graph)
        self._nodes = {node.id for node in graph.nodes}
        self._levels: dict[str | None, _Level] = {}
        for box in (None, *(box.id for box in graph.boxes)):
            items = self._inside.of(box)
            if items or box is None:
                self._levels[box] = _Level([item.id for item in items])
        for edge in graph.edges:
            self._cut_up(edge)

    def layout(self) -> Layout:
        for box in reversed(self._levels):  # those within come after the ones around them
            self._arrange(box, self._levels[box])
        layout = Layout(*self._levels[None].size)
        for box, level in self._levels.items():
            frame = Frame(0.0, 0.0, *level.size) if box is None else layout.boxes[box]
            self._put_items(level, frame, layout)
            self._put_lines(level, frame, layout)
            if box is not None:
                room = frame.width - level.header_at - _AROUND_HEADER
                layout.headers[box] = Header(frame.x + level.header_at, frame.y + _HEADER * 0.75, room)
        return layout

    def _turned(self, one: float, other: float) -> Point:
        """Return (along, across) of what is wide and high, or x and y of what is along and across."""
        return (one, other) if self._sideways else (other, one)

    # -- which part of a line belongs to which box --

    def _cut_up(self, edge: Edge) -> None:
        out, into = [*self._inside.around(edge.source)], [*self._inside.around(edge.target)]
        shared = None
        while out and into and out[-1] == into[-1]:
            shared = out.pop()
            into.pop()
        source, leaves = self._way(out, edge.source, edge.data, enters=False)
        target, arrives = self._way(into, edge.target, edge.data, enters=True)
        piece = _Piece(source, target, edge.data, leaves, arrives, labelled=bool(edge.data))
        self._levels[shared].pieces[piece] = None

    def _way(self, boxes: list[str], end: str, data: tuple[str, ...], *, enters: bool) -> tuple[str, _Port | None]:
        """Lead a line through the frames of boxes, the innermost first; return what it meets outside of them."""
        port = _Port(enters, end, data)
        item, inner = end, None
        for box in boxes:
            level = self._levels[box]
            level.ports[port] = None
            at_frame = _name_of(port)
            ends = (at_frame, item, data, None, inner) if enters else (item, at_frame, data, inner, None)
            level.pieces[_Piece(*ends)] = None
            item, inner = box, port
        return item, inner

    # -- one box --

    def _arrange(self, box: str | None, level: _Level) -> None:
        into, out = ([_name_of(port) for port in level.ports if port.enters is enters] for enters in (True, False))
        numbers = {name: number for number, name in enumerate((*into, *level.names, *out))}
        level.first = len(into)
        items = [
            *(Item(0.0, 1.0, Rank.FIRST) for _ in into),
            *(Item(*self._turned(*self._size_of(name))) for name in level.names),
            *(Item(0.0, 1.0, Rank.LAST) for _ in out),
        ]
        arranged = level.arranged = arrange(items, [self._link(piece, numbers) for piece in level.pieces])
        if box is None:
            level.size = Size(*self._turned(arranged.along, arranged.across))
            return
        ports = {port: arranged.items[numbers[_name_of(port)]][1] for port in level.ports}
        header = self._measures.headers[box]
        if self._sideways:
            _frame_sideways(level, arranged, header)
        else:
            _frame_downwards(level, arranged, header, [at for port, at in ports.items() if port.enters])
        breadth = level.size.height if self._sideways else level.size.width
        level.offsets = {port: at + level.shift[1] - breadth / 2 for port, at in ports.items()}

    def _size_of(self, name: str) -> Size:
        return self._measures.nodes[name] if name in self._nodes else self._levels[name].size

    def _link(self, piece: _Piece, numbers: dict[str, int]) -> Link:
        label = Item(*self._turned(*self._measures.labels[piece.data][1])) if piece.labelled else None
        return Link(
            numbers[piece.source],
            numbers[piece.target],
            (piece.data, piece.from_port),
            0.0 if piece.from_port is None else self._levels[piece.source].offsets[piece.from_port],
            0.0 if piece.to_port is None else self._levels[piece.target].offsets[piece.to_port],
            label,
        )

    # -- all together --

    def _put_items(self, level: _Level, frame: Frame, layout: Layout) -> None:
        items = _arranged(level).items[level.first :]  # behind them come the ports that lead out
        for name, middle in zip(level.names, items, strict=False):
            x, y = self._on_paper(level, frame, middle)
            size = self._size_of(name)
            frames = layout.nodes if name in self._nodes else layout.boxes
            frames[name] = Frame(x - size.width / 2, y - size.height / 2, *size)

    def _put_lines(self, level: _Level, frame: Frame, layout: Layout) -> None:
        arranged = _arranged(level)
        labels: dict[Point, tuple[str, ...]] = {}
        for piece, line, label in zip(level.pieces, arranged.lines, arranged.labels, strict=True):
            points = [self._on_paper(level, frame, point) for point in line]
            if piece.source not in self._nodes and piece.from_port is None:
                points.insert(0, self._at_frame(frame, points[0], start=True))
            if piece.target not in self._nodes and piece.to_port is None:
                points.append(self._at_frame(frame, points[-1], start=False))
            layout.lines.append(Line(tuple(points), piece.data, piece.target in self._nodes))
            if label is not None:
                labels[label] = piece.data
        for middle, data in labels.items():
            layout.labels.append(Label(*self._on_paper(level, frame, middle), self._measures.labels[data][0]))

    def _on_paper(self, level: _Level, frame: Frame, point: Point) -> Point:
        x, y = self._turned(point[0] + level.shift[0], point[1] + level.shift[1])
        return frame.x + x, frame.y + y

    def _at_frame(self, frame: Frame, point: Point, *, start: bool) -> Point:
        """Return where a line that comes through this point meets the frame."""
        if self._sideways:
            return (frame.x if start else frame.x + frame.width), point[1]
        return point[0], (frame.y if start else frame.y + frame.height)


def _arranged(level: _Level) -> Arranged:
    if level.arranged is None:
        raise LookupError("a box is put into a picture before it was arranged")
    return level.arranged


def _frame_sideways(level: _Level, arranged: Arranged, header: float) -> None:
    """Put padding and the header around what was arranged; lines come from the left, and never meet the header."""
    width = max(arranged.along + 2 * _PADDING, header + 2 * _AROUND_HEADER)
    level.size = Size(width, arranged.across + _HEADER + 2 * _PADDING)
    level.shift = ((width - arranged.along) / 2, _HEADER + _PADDING)
    level.header_at = _AROUND_HEADER


def _frame_downwards(level: _Level, arranged: Arranged, header: float, entries: list[float]) -> None:
    """Put padding and the header around what was arranged, the header beside the lines that enter from above."""
    left, right = -_PADDING, arranged.across + _PADDING
    header_at = left + _AROUND_HEADER
    if entries and min(entries) < header_at + header + _AROUND_HEADER:
        before = min(entries) - header - 2 * _AROUND_HEADER
        behind = max(entries) + _AROUND_HEADER
        if left - before <= behind + header + _AROUND_HEADER - right:
            left, header_at = before, before + _AROUND_HEADER
        else:
            header_at = behind
    right = max(right, header_at + header + _AROUND_HEADER)
    level.size = Size(right - left, arranged.along + _HEADER + 2 * _PADDING)
    level.shift = (_HEADER + _PADDING, -left)
    level.header_at = header_at - left


def _name_of(port: _Port) -> str:
    return f"{'into' if port.enters else 'out of'} {port.end} {port.data}"
