"""TaskFlow's ``types.graph``: networkx's graphs, which all keep the order of insertion, with a few methods more."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeAlias

import networkx as nx  # it has no types: a node is anything hashable, and what comes with it Any

_DOT_WORDS = frozenset(("digraph", "edge", "graph", "node", "strict", "subgraph"))


class Graph(nx.Graph):  # type: ignore[misc]
    """A graph without directions."""

    frozen = False  # until networkx sets it

    def freeze(self) -> Self:
        """Let nothing change the graph any more; return it."""
        nx.freeze(self)
        return self

    def export_to_dot(self) -> str:
        """Return the graph in Graphviz's language; pydot is not needed for it."""
        kind, arrow = ("digraph", "->") if self.is_directed() else ("graph", "--")
        nodes = (f"{_quoted(node)}{_attributes(data)};" for node, data in self.nodes(data=True))
        edges = (f"{_quoted(u)} {arrow} {_quoted(v)}{_attributes(data)};" for u, v, data in self.edges(data=True))
        return "\n".join([f"strict {kind} {json.dumps(self.name)} {{", *nodes, *edges, "}", ""])


def _attributes(data: dict[str, Any]) -> str:
    return f" [{', '.join(f'{_quoted(key)}={_quoted(value)}' for key, value in data.items())}]" if data else ""


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isdecimal() or (text.isidentifier() and text.lower() not in _DOT_WORDS)
    return text if plain else json.dumps(text, ensure_ascii=False)


class DiGraph(Graph, nx.DiGraph):  # type: ignore[misc]
    """A graph with directions."""

    def is_directed_acyclic(self) -> bool:
        """Say whether no path leads back to where it began."""
        return bool(nx.is_directed_acyclic_graph(self))

    def no_successors_iter(self) -> Iterator[Any]:
        """Yield the nodes at the ends."""
        return (node for node in self if not self.succ[node])

    def no_predecessors_iter(self) -> Iterator[Any]:
        """Yield the nodes at the beginnings."""
        return (node for node in self if not self.pred[node])


OrderedGraph: TypeAlias = Graph
OrderedDiGraph: TypeAlias = DiGraph


def merge_graphs(
    graph: Any,
    *graphs: Any,
    allow_overlaps: bool = False,
    overlap_detector: Callable[[Any, Any], int] = lambda to_graph, from_graph: len(to_graph.nodes & from_graph.nodes),
) -> Any:
    """Return the first graph, copied, with all nodes and edges; ValueError for what ``overlap_detector`` counts."""
    if not callable(overlap_detector):
        raise ValueError(f"what counts overlaps cannot be called: {overlap_detector!r}")
    if not graphs:
        return graph
    merged = graph.copy()
    for each in graphs:
        if not allow_overlaps and (common := overlap_detector(merged, each)):
            raise ValueError(f"{common} node(s) of {each} are in {graph} already")
        merged.update(each.edges(data=True), each.nodes(data=True))
    return merged
