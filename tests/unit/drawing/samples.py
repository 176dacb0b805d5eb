"""Graphs that the tests of pictures draw."""

from __future__ import annotations

from flowbook.drawing import Box, Edge, Graph, Kind, Node

NASTY = "a \"b\" <script>alert('1')</script> & `c` #35; %%{init}%% \\N [x]{y}\nz\x00\ufffe\u202e漢"
"""A name with all that means something to XML, Mermaid, Graphviz or a terminal."""


def nested() -> Graph:
    """Return atoms before, within and behind a box with a retry, a box in that, and a decider."""
    return Graph(
        "order",
        (
            Node("a0", "take", state="SUCCESS"),
            Node("a1", "again", Kind.RETRY, "f1", "SUCCESS"),
            Node("a2", "pay", box="f2", state="FAILURE", notes=("attempt 2",), details=("shop.py:7",)),
            Node("d0", "is_paid", Kind.DECIDER, "f1"),
            Node("a3", "ship", box="f1", state="PENDING"),
            Node("a4", "tell", state="PENDING"),
        ),
        (
            Edge("a0", "a1"),
            Edge("a0", "a2", ("order",)),
            Edge("a1", "a2"),
            Edge("a2", "d0", ("receipt",)),
            Edge("d0", "a3", ("receipt",)),
            Edge("a3", "a4", ("parcel", "bill")),
        ),
        (Box("f1", "fulfil", None, ("graph", "retry: Times")), Box("f2", "payment", "f1", ("linear",))),
        "r1",
        "FAILURE",
    )


def nasty() -> Graph:
    """Return a graph whose every text is `NASTY`."""
    nodes = (
        Node("a0", NASTY, box="f1", state="SUCCESS", notes=(NASTY,), details=(NASTY,)),
        Node("d0", NASTY, Kind.DECIDER, "f1"),
        Node("m0", NASTY, Kind.MARK),
        Node("a1", NASTY, Kind.RETRY),
    )
    edges = (Edge("a0", "d0", (NASTY,)), Edge("d0", "m0"), Edge("m0", "a1"))
    return Graph(NASTY, nodes, edges, (Box("f1", NASTY, None, (NASTY,)),), NASTY, NASTY)


def batches(count: int, each: int) -> Graph:
    """Return boxes in a row, each with atoms of which one has failed and the others not."""
    nodes = tuple(
        Node(f"a{box}_{atom}", f"t{atom}", box=f"f{box}", state="SUCCESS" if atom else "FAILURE")
        for box in range(count)
        for atom in range(each)
    )
    edges = tuple(
        Edge(f"a{box}_{atom}", f"a{box + 1}_{other}")
        for box in range(count - 1)
        for atom in range(min(2, each))
        for other in range(min(2, each))
    )
    return Graph("batches", nodes, edges, tuple(Box(f"f{box}", f"batch {box}") for box in range(count)))


def chain(count: int, state: str | None = None) -> Graph:
    """Return atoms in a row, each of which takes what the one before it gives."""
    nodes = tuple(Node(f"a{number}", f"a-{number}", state=state) for number in range(count))
    return Graph("chain", nodes, tuple(Edge(f"a{at}", f"a{at + 1}", (f"x{at}",)) for at in range(count - 1)))


def all_to_all(count: int) -> Graph:
    """Return atoms each of which takes what all before it give."""
    nodes = tuple(Node(f"a{number}", f"a-{number}") for number in range(count))
    edges = (Edge(f"a{one}", f"a{other}", (f"x{one}",)) for other in range(count) for one in range(other))
    return Graph("all to all", nodes, tuple(edges))


def fan(count: int) -> Graph:
    """Return one atom before many and one behind them, in no box."""
    middle = tuple(Node(f"a{number}", f"part-{number}", state="SUCCESS") for number in range(1, count + 1))
    edges = [Edge("a0", node.id, ("parts",)) for node in middle] + [Edge(node.id, "last") for node in middle]
    return Graph("fan", (Node("a0", "split"), *middle, Node("last", "join")), tuple(edges))
