"""A picture with very many lines leaves the long ones out, never the order."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable

import pytest

from flowbook.drawing import Edge, Graph, Node, fold_to, svg
from flowbook.drawing.thinning import ranks_of, thinned
from unit.drawing.samples import all_to_all, batches, chain, fan, nested


@pytest.mark.parametrize("graph", [nested(), fan(400), batches(20, 20), chain(3000), all_to_all(30)], ids=range(5))
def test_most_graphs_keep_all_lines(graph: Graph) -> None:
    assert thinned(graph) is graph


def test_a_line_beside_a_longer_way_is_left_out() -> None:
    graph = all_to_all(100)
    left = thinned(graph)
    assert left.edges == tuple(Edge(f"a{at}", f"a{at + 1}", (f"x{at}",)) for at in range(99))
    assert ranks_of(left) == ranks_of(graph)


def test_a_long_line_that_alone_tells_an_order_stays() -> None:
    graph = all_to_all(100)
    aside = Edge("aside", "a99", ("y",))
    left = thinned(Graph("g", (Node("aside", "aside"), *graph.nodes), (*graph.edges, aside)))
    assert aside in left.edges
    assert len(left.edges) == 100


def test_where_all_lines_tell_an_order_the_longest_go() -> None:
    row = chain(500)
    others = [Node(f"b{at}", f"b-{at}") for at in range(500)]
    edges = [Edge(other.id, f"a{at}") for other in others for at in (1, 499)]
    left = thinned(Graph("g", (*others, *row.nodes), (*row.edges, *edges)))
    kept = {(edge.source, edge.target) for edge in left.edges}
    assert {(edge.source, edge.target) for edge in row.edges} <= kept
    assert {(other.id, "a1") for other in others} <= kept
    assert len(kept) < 1100


def test_a_picture_says_how_many_lines_it_leaves_out() -> None:
    assert "100 atoms · 4851 of 4950 lines, the long ones, are left out</text>" in svg(all_to_all(100))
    assert "left out" not in svg(chain(100))


def test_a_long_straight_line_has_few_points() -> None:
    row = chain(300)
    document = svg(Graph("g", row.nodes, (*row.edges, Edge("a0", "a299", ("far",)))))
    assert max(len(re.findall("[LC]", path)) for path in re.findall(r' d="([^"]*)"', document)) < 20


def _random(before: Callable[[random.Random, int], int]) -> Graph:
    numbers = random.Random(1)
    nodes = tuple(Node(f"a{at}", f"a-{at}") for at in range(5000))
    pairs = {(before(numbers, at), at) for at in range(1, 5000) for _ in range(4)}
    return Graph("g", nodes, tuple(Edge(f"a{one}", f"a{other}", (f"x{one}",)) for one, other in sorted(pairs)))


LARGE: dict[str, Callable[[], Graph]] = {
    "in a row": lambda: chain(5000),
    "from anywhere": lambda: _random(lambda numbers, at: numbers.randrange(at)),
    "from nearby": lambda: _random(lambda numbers, at: numbers.randrange(max(0, at - 30), at)),
    "from a few": lambda: _random(lambda numbers, at: numbers.randrange(min(100, at))),
    "from the layer before": lambda: _random(
        lambda numbers, at: max(0, (at // 100 - 1) * 100 + numbers.randrange(100))
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("folds", [True, False], ids=["folded", "whole"])
@pytest.mark.parametrize("shape", LARGE)
def test_five_thousand_atoms_take_less_than_ten_seconds(shape: str, folds: bool) -> None:
    graph = LARGE[shape]()
    began = time.process_time()
    svg(fold_to(graph) if folds else graph)
    assert time.process_time() - began < 10


def test_two_hundred_atoms_that_take_from_all_before_them_make_no_large_picture() -> None:
    graph = all_to_all(200)
    began = time.process_time()
    document = svg(graph)
    assert time.process_time() - began < 2
    assert len(document) < 200_000
