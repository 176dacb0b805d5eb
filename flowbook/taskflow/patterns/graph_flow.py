"""TaskFlow's graph flows, which are flowbook's `GraphFlow`: here all links are made as children are added."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Self

import networkx

import flowbook.flows as native
from flowbook.atoms import Retry
from flowbook.flows.deciders import Decider, Depth
from flowbook.taskflow import exceptions, flow
from flowbook.taskflow.flow import LINK_DECIDER, LINK_DECIDER_DEPTH, LINK_MANUAL, LINK_REASONS, Child


class Flow(flow.Flow, native.GraphFlow):
    """Children run as soon as those are done that provide what they require, or that are linked before them."""

    _target: Child | None = None  # where there is one, only what leads to it is run

    def __init__(self, name: object, retry: Retry | None = None) -> None:
        super().__init__(name, retry)
        self._graph: networkx.DiGraph[Child] = networkx.DiGraph()
        self._takers: dict[str, dict[Child, None]] = defaultdict(dict)  # by symbol; not all of them still
        self._providers: dict[str, dict[Child, None]] = defaultdict(dict)
        self._inner: list[Child] = []
        self._forget_order()

    def add(self, *nodes: Child, resolve_requires: bool = True, resolve_existing: bool = True) -> Self:
        """Add children, each once, linked behind what provides what they require, and before what still lacks theirs.

        Returns the flow itself. Raises AmbiguousDependency when several provide what a new child requires,
        DependencyFailure when links go in a circle; the flow is as it was then.
        """
        new = [node for node in dict.fromkeys(nodes) if node not in self._graph]
        for inner in self._inner:  # which may have been added to
            self._note(inner)
        try:
            for node in new:
                self._graph.add_node(node)
                if resolve_requires:
                    self._link_behind_providers(node)
                self._note(node)
                if resolve_existing:
                    self._link_before_takers(node, {node} if resolve_requires else set(new))
            passed = [node for node in new if self._graph.in_degree(node) and self._graph.out_degree(node)]
            if passed and not networkx.is_directed_acyclic_graph(self._graph):  # no circle leads through the others
                raise self._circle()
        except exceptions.DependencyFailure:
            self._graph.remove_nodes_from(new)
            raise
        self._inner += [node for node in new if isinstance(node, native.Flow)]
        self._forget_order()
        return self

    def link(self, u: Child, v: Child, decider: Decider | None = None, decider_depth: str | None = None) -> Self:
        """Let ``u`` come before ``v``, unless the decider says no, as `GraphFlow.link` has it. Returns the flow itself.

        Raises ValueError for what is no child or no decider, DependencyFailure when links would go in a circle.
        """
        self._see(u, " to link from")
        self._see(v, " to link to")
        meta: flow.Meta = {LINK_MANUAL: True}
        if decider is not None:
            depth = Depth.translate(Depth.ALL if decider_depth is None else decider_depth)
            meta |= {LINK_DECIDER: decider, LINK_DECIDER_DEPTH: depth}
        if not callable(decider) and (decider, decider_depth) != (None, None):
            raise ValueError(f"the decider {decider!r} of depth {decider_depth!r} cannot be called")
        if networkx.has_path(self._graph, v, u):
            raise self._circle()
        self._graph.add_edge(u, v, **meta)
        self._forget_order()
        return self

    def iter_links(self) -> Iterator[flow.Link]:  # type: ignore[override]  # as TaskFlow has them
        """Yield each link, made by hand or by symbols, with its metadata."""
        return iter(self._visible().edges(data=True))

    @cached_property
    def children(self) -> list[Child]:  # type: ignore[override]
        """The children that are to run, in an order that follows the links."""
        return list(networkx.topological_sort(self._visible()))

    @cached_property
    def links(self) -> list[native.Link]:  # type: ignore[override]
        """The links among them, in flowbook's words."""
        return [native.Link(u, v, m.get(LINK_DECIDER), m.get(LINK_DECIDER_DEPTH)) for u, v, m in self.iter_links()]

    def resolves(self, provider: Child, consumer: Child) -> bool:
        """Say no: symbols have linked the children already."""
        return False

    def _visible(self) -> networkx.DiGraph[Child]:
        """Return the children that are to run, and their links."""
        if self._target is None:
            return self._graph
        graph = self._graph.copy()  # a subgraph would have the order of a set
        graph.remove_nodes_from(self._graph.nodes - networkx.ancestors(graph, self._target) - {self._target})
        return graph

    def _forget_order(self) -> None:
        for name in ("children", "links"):
            self.__dict__.pop(name, None)

    def _note(self, child: Child) -> None:
        given = self.retry.provides if self.retry else ()  # for these the retry is enough
        for known, symbols in ((self._takers, child.requires), (self._providers, child.provides)):
            for symbol in symbols:
                if symbol not in given:
                    known[symbol][child] = None

    def _link_behind_providers(self, node: Child) -> None:
        for symbol in sorted(node.requires):
            providers = [one for one in self._providers[symbol] if one in self._graph and symbol in one.provides]
            if len(providers) > 1:
                names = ", ".join(sorted(repr(provider.name) for provider in providers))
                raise exceptions.AmbiguousDependency(f"{node.name!r} requires {symbol!r}, which {names} provide")
            for provider in providers:
                self._imply(provider, node, symbol)

    def _link_before_takers(self, node: Child, without: set[Child]) -> None:
        for symbol in sorted(node.provides):
            for taker in self._takers[symbol]:
                wants = taker not in without and taker in self._graph and symbol in taker.requires
                if wants and not self._is_met(taker, symbol):
                    self._imply(node, taker, symbol)

    def _is_met(self, taker: Child, symbol: str) -> bool:
        """Say whether a child before ``taker`` provides what it requires."""
        before = (child for _, child in networkx.bfs_edges(self._graph, taker, reverse=True))
        return any(child in self._providers[symbol] and symbol in child.provides for child in before)

    def _imply(self, u: Child, v: Child, symbol: str) -> None:
        self._graph.add_edge(u, v)
        self._graph.edges[u, v].setdefault(LINK_REASONS, set()).add(symbol)

    def _circle(self) -> Exception:
        return exceptions.DependencyFailure(f"No path follows all links of flow {self.name!r}: they go in a circle")

    def _see(self, node: Child, asked: str = "") -> None:
        if node not in self._graph:
            raise ValueError(f"Node {node} of flow {self.name!r} was not found{asked}")


class TargetedFlow(Flow):
    """A graph flow of which only that may be run which leads to a target."""

    def set_target(self, target_node: Child | None) -> None:
        """Leave out every child that does not come before ``target_node``. Raises ValueError when it is no child."""
        if target_node is not None:
            self._see(target_node)
        self._target = target_node
        self._forget_order()

    def reset_target(self) -> None:
        """Run all children again."""
        self.set_target(None)
