"""A graph as text for terminals: its boxes as a tree, and for each atom what it waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from flowbook.drawing.labels import cells, counts_text, one_line, shortened
from flowbook.drawing.model import Box, Edge, Graph, Inside, Kind, Node
from flowbook.drawing.palette import leading, state_text

Paint = Callable[[str, str], str]
"""Colours a text for a state: ``paint(state, text)``; the text says the same without."""

_NAMED: Final = 3
"""How many of those that an atom waits for are named; the others are counted."""

_LEVELS_DRAWN: Final = 16
"""Deeper than this the tree counts levels instead of drawing them."""

_LEAST: Final = 16
"""Names are cut no shorter than this, however narrow the terminal is."""


class _Signs(NamedTuple):
    branch: str
    last: str
    bar: str
    space: str
    waits: str
    between: str
    ellipsis: str


_UNICODE: Final = _Signs("├─ ", "└─ ", "│  ", "   ", "←", " · ", "…")
_PLAIN: Final = _Signs("|- ", "`- ", "|  ", "   ", "<-", " - ", "...")


def text(graph: Graph, *, width: int | None = None, plain: bool = False, paint: Paint | None = None) -> str:
    """Return the graph as lines of at most ``width`` columns (None: as long as they need); ``plain`` is for ASCII.

    A line of an atom has the sign and word of its state, its name, and behind an arrow what it comes after, with the
    names of the data that it takes from there.
    """
    return "\n".join(_Writer(graph, width, plain=plain, paint=paint or _unpainted).lines())


def _unpainted(state: str, text: str) -> str:
    return text


class _Writer:
    def __init__(self, graph: Graph, width: int | None, *, plain: bool, paint: Paint) -> None:
        self._graph, self._width, self._plain, self._paint = graph, width, plain, paint
        self._signs = _PLAIN if plain else _UNICODE
        self._labels = {node.id: node.label for node in graph.nodes}
        self._before: dict[str, list[Edge]] = {}
        for edge in graph.edges:
            self._before.setdefault(edge.target, []).append(edge)
        # marks have no line: those behind them name what stands before
        self._through: dict[str, tuple[list[str], int]] = {}
        for node in graph.nodes:
            if node.kind is Kind.MARK:
                self._through[node.id] = self._sources_of(node.id)
        words = [self._state_of(node) for node in graph.nodes]
        self._state_width = max(map(cells, words), default=0)

    def lines(self) -> Iterator[str]:
        title = self._graph.title if not self._plain else self._graph.title.replace(" · ", " - ")
        yield self._cut(f"{one_line(title)} ({self._graph.summary})")
        indents = [""]
        for depth, item, last in Inside(self._graph).walk(hidden=self._through):
            del indents[depth + 1 :]
            head = self._indent(indents[depth], depth) + (self._signs.last if last else self._signs.branch)
            if isinstance(item, Box):
                yield self._cut(f"{head}{self._box_text(item)}")
            else:
                yield self._node_line(head, item)
            drawn = depth < _LEVELS_DRAWN
            deeper = self._signs.space if last else self._signs.bar
            indents.append(indents[depth] + (deeper if drawn else ""))

    def _indent(self, drawn: str, depth: int) -> str:
        return drawn if depth <= _LEVELS_DRAWN else f"{drawn}[level {depth}] "

    def _box_text(self, box: Box) -> str:
        return self._signs.between.join((f"[{one_line(box.label)}]", *map(one_line, box.notes)))

    def _state_of(self, node: Node) -> str:
        if node.kind is Kind.FOLDED:
            return state_text(leading(node.counts), plain=self._plain)
        return state_text(node.state, plain=self._plain)

    def _node_line(self, head: str, node: Node) -> str:
        word = self._state_of(node)
        column = word + " " * (self._state_width - cells(word))
        name = self._name(node)
        rest = [*map(one_line, node.notes), *self._waits(node)]
        room = None if self._width is None else max(_LEAST, self._width - cells(head) - len(column) - 2)
        shown = "  ".join((name, *rest))
        if room is not None:
            shown = shortened(shown, room, self._signs.ellipsis)
        if not self._state_width:
            return f"{head}{shown}"
        state = (leading(node.counts) if node.kind is Kind.FOLDED else node.state) or ""
        return f"{head}{self._paint(state, word)}{column[len(word) :]}  {shown}"

    def _name(self, node: Node) -> str:
        label = one_line(node.label)
        match node.kind:
            case Kind.FOLDED:
                return f"[{label}]: {counts_text(node.counts)}"
            case Kind.DECIDER:
                return f"<{label}?>"
            case Kind.RETRY:
                return f"{label} (retry)"
            case _:
                return label

    def _waits(self, node: Node) -> Iterator[str]:
        found, count = self._sources_of(node.id)
        if found:
            more = f", +{count - len(found)} more" if count > len(found) else ""
            yield f"{self._signs.waits} {', '.join(found)}{more}"

    def _sources_of(self, node: str) -> tuple[list[str], int]:
        """Return the names of the first few that lead to a node, through marks too, and how many there are."""
        found: list[str] = []
        count = 0
        for edge in self._before.get(node, ()):
            names, more = self._through.get(edge.source) or ([self._source_name(edge)], 1)
            found += names[: _NAMED - len(found)]
            count += more
        return found, count

    def _source_name(self, edge: Edge) -> str:
        data = f": {', '.join(map(one_line, edge.data))}" if edge.data else ""
        return f"{one_line(self._labels[edge.source])}{data}"

    def _cut(self, line: str) -> str:
        return line if self._width is None else shortened(line, max(_LEAST, self._width), self._signs.ellipsis)
