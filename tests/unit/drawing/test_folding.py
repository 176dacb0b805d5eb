"""What is too much for a picture is drawn as one node that counts what it stands for."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flowbook.drawing import Box, Edge, Graph, Kind, Node, fold, fold_to
from unit.drawing.samples import batches, chain, fan, nested


def test_a_box_becomes_a_node_that_counts_its_atoms_by_state() -> None:
    folded = fold(batches(2, 40), 0)
    assert [(node.label, node.kind, node.counts) for node in folded.nodes] == [
        ("batch 0", Kind.FOLDED, (("SUCCESS", 39), ("FAILURE", 1))),
        ("batch 1", Kind.FOLDED, (("SUCCESS", 39), ("FAILURE", 1))),
    ]
    assert folded.edges == (Edge("f0", "f1"),)
    assert folded.boxes == ()
    assert folded.atoms == 80
    assert folded.counts == {"SUCCESS": 78, "FAILURE": 2}


def test_boxes_above_the_depth_stay_and_edges_keep_their_data() -> None:
    folded = fold(nested(), 1)
    assert [box.id for box in folded.boxes] == ["f1"]
    assert [(node.id, node.box) for node in folded.nodes if node.kind is Kind.FOLDED] == [("f2", "f1")]
    assert Edge("a0", "f2", ("order",)) in folded.edges
    assert Edge("f2", "d0", ("receipt",)) in folded.edges
    assert folded.folded_below == 1


def test_a_depth_that_is_deep_enough_changes_nothing() -> None:
    graph = nested()
    assert fold(graph, 2) is graph


def test_a_small_graph_is_not_folded() -> None:
    graph = nested()
    assert fold_to(graph) is graph


def test_a_large_graph_is_folded_as_deep_as_fits() -> None:
    boxes = [Box("out", "out")] + [Box(f"f{number}", f"in {number}", "out") for number in range(5)]
    nodes = [Node(f"a{box}_{atom}", "t", box=f"f{box}") for box in range(5) for atom in range(20)]
    folded = fold_to(Graph("g", tuple(nodes), (), tuple(boxes)), 50)
    assert [box.id for box in folded.boxes] == ["out"]
    assert len(folded.nodes) == 5
    assert folded.atoms == 100


def test_one_box_around_all_is_never_all_that_is_left() -> None:
    nodes = tuple(Node(f"a{number}", f"t{number}", box="f0") for number in range(1000))
    edges = tuple(Edge(f"a{number}", f"a{number + 1}") for number in range(999))
    folded = fold_to(Graph("g", nodes, edges, (Box("f0", "all"),)))
    assert [(node.label, node.box) for node in folded.nodes] == [("t0", "f0"), ("t1 … t998", "f0"), ("t999", "f0")]
    assert folded.edges == (Edge("a0", "all_a1"), Edge("all_a1", "a999"))


def test_a_long_row_becomes_its_ends_and_a_node_that_counts_what_is_between() -> None:
    folded = fold_to(chain(10_000, "SUCCESS"))
    assert [(node.label, node.atoms) for node in folded.nodes] == [("a-0", 1), ("a-1 … a-9998", 9998), ("a-9999", 1)]
    assert folded.nodes[1].counts == (("SUCCESS", 9998),)
    assert folded.edges == (Edge("a0", "all_a1", ("x0",)), Edge("all_a1", "a9999", ("x9998",)))


def test_what_failed_in_a_long_row_stands_alone() -> None:
    graph = chain(600, "SUCCESS")
    nodes = [replace(node, state="PENDING" if at > 400 else node.state) for at, node in enumerate(graph.nodes)]
    nodes[400] = replace(nodes[400], state="FAILURE")
    folded = fold_to(replace(graph, nodes=tuple(nodes)))
    assert [(node.label, node.counts or node.state) for node in folded.nodes] == [
        ("a-0 … a-399", (("SUCCESS", 400),)), ("a-400", "FAILURE"), ("a-401 … a-599", (("PENDING", 199),)),
    ]  # fmt: skip


def test_rows_that_become_alike_are_drawn_as_one() -> None:
    rows = range(600)
    nodes = (Node("first", "first"), *(Node(f"a{row}_{at}", f"t{row}-{at}") for row in rows for at in range(3)))
    edges = [Edge("first", f"a{row}_0") for row in rows]
    edges += [Edge(f"a{row}_{at}", f"a{row}_{at + 1}") for row in rows for at in range(2)]
    folded = fold_to(Graph("rows", nodes, tuple(edges)))
    assert [(node.label, node.atoms) for node in folded.nodes] == [("first", 1), ("t0-0 … t599-2", 1800)]


@st.composite
def tangles(draw: st.DrawFn) -> Graph:
    """Draw a graph of atoms, retries and marks without a circle, nodes in the order of its edges."""
    count = draw(st.integers(2, 60))
    kinds = st.sampled_from([Kind.TASK, Kind.TASK, Kind.TASK, Kind.RETRY, Kind.MARK])
    states = st.sampled_from([None, "SUCCESS", "FAILURE"])
    nodes = tuple(Node(f"a{at}", f"t{at}", draw(kinds), state=draw(states)) for at in range(count))
    pairs = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=200))
    return Graph("g", nodes, tuple(Edge(f"a{one}", f"a{other}") for one, other in sorted(pairs) if one < other))


@given(graph=tangles(), most=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_whatever_its_shape_a_graph_is_folded_to_as_many_nodes_as_were_asked_for(graph: Graph, most: int) -> None:
    folded = fold_to(graph, most)
    assert len(folded.nodes) <= max(most, 1)
    assert (folded.atoms, folded.counts) == (graph.atoms, graph.counts)
    places = {node.id: place for place, node in enumerate(folded.nodes)}
    assert len(places) == len(folded.nodes)
    assert all(places[edge.source] < places[edge.target] for edge in folded.edges)


def test_atoms_with_the_same_neighbours_are_drawn_as_one() -> None:
    folded = fold_to(fan(5000))
    assert [(node.label, node.atoms) for node in folded.nodes] == [
        ("split", 1), ("part-1 … part-5000", 5000), ("join", 1),
    ]  # fmt: skip
    assert folded.edges == (Edge("a0", "all_a1", ("parts",)), Edge("all_a1", "last"))
    assert folded.summary == "5002 atoms, some drawn together"


def test_folding_again_changes_nothing() -> None:
    folded = fold_to(fan(5000))
    assert fold_to(folded) is folded
