"""The picture: packages as boxes in layers, each above those that it imports, as one SVG element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import networkx as nx

from flowbook.examples.stdlib_report.layout import Layout, Point, arrange

BOX_HEIGHT = 28
LAYER_HEIGHT = 112
MARGIN = 16
GAP = 14
CHARACTER_WIDTH = 7.6

_STYLE = """
svg { --ink: #1d2226; --edge: #97a5b1; --box: #e9eff5; --rim: #56718a; --hot: #c2410c; --hot-box: #fdeee2; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6e9eb; --edge: #6b7d8c; --box: #243240; --rim: #7f9db8; --hot: #fb923c; --hot-box: #3d2716; } }
.edge { fill: none; stroke: var(--edge); stroke-width: 1.2; opacity: .75; }
.edge.circle { stroke: var(--hot); stroke-width: 1.8; opacity: 1; }
.edge:hover { stroke: var(--ink); stroke-width: 2.4; opacity: 1; }
.tip { fill: var(--edge); }
.tip.circle { fill: var(--hot); }
.box rect { fill: var(--box); stroke: var(--rim); stroke-width: 1.2; }
.box.circle rect { fill: var(--hot-box); stroke: var(--hot); }
.box text { fill: var(--ink); font: 13px system-ui, sans-serif; text-anchor: middle; }
"""


def draw(graph: Mapping[str, Sequence[str]]) -> str:
    """Return ``graph`` as an SVG element, its style inside. Nodes without edges are left out."""
    linked = {node for node, targets in graph.items() if targets} | {t for ts in graph.values() for t in ts}
    shown = {node: list(graph[node]) for node in sorted(linked)}
    widths = {node: len(node) * CHARACTER_WIDTH + 22 for node in shown}
    layout = arrange(shown, widths, gap=GAP, layer_height=LAYER_HEIGHT)
    in_circle = {
        node: number
        for number, nodes in enumerate(nx.strongly_connected_components(nx.DiGraph(shown)))
        for node in nodes
        if len(nodes) > 1
    }
    edges = [
        _edge(source, target, points, is_circle=source in in_circle and in_circle[source] == in_circle.get(target))
        for (source, target), points in layout.edges.items()
    ]
    edges.sort(key=lambda text: "circle" in text)  # on top of the others
    boxes = [_box(node, layout.nodes[node], widths[node], shown, is_circle=node in in_circle) for node in shown]
    return "\n".join([_opening(layout, widths), _definitions(), *edges, *boxes, "</svg>"])


def _opening(layout: Layout, widths: Mapping[str, float]) -> str:
    lefts = [x - widths[node] / 2 for node, (x, _) in layout.nodes.items()]
    rights = [x + widths[node] / 2 for node, (x, _) in layout.nodes.items()]
    bends = [x for points in layout.edges.values() for x, _ in points]
    left, right = min([*lefts, *bends], default=0) - MARGIN, max([*rights, *bends], default=0) + MARGIN
    height = max((y for _, y in layout.nodes.values()), default=0) + BOX_HEIGHT + 2 * MARGIN
    box = f"{left:.0f} {-BOX_HEIGHT / 2 - MARGIN:.0f} {right - left:.0f} {height:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" aria-label="Which package imports which">'
    )


def _edge(source: str, target: str, points: Sequence[Point], *, is_circle: bool) -> str:
    tip, kind = ("circle-tip", "edge circle") if is_circle else ("tip", "edge")
    title = escape(f"{source} imports {target}")
    return f'<path class="{kind}" d="{_curve(points)}" marker-end="url(#{tip})"><title>{title}</title></path>'


def _curve(points: Sequence[Point]) -> str:
    """Return a path that leaves and enters boxes upright and bends between the layers."""
    downwards = points[-1][1] > points[0][1]
    half = BOX_HEIGHT / 2 if downwards else -BOX_HEIGHT / 2
    (x, y), last = points[0], len(points) - 1
    y += half
    path = [f"M{x:.1f} {y:.1f}"]
    for position, (to_x, to_y) in enumerate(points[1:], 1):
        to_y -= half * (1.12 if position == last else 1)  # a bend is as tall as a box, and the tip stops short
        middle = (y + to_y) / 2
        path.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
        if position != last:
            y += 2 * half
            path.append(f"L{x:.1f} {y:.1f}")
    return "".join(path)


def _box(node: str, place: Point, width: float, graph: Mapping[str, Sequence[str]], *, is_circle: bool) -> str:
    x, y = place
    importers = sum(node in targets for targets in graph.values())
    title = escape(f"{node}: imports {len(graph[node])} of these packages, is imported by {importers}")
    kind = "box circle" if is_circle else "box"
    return (
        f'<g class="{kind}"><title>{title}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{y - BOX_HEIGHT / 2:.1f}" width="{width:.1f}" height="{BOX_HEIGHT}" rx="7"/>'
        f'<text x="{x:.1f}" y="{y + 4.5:.1f}">{escape(node)}</text></g>'
    )


def _definitions() -> str:
    return f"<style>{_STYLE}</style><defs>{_tip('tip', 'tip')}{_tip('circle-tip', 'tip circle')}</defs>"


def _tip(name: str, kind: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path class="{kind}" d="M0 0L8 4L0 8z"/></marker>'
    )
