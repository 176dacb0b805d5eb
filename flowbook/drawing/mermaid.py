"""A graph as a Mermaid flowchart (version 10 or newer): for pages that draw Mermaid, such as those of many forges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from flowbook.drawing.labels import counts_text, indented, shortened
from flowbook.drawing.model import Box, Edge, Graph, Inside, Kind, Node
from flowbook.drawing.palette import LOOKS, Look, leading, state_text

_ROOM: Final = 60
_TITLE_ROOM: Final = 100
_HARMLESS: Final = frozenset(" _-,.")
"""Besides letters and digits these stand in a label as they are; all else could mean something to Mermaid or HTML."""

_SHAPES: Final = {
    Kind.TASK: ('["', '"]'),
    Kind.RETRY: ('(["', '"])'),
    Kind.DECIDER: ('{"', '"}'),
    Kind.MARK: ('(("', '"))'),
    Kind.FOLDED: ('[["', '"]]'),
}


def mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart; boxes are subgraphs, edges without data are dotted."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield "---"
    yield f"title: {_quoted(graph.title)}"
    yield "---"
    yield "flowchart TD"
    for level, item in Inside(graph).nested():
        match item:
            case None:
                yield indented(level, "end")
            case Box():
                label = " · ".join((item.label, *item.notes))
                yield indented(level, f'subgraph {item.id}["{_escaped(label)}"]')
            case Node():
                yield indented(level, _node(item))
    yield from map(_edge, graph.edges)
    for state in graph.counts:
        if state in LOOKS:
            yield _class_of(state, LOOKS[state])


def _node(node: Node) -> str:
    before, after = _SHAPES[node.kind]
    lines = [" " if node.kind is Kind.MARK else _escaped(node.label)]
    state = node.state
    if node.kind is Kind.FOLDED:
        lines[0] += f": {counts_text(node.counts)}"
        state = leading(node.counts)
    told = [state_text(node.state), *node.notes]
    lines += [_escaped(" · ".join(filter(None, told)))] if any(told) else []
    style = f":::{state}" if state in LOOKS else ""
    return f"{node.id}{before}{'<br/>'.join(lines)}{after}{style}"


def _edge(edge: Edge) -> str:
    if edge.data:
        return f'  {edge.source} -->|"{_escaped(", ".join(edge.data))}"| {edge.target}'
    return f"  {edge.source} -.-> {edge.target}"


def _class_of(state: str, look: Look) -> str:
    dashes = f",stroke-dasharray:{look.dashes}" if look.dashes else ""
    fill, line, ink = look.light
    return f"  classDef {state} fill:{fill},stroke:{line},color:{ink},stroke-width:{look.width:g}px{dashes}"


def _quoted(text: str) -> str:
    """Return a text as YAML, which knows no entities; what begins a directive is written by its number."""
    quoted = json.dumps(shortened(text, _TITLE_ROOM), ensure_ascii=False)
    return "".join(char if char not in "%<>&" else f"\\u{ord(char):04x}" for char in quoted)


def _escaped(text: str) -> str:
    """Return a text whose special characters are written as Mermaid's entities, ``#35;`` for one."""
    shown = shortened(text, _ROOM)
    return "".join(char if char.isalnum() or char in _HARMLESS else f"#{ord(char)};" for char in shown)
