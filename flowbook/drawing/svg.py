"""A graph as SVG: a picture of its own that needs no program but a browser, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from flowbook.drawing.arranging import Point
from flowbook.drawing.labels import cells, counts_text, one_line, shortened
from flowbook.drawing.layout import Frame, Layout, Line, Measures, Size, lay_out, runs_sideways
from flowbook.drawing.model import Box, Graph, Kind, Node
from flowbook.drawing.palette import (
    BOX,
    BOX_DARK,
    LOOKS,
    PAPER,
    PAPER_DARK,
    Colours,
    Look,
    leading,
    look_of,
    state_text,
)
from flowbook.drawing.thinning import thinned

_LABEL_ROOM: Final = 30  # columns
_NOTE_ROOM: Final = 36
_DATA_ROOM: Final = 24
_BOX_ROOM: Final = 60
_DETAILS: Final = 25  # lines
_LABEL_COLUMN: Final = 7.9  # pixels: of a monospaced font of 13 pixels
_NOTE_COLUMN: Final = 6.7
_DATA_COLUMN: Final = 6.1
_MARGIN: Final = 20.0
_TITLE: Final = 52.0
_LEGEND: Final = 44.0
_LEAST_WIDTH: Final = 360.0
_MARK: Final = 10.0

_STYLE: Final = """
.fb{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.fb text{stroke:none}
.fb .title{font:600 16px system-ui,sans-serif}
.fb .summary,.fb .legend{font:12px system-ui,sans-serif}
.fb .label{font-size:13px;font-weight:600;text-anchor:middle}
.fb .note{font-size:11px;text-anchor:middle}
.fb .data{font-size:10px;text-anchor:middle}
.fb .head{font-size:12px;font-weight:600}
.fb .line{fill:none;stroke-width:1.3}
.fb .order{stroke-dasharray:5 4}
.fb .frame{stroke-width:1.2}
"""


def svg(graph: Graph, *, sideways: bool | None = None) -> str:
    """Return the graph as an SVG document; ``sideways`` draws it from left to right (None: where that fits better)."""
    whole, graph = graph, thinned(graph)
    measures = _measures(graph)
    sideways = runs_sideways(graph) if sideways is None else sideways
    layout = lay_out(graph, measures, sideways=sideways)
    legend = list(_legend(graph))
    width = max(layout.width, _LEAST_WIDTH, 8.6 * cells(_shown_title(graph)), _legend_width(legend)) + 2 * _MARGIN
    height = layout.height + _TITLE + _LEGEND + 2 * _MARGIN
    left = (width - layout.width) / 2
    body = [
        f'<g transform="translate({left:.1f} {_TITLE + _MARGIN:.1f})">',
        *_boxes(graph, layout),
        *(_line(line, sideways=sideways) for line in layout.lines),
        *_labels(layout),
        *(_node(node, layout.nodes[node.id]) for node in graph.nodes),
        "</g>",
        *_legend_items(legend, height - _LEGEND / 2),
    ]
    title = f'<text class="title" x="{_MARGIN:g}" y="30">{escape(_shown_title(graph))}</text>'
    summary = f'<text class="summary" x="{_MARGIN:g}" y="49">{escape(_told(graph, len(whole.edges)))}</text>'
    states = sorted({_state_of(node) or "" for node in graph.nodes})
    return _document(one_line(graph.title), width, height, states, [title, summary, *body])


def svg_of_text(title: str, text: str) -> str:
    """Return a picture that says something, where there is no graph to draw."""
    lines = [shortened(line, 120) for line in text.splitlines()] or [""]
    width = max(_LEAST_WIDTH, max(map(cells, lines)) * _NOTE_COLUMN + 2 * _MARGIN)
    height = _TITLE + 18.0 * len(lines) + _MARGIN
    rows = [
        f'<text class="said" x="{_MARGIN:g}" y="{_TITLE + 18 * number:g}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]
    head = f'<text class="title" x="{_MARGIN:g}" y="30">{escape(shortened(title, 60))}</text>'
    return _document(one_line(title), width, height, [], [head, *rows])


def _document(title: str, width: float, height: float, states: Sequence[str], body: Sequence[str]) -> str:
    looks = {state: look_of(state) for state in states}
    night = "".join(_colours(PAPER_DARK, BOX_DARK, {state: look.dark for state, look in looks.items()}))
    day = "".join(_colours(PAPER, BOX, {state: look.light for state, look in looks.items()}))
    strokes = "".join(f".fb .{_class(state)}{{{_stroke(look)}}}\n" for state, look in looks.items())
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="fb" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}{strokes}{day}@media (prefers-color-scheme:dark){{\n{night}}}</style>",
        '<defs><marker id="fb-arrow" viewBox="0 0 10 10" refX="9.5" refY="5" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 1L10 5L0 9z"/></marker></defs>',
        '<rect class="paper" width="100%" height="100%"/>',
    ]
    return "\n".join([*head, *body, "</svg>"]) + "\n"


def _colours(paper: Colours, box: Colours, states: Mapping[str, Colours]) -> Iterator[str]:
    yield f".fb .paper{{fill:{paper.fill}}}\n.fb .title,.fb .summary,.fb .legend,.fb .said{{fill:{paper.ink}}}\n"
    yield f".fb .line{{stroke:{paper.line}}}\n.fb .tip,.fb .mark{{fill:{paper.line}}}\n"
    yield f".fb .behind{{fill:{paper.fill};stroke:{paper.line};stroke-width:.6}}\n.fb .data{{fill:{paper.ink}}}\n"
    yield f".fb .frame{{fill:{box.fill};stroke:{box.line}}}\n.fb .head{{fill:{box.ink}}}\n"
    for state, colours in states.items():
        yield f".fb .{_class(state)}{{fill:{colours.fill};stroke:{colours.line}}}\n"
        yield f".fb .{_class(state)}-ink{{fill:{colours.ink}}}\n"


def _class(state: str | None) -> str:
    return f"is-{state}" if state in LOOKS else "is-any"


def _stroke(look: Look) -> str:
    dashes = f";stroke-dasharray:{look.dashes}" if look.dashes else ""
    return f"stroke-width:{look.width:g}{dashes}"


def _told(graph: Graph, edges: int) -> str:
    """Return the line below the title, which says too how many lines of so many edges are not drawn."""
    left_out = edges - len(graph.edges)
    return graph.summary + (f" · {left_out} of {edges} lines, the long ones, are left out" if left_out else "")


def _shown_title(graph: Graph) -> str:
    return shortened(graph.title, 110)


# -- how much room things take --


def _measures(graph: Graph) -> Measures:
    labels = {
        edge.data: shortened(", ".join(map(one_line, edge.data)), _DATA_ROOM) for edge in graph.edges if edge.data
    }
    return Measures(
        {node.id: _size(node) for node in graph.nodes},
        {box.id: cells(_head(box)) * 7.4 for box in graph.boxes},
        {data: (text, Size(cells(text) * _DATA_COLUMN + 12, 17.0)) for data, text in labels.items()},
    )


def _size(node: Node) -> Size:
    if node.kind is Kind.MARK:
        return Size(_MARK, _MARK)
    label, note = _texts(node)
    width = max(cells(label) * _LABEL_COLUMN, cells(note) * _NOTE_COLUMN) + 26
    if node.kind is Kind.DECIDER:
        return Size(width * 1.35, 58.0 if note else 50.0)
    return Size(max(70.0, width + 14 * (node.kind is Kind.RETRY)), 46.0 if note else 32.0)


def _texts(node: Node) -> tuple[str, str]:
    """Return the two lines of a node; without a state or notes the second one is empty."""
    if node.kind is Kind.FOLDED:
        return shortened(node.label, _LABEL_ROOM), shortened(counts_text(node.counts), 60)
    told = " · ".join(filter(None, (state_text(node.state), *map(one_line, node.notes))))
    return shortened(node.label, _LABEL_ROOM), shortened(told, _NOTE_ROOM)


def _head(box: Box) -> str:
    return shortened(" · ".join((box.label, *box.notes)), _BOX_ROOM)


def _state_of(node: Node) -> str | None:
    return leading(node.counts) if node.kind is Kind.FOLDED else node.state


# -- what is drawn --


def _boxes(graph: Graph, layout: Layout) -> Iterator[str]:
    for box in graph.boxes:
        if box.id in layout.boxes:
            header = layout.headers[box.id]
            whole = escape(one_line(" · ".join((box.label, *box.notes))))
            yield (
                f'<g id="{box.id}"><title>{whole}</title>{_rect(layout.boxes[box.id], "frame", 10)}'
                f'<text class="head" x="{header.x:.1f}" y="{header.y:.1f}">{escape(_head(box))}</text></g>'
            )


def _rect(frame: Frame, css: str, radius: float, shift: float = 0.0) -> str:
    x, y, width, height = frame
    return (
        f'<rect class="{css}" x="{x + shift:.1f}" y="{y + shift:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{radius:g}"/>'
    )


def _line(line: Line, *, sideways: bool) -> str:
    style = "line" if line.data else "line order"
    arrow = ' marker-end="url(#fb-arrow)"' if line.arrow else ""
    return f'<path class="{style}" d="{_path(line.points, sideways=sideways)}"{arrow}/>'


def _path(points: Sequence[Point], *, sideways: bool) -> str:
    """Return a path through points that leaves each one in the direction in which the picture runs."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in pairwise(points):
        if abs(x - to_x) < 0.5 and abs(y - to_y) < 0.5:
            continue  # an arrow would not know where to point
        straight = abs(y - to_y) < 0.5 if sideways else abs(x - to_x) < 0.5
        if straight:
            path += f"L{to_x:.1f} {to_y:.1f}"
        elif sideways:
            middle = (x + to_x) / 2
            path += f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        else:
            middle = (y + to_y) / 2
            path += f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
    return path


def _labels(layout: Layout) -> Iterator[str]:
    for x, y, text in layout.labels:
        width = cells(text) * _DATA_COLUMN + 10
        yield (
            f"{_rect(Frame(x - width / 2, y - 8, width, 16), 'behind', 8)}"
            f'<text class="data" x="{x:.1f}" y="{y + 3.5:.1f}">{escape(text)}</text>'
        )


def _node(node: Node, frame: Frame) -> str:
    label, note = _texts(node)
    if node.kind is Kind.MARK:
        shape = f'<circle class="mark" cx="{frame.x + 5:.1f}" cy="{frame.y + 5:.1f}" r="4"/>'
        return f'<g id="{node.id}"><title>{escape(one_line(node.label))}</title>{shape}</g>'
    css = _class(_state_of(node))
    middle = frame.x + frame.width / 2
    top = frame.y + frame.height / 2 + (-4.0 if note else 4.5)
    texts = f'<text class="label {css}-ink" x="{middle:.1f}" y="{top:.1f}">{escape(label)}</text>'
    if note:
        texts += f'<text class="note {css}-ink" x="{middle:.1f}" y="{top + 17:.1f}">{escape(note)}</text>'
    return f'<g id="{node.id}"><title>{_tooltip(node)}</title>{_shape(node, frame, css)}{texts}</g>'


def _shape(node: Node, frame: Frame, css: str) -> str:
    x, y, width, height = frame
    right, low, middle, down = x + width, y + height, x + width / 2, y + height / 2
    corners: tuple[Point, ...]
    match node.kind:
        case Kind.DECIDER:
            corners = ((middle, y), (right, down), (middle, low), (x, down))
        case Kind.RETRY:
            into, back = x + 11, right - 11
            corners = ((into, y), (back, y), (right, down), (back, low), (into, low), (x, down))
        case Kind.FOLDED:
            return _rect(frame, css, 6, shift=4.0) + _rect(frame, css, 6)
        case _:
            return _rect(frame, css, 6)
    points = " ".join(f"{at:.1f},{down:.1f}" for at, down in corners)
    return f'<polygon class="{css}" points="{points}"/>'


def _tooltip(node: Node) -> str:
    told = (node.state or counts_text(node.counts), *node.notes, *_few(node.details))
    lines = (f"{node.kind} {node.label}", *told)
    return escape("\n".join(one_line(line) for line in lines if line))


def _few(details: Sequence[str]) -> Sequence[str]:
    """Return as many details as one may want to read, the last ones too: there an error is told."""
    more = len(details) - _DETAILS
    return details if more <= 0 else (*details[: _DETAILS - 5], f"… {more} more …", *details[-5:])


# -- the legend --


def _legend(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield a class and a text for each thing to be explained."""
    for state, count in graph.counts.items():
        yield _class(state), f"{state_text(state)} {count}"
    if any(edge.data for edge in graph.edges):
        yield "line", "data"
    if any(not edge.data for edge in graph.edges):
        yield "line order", "order only"


def _legend_width(legend: Sequence[tuple[str, str]]) -> float:
    return sum(_entry_width(text) for _, text in legend)


def _entry_width(text: str) -> float:
    return 50.0 + 7.4 * cells(text)


def _legend_items(legend: Sequence[tuple[str, str]], y: float) -> Iterator[str]:
    x = _MARGIN
    for css, text in legend:
        if css.startswith("line"):
            yield f'<path class="{css}" d="M{x:.1f} {y - 4:.1f}h24"/>'
        else:
            yield _rect(Frame(x, y - 12, 22, 15), css, 4)
        yield f'<text class="legend" x="{x + 30:.1f}" y="{y:.1f}">{escape(text)}</text>'
        x += _entry_width(text)
