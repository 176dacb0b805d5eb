"""What is too much for a picture is drawn as one node that counts what it stands for."""

from __future__ import annotations

from flowbook.drawing import Box, Edge, Graph, Kind, Node, fold, fold_to
from unit.drawing.samples import batches, fan, nested


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
    assert len(folded.nodes) == 1000


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
