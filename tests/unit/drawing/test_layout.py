"""Nothing in a picture lies on something else, lines run along, and any graph is laid out in time."""

from __future__ import annotations

import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbook.drawing import Box, Edge, Graph, Node
from flowbook.drawing.arranging import Item, Link, Rank, arrange
from flowbook.drawing.layout import Frame, Layout, Measures, Size, lay_out, runs_sideways
from unit.drawing.samples import batches, fan, nested


def _measures(graph: Graph) -> Measures:
    return Measures(
        {node.id: Size(40.0 + 7 * len(node.label), 30.0) for node in graph.nodes},
        {box.id: 8.0 * len(box.label) for box in graph.boxes},
        {edge.data: (", ".join(edge.data), Size(40.0, 16.0)) for edge in graph.edges},
    )


def _laid_out(graph: Graph, *, sideways: bool) -> Layout:
    return lay_out(graph, _measures(graph), sideways=sideways)


def _overlap(one: Frame, other: Frame) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    below = one.y + one.height <= other.y or other.y + other.height <= one.y
    return not beside and not below


def _within(inner: Frame, outer: Frame) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


def _check(graph: Graph, layout: Layout) -> None:
    """See that nodes are apart, in their boxes and in no other, and all on the paper."""
    paper = Frame(-0.01, -0.01, layout.width + 0.02, layout.height + 0.02)
    parents = {box.id: box.parent for box in graph.boxes}
    around: dict[str, set[str]] = {}
    for node in graph.nodes:
        box, around[node.id] = node.box, set()
        while box is not None:
            around[node.id].add(box)
            box = parents[box]
        frame = layout.nodes[node.id]
        assert _within(frame, paper)
        for name, other in layout.boxes.items():
            assert _within(frame, other) if name in around[node.id] else not _overlap(frame, other)
    for one, another in combinations(layout.nodes.values(), 2):
        assert not _overlap(one, another)
    for label in layout.labels:
        place = Frame(label.x - 20, label.y - 8, 40, 16)
        assert not any(_overlap(place, frame) for frame in layout.nodes.values())


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a graph whose boxes hold runs of nodes, as those of flows do."""
    count = draw(st.integers(1, 14))
    boxes: list[Box] = []
    boxed: list[str | None] = [None] * count
    for number in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, count - 1))
        last = draw(st.integers(first, count - 1))
        around = {boxed[at] for at in range(first, last + 1)}
        parent = boxed[first]
        complete = parent is None or all(boxed[at] == parent for at in range(first, last + 1))
        if len(around) == 1 and complete:
            boxes.append(Box(f"f{number}", "a box " * number, parent))
            boxed[first : last + 1] = [f"f{number}"] * (last + 1 - first)
    nodes = tuple(Node(f"a{at}", "n" * draw(st.integers(1, 9)), box=boxed[at]) for at in range(count))
    pairs = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=24))
    edges = tuple(
        Edge(f"a{one}", f"a{other}", draw(st.sampled_from([(), ("x",), ("x", "y")])))
        for one, other in sorted(pairs)
        if one < other
    )
    return Graph("g", nodes, edges, tuple(boxes))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(graph=graphs(), sideways=st.booleans())
def test_no_two_things_lie_on_each_other(graph: Graph, sideways: bool) -> None:
    _check(graph, _laid_out(graph, sideways=sideways))


@pytest.mark.parametrize("sideways", [False, True], ids=["down", "sideways"])
@pytest.mark.parametrize("graph", [nested(), fan(30), batches(3, 5)], ids=lambda graph: graph.name)
def test_every_line_begins_and_ends_where_it_should(graph: Graph, sideways: bool) -> None:
    layout = _laid_out(graph, sideways=sideways)
    _check(graph, layout)
    along = 0 if sideways else 1
    for line in layout.lines:
        steps = [point[along] for point in line.points]
        assert steps == sorted(steps)
    arrows = {line.points[-1] for line in layout.lines if line.arrow}
    for edge in graph.edges:
        x, y, width, height = layout.nodes[edge.target]
        middle = (x, y + height / 2) if sideways else (x + width / 2, y)
        assert any(middle == pytest.approx(arrow) for arrow in arrows)


def test_a_line_against_the_order_runs_backwards_and_moves_nothing() -> None:
    items = [Item(10.0, 40.0), Item(10.0, 40.0)]
    arranged = arrange(items, [Link(0, 1, "there"), Link(1, 0, "back")])
    assert arranged.items[0][0] < arranged.items[1][0]
    there, back = arranged.lines
    assert there[0] < there[-1]
    assert back[0] > back[-1]


def test_ports_stand_before_and_behind_all_else() -> None:
    items = [Item(0.0, 1.0, Rank.FIRST), Item(10.0, 40.0), Item(10.0, 40.0), Item(0.0, 1.0, Rank.LAST)]
    arranged = arrange(items, [Link(0, 2, "in"), Link(1, 2, "x"), Link(1, 3, "out")])
    along = [place for place, _ in arranged.items]
    assert along[0] == min(along)
    assert along[3] == max(along)


def test_nothing_takes_no_room() -> None:
    assert arrange([], []).along == arrange([], []).across == 0


def test_a_row_runs_downwards_and_a_wide_fan_sideways() -> None:
    row = Graph(
        "row", tuple(Node(f"a{at}", "t") for at in range(9)), tuple(Edge(f"a{at}", f"a{at + 1}") for at in range(8))
    )
    assert not runs_sideways(row)
    assert runs_sideways(fan(30))


@pytest.mark.slow
def test_boxes_may_nest_deeper_than_python_calls() -> None:
    depth = 1500
    boxes = [Box(f"f{at}", "f", f"f{at - 1}" if at else None) for at in range(depth)]
    nodes = (Node("a0", "first"), Node("a1", "innermost", box=f"f{depth - 1}"))
    graph = Graph("deep", nodes, (Edge("a0", "a1"),), tuple(boxes))
    layout = _laid_out(graph, sideways=False)
    assert _within(layout.nodes["a1"], layout.boxes["f0"])


@pytest.mark.slow
def test_a_large_picture_takes_time_in_proportion() -> None:
    began = time.process_time()
    _laid_out(fan(2000), sideways=True)
    assert time.process_time() - began < 5
