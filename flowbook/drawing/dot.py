"""A graph in the language of Graphviz, for those who have it: ``dot -Tpdf``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from flowbook.drawing.labels import counts_text, indented, one_line, shortened
from flowbook.drawing.model import Box, Edge, Graph, Inside, Kind, Node
from flowbook.drawing.palette import leading, look_of, state_text

_ROOM: Final = 60

_SHAPES: Final = {
    Kind.TASK: {"shape": "box", "style": "rounded,filled"},
    Kind.RETRY: {"shape": "octagon", "style": "filled"},
    Kind.DECIDER: {"shape": "diamond", "style": "filled"},
    Kind.MARK: {"shape": "point", "width": "0.1"},
    Kind.FOLDED: {"shape": "box3d", "style": "filled"},
}


def dot(graph: Graph) -> str:
    """Return the graph in the language of Graphviz; boxes are clusters, edges without data are dashed."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield f"digraph {_quoted(graph.name)} {{"
    yield f"  graph{_attributes({'label': graph.title, 'labelloc': 't', 'fontname': 'sans-serif'})};"
    yield f"  node{_attributes({'fontname': 'monospace', 'fontsize': '11'})};"
    yield f"  edge{_attributes({'fontname': 'monospace', 'fontsize': '9'})};"
    for level, item in Inside(graph).nested():
        match item:
            case None:
                yield indented(level, "}")
            case Box():
                yield indented(level, f'subgraph "cluster_{item.id}" {{')
                label = " · ".join((item.label, *item.notes))
                yield indented(level + 1, f"label={_quoted(shortened(label, _ROOM))};")
            case Node():
                yield indented(level, f"{item.id}{_attributes(_looks(item))};")
    yield from map(_edge, graph.edges)
    yield "}"


def _looks(node: Node) -> Mapping[str, str]:
    folded = node.kind is Kind.FOLDED
    look = look_of(leading(node.counts) if folded else node.state)
    label = f"{node.label}: {counts_text(node.counts)}" if folded else node.label
    told = " · ".join(filter(None, (state_text(node.state), *node.notes)))
    lines = [shortened(line, _ROOM) for line in (label, told) if line]
    looks = {"label": "" if node.kind is Kind.MARK else "\n".join(lines), **_SHAPES[node.kind]}
    looks["tooltip"] = "\n".join(map(one_line, (label, *node.details)))
    if node.kind is not Kind.MARK:
        looks |= {"fillcolor": look.light.fill, "color": look.light.line, "fontcolor": look.light.ink}
        looks |= {"penwidth": f"{look.width:g}"}
        looks["style"] += ",dashed" if look.dashes else ""
    return looks


def _edge(edge: Edge) -> str:
    data = shortened(", ".join(edge.data), _ROOM)
    return f"  {edge.source} -> {edge.target}{_attributes({'label': data} if data else {'style': 'dashed'})};"


def _attributes(values: Mapping[str, str]) -> str:
    return " [" + ", ".join(f"{name}={_quoted(value)}" for name, value in values.items()) + "]"


def _quoted(text: str) -> str:
    """Return a text between quotes; line ends stay, all else that Graphviz or its HTML entities know is escaped."""
    lines = (one_line(line) for line in text.split("\n"))
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines)
    return '"' + "\\n".join(escaped) + '"'
