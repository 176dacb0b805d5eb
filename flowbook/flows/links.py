"""The links among the children of a graph flow: those that were made by hand and those that symbols imply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from flowbook.atoms.base import Atom
from flowbook.exceptions import Problem
from flowbook.flows.base import Flow
from flowbook.flows.graph import GraphFlow

Child = Atom | Flow


class Arcs:
    """The children of one graph flow in an order that follows their links.

    ``reasons`` holds the symbols for which an inferred link stands (none for one made by hand).
    """

    def __init__(self, flow: GraphFlow) -> None:
        self.order: list[Child] = list(flow.children)
        self.reasons: dict[tuple[Child, Child], set[str]] = {}
        self._before: dict[Child, list[Child]] = {child: [] for child in flow.children}
        self._after: dict[Child, list[Child]] = {child: [] for child in flow.children}
        self._providers: dict[str, list[Child]] = {}
        for child in flow.children:
            for symbol in child.provides:
                self._providers.setdefault(symbol, []).append(child)

    def add(self, source: Child, target: Child, symbol: str | None = None) -> None:
        """Link two children, once however many symbols ask for it."""
        symbols = self.reasons.get((source, target))
        if symbols is None:
            symbols = self.reasons[source, target] = set()
            self._after[source].append(target)
            self._before[target].append(source)
        if symbol is not None:
            symbols.add(symbol)

    def providers(self, symbol: str) -> Sequence[Child]:
        """Return the children that provide ``symbol``, in the order in which they were added."""
        return self._providers.get(symbol, ())

    def before(self, child: Child) -> Sequence[Child]:
        """Return the children that are linked right before ``child``."""
        return self._before[child]

    def after(self, child: Child) -> Sequence[Child]:
        """Return the children that are linked right behind ``child``."""
        return self._after[child]

    def seen_by(self, child: Child) -> list[tuple[Child, set[str]]]:
        """Return the siblings whose symbols ``child`` may read, and which symbols, farthest first.

        Only siblings before it in the graph count. Where a symbol's only provider is linked directly there is no
        search; else all that comes before ``child`` is gathered, once.
        """
        direct = set(self._before[child])
        seen: dict[Child, set[str]] = {}
        ancestors: set[Child] | None = None
        for symbol in symbols_read(child):
            for provider in self.providers(symbol):
                if provider not in direct and ancestors is None:
                    ancestors = self._ancestors(child)
                if provider in direct or (ancestors is not None and provider in ancestors):
                    seen.setdefault(provider, set()).add(symbol)
        return sorted(seen.items(), key=lambda item: self.rank[item[0]])

    def _ancestors(self, child: Child) -> set[Child]:
        found: set[Child] = set()
        waiting = list(self._before[child])
        while waiting:
            sibling = waiting.pop()
            if sibling not in found:
                found.add(sibling)
                waiting += self._before[sibling]
        return found

    def sort(self) -> list[Child]:
        """Bring the children into the order added, as far as links allow; return those of a cycle, if there is one."""
        position = {child: at for at, child in enumerate(self.order)}
        missing = {child: len(self._before[child]) for child in self.order}
        ready = [position[child] for child in self.order if not missing[child]]
        heapify(ready)
        done: list[Child] = []
        while ready:
            child = self.order[heappop(ready)]
            done.append(child)
            for successor in self._after[child]:
                missing[successor] -= 1
                if not missing[successor]:
                    heappush(ready, position[successor])
        stuck = [child for child in self.order if missing[child]]
        self.order = done + stuck
        self.rank = {child: rank for rank, child in enumerate(self.order)}
        return self._cycle(stuck) if stuck else []

    def _cycle(self, stuck: Iterable[Child]) -> list[Child]:
        left = set(stuck)
        child = next(iter(stuck))
        path: dict[Child, None] = {}
        while child not in path:
            path[child] = None
            child = next(other for other in self._before[child] if other in left)
        names = list(path)
        return [*reversed(names[names.index(child) :])]


def ordered_children(flow: GraphFlow, problems: list[Problem]) -> Arcs:
    """Return the children of ``flow`` ordered by their links; add ambiguous providers and cycles to ``problems``.

    A symbol that a child requires links its provider before it, unless one of the two was added with resolving off.
    """
    arcs = Arcs(flow)
    for link in flow.links:
        arcs.add(link.source, link.target)
    for child in flow.children:
        for symbol in sorted(child.requires):
            givers = [p for p in arcs.providers(symbol) if p is not child and flow.resolves(p, child)]
            if len(givers) > 1:
                problems.append(_ambiguous(child, symbol, givers))
            for giver in givers:
                arcs.add(giver, child, symbol)
    cycle = arcs.sort()
    if cycle:
        names = " -> ".join(repr(child.name) for child in [*cycle, cycle[0]])
        places = tuple(child.place for child in cycle)
        problems.append(Problem(f"the links of {flow.name!r} go in a circle: {names}", places, "take one link out"))
    return arcs


def _ambiguous(child: Child, symbol: str, givers: Sequence[Child]) -> Problem:
    names = ", ".join(repr(giver.name) for giver in givers)
    return Problem(
        f"{child.name!r} needs {symbol!r}, which each of {names} provides",
        (child.place, *(giver.place for giver in givers)),
        "rename what one of them provides, or add with resolve_requires=False and link by hand",
    )


def symbols_read(item: Child) -> set[str]:
    """Return every symbol that an atom, or any atom within a flow, may read."""
    symbols: set[str] = set()
    waiting: list[Child] = [item]
    while waiting:
        at = waiting.pop()
        if isinstance(at, Flow):
            waiting += at.children
            waiting += [at.retry] if at.retry is not None else []
        else:
            symbols.update(a.symbol for a in (*at.execute_arguments, *at.revert_arguments))
    return symbols
