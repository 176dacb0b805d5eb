"""What the references read from a declared flow: order and sight, and scopes, direct successors, votes.

A *scope* is what one retry governs, itself included, and is called by the retry's name; the whole flow is the scope
`WHOLE`.
"""

from __future__ import annotations

from typing import Any

from flowbook.atoms import Atom
from flowbook.flows import Flow, GraphFlow, LinearFlow

WHOLE = ""


class NotWired(Exception):
    """The links of a graph go in a circle, or a symbol has two providers."""


class Layout:
    """Of each atom, by name: those that come ``before`` it, and whose results it sees, the nearest first."""

    def __init__(self, flow: Flow) -> None:
        self.atoms: dict[str, Atom] = {}
        self.before: dict[str, set[str]] = {}
        self.visible: dict[str, list[str]] = {}
        self._walk(flow, set(), [])
        self.behind = {name: {n for n in self.atoms if name in self.before[n]} for name in self.atoms}

    def _walk(self, item: Atom | Flow, before: set[str], visible: list[str]) -> list[str]:
        if isinstance(item, Atom):
            self.atoms[item.name], self.before[item.name] = item, before
            self.visible[item.name] = visible[::-1]
            return [item.name]
        inside: dict[Atom | Flow, list[str]] = {}
        for child, earlier in arranged(item).items():
            prior = [name for sibling in inside if sibling in earlier for name in inside[sibling]]
            inside[child] = self._walk(child, before | set(prior), visible + prior)
        return [name for names in inside.values() for name in names]


def arranged(flow: Flow) -> dict[Atom | Flow, set[Atom | Flow]]:
    """Return the children in an order that they may run in, each with all those that come before it."""
    if not isinstance(flow, GraphFlow):
        linear = isinstance(flow, LinearFlow)
        return {child: set(flow.children[:at]) if linear else set() for at, child in enumerate(flow.children)}
    linked: dict[Atom | Flow, set[Atom | Flow]] = {child: set() for child in flow.children}
    for link in flow.links:
        linked[link.target].add(link.source)
    for child in flow.children:
        for symbol in child.requires:
            givers = [c for c in flow.children if c is not child and symbol in c.provides and flow.resolves(c, child)]
            if len(givers) > 1:
                raise NotWired(child.name, symbol)
            linked[child].update(givers)
    found: dict[Atom | Flow, set[Atom | Flow]] = {}
    while len(found) < len(linked):
        child = next((c for c in linked if c not in found and linked[c] <= found.keys()), None)
        if child is None:
            raise NotWired(flow.name)
        found[child] = linked[child].union(*(found[sibling] for sibling in linked[child]))
    return found


class Scopes(Layout):
    """Of each atom: the scopes ``around`` it, inner first; the atoms right behind it (``next``); who votes on it."""

    def __init__(self, flow: Flow) -> None:
        self.around: dict[str, tuple[str, ...]] = {}
        self.flow_of: dict[str, str] = {}
        self.next: dict[str, set[str]] = {}
        self.votes: dict[str, list[tuple[str | None, Any, str]]] = {}
        self._open: tuple[str, ...] = (WHOLE,)
        self._inside: dict[Atom | Flow, list[str]] = {}
        super().__init__(flow)
        scopes = {scope for around in self.around.values() for scope in around}
        self.members = {scope: [n for n in self.atoms if scope in self.around[n]] for scope in (WHOLE, *scopes)}

    def _walk(self, item: Atom | Flow, before: set[str], visible: list[str]) -> list[str]:
        if isinstance(item, Atom):
            self.around[item.name], self.next[item.name], self.votes[item.name] = self._open, set(), []
            names = self._inside[item] = super()._walk(item, before, visible)
            return names
        retry, outer = [], self._open
        if item.retry is not None:
            self._open = (item.retry.name, *outer)
            retry = self._walk(item.retry, before, visible)
        body = super()._walk(item, before | set(retry), visible + retry)
        for name in retry:
            self.next[name] = self._first(body)
        self._connect(item)
        names = self._inside[item] = retry + body
        self.flow_of = {**dict.fromkeys(names, item.name), **self.flow_of}
        self._open = outer
        return names

    def _connect(self, flow: Flow) -> None:
        """Note which atoms of siblings come right behind each other; an empty sibling is looked through."""
        last: dict[Atom | Flow, set[str]] = {}
        for child in arranged(flow):
            before = {name for sibling in self._linked_before(flow, child) for name in last[sibling]}
            inside = self._inside[child]
            for name in before:
                self.next[name] = self.next[name] | self._first(inside)
            last[child] = {n for n in inside if not any(n in self.before[m] for m in inside)} if inside else before
        for link in flow.links if isinstance(flow, GraphFlow) else ():
            source = link.source.name if isinstance(link.source, Atom) else None
            if link.decider is not None and link.depth is not None:
                for name in self._first(self._inside[link.target]):
                    self.votes[name].append((source, link.decider, link.depth.value))

    def _first(self, names: list[str]) -> set[str]:
        return {name for name in names if self.before[name].isdisjoint(names)}

    @staticmethod
    def _linked_before(flow: Flow, child: Atom | Flow) -> list[Atom | Flow]:
        if not isinstance(flow, GraphFlow):
            at = flow.children.index(child)
            return flow.children[at - 1 : at] if isinstance(flow, LinearFlow) and at else []
        by_hand = [link.source for link in flow.links if link.target is child]
        others = [c for c in flow.children if c is not child and flow.resolves(c, child)]
        return [*by_hand, *(c for c in others if not c.provides.isdisjoint(child.requires))]
