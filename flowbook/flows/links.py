"""The links among the children of a graph flow: those that were made by hand and those that symbols imply."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from flowbook.atoms.base import Atom
from flowbook.exceptions import Problem
from flowbook.flows.base import Flow, Link, Symbols, union
from flowbook.flows.graph import GraphFlow

Child = Atom | Flow


class Part(NamedTuple):
    """What a child takes from outside, what it gives, and all that any atom within it may read."""

    requires: set[str]
    provides: set[str]
    reads: set[str]


class Links:
    """The links of every graph flow within one flow; what is wrong with them goes into ``problems``.

    The symbols of a flow are gathered from those of its children, once, and the largest child's are never copied:
    however deep flows nest, a symbol is looked at as often as its side was the smaller one.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._arcs: dict[int, Arcs] = {}

    def of(self, flow: GraphFlow) -> Arcs:
        """Return the links of ``flow``, which is the outermost graph flow or one within those asked for before."""
        if id(flow) not in self._arcs:
            self._gather(flow)
        return self._arcs[id(flow)]

    def _gather(self, flow: Flow) -> None:
        done: dict[int, Part] = {}  # by id of the flow; taken out, and then changed, by the flow around it
        seen = {id(flow)}
        stack = [(flow, iter(flow.children))]
        while stack:
            current, children = stack[-1]
            inner = next((child for child in children if isinstance(child, Flow) and id(child) not in seen), None)
            if inner is not None:
                seen.add(id(inner))
                stack.append((inner, iter(inner.children)))
            else:
                stack.pop()
                parts = [_part_of(c) if isinstance(c, Atom) else done.pop(id(c), _nothing()) for c in current.children]
                if isinstance(current, GraphFlow):
                    arcs = self._arcs[id(current)] = Arcs(current, parts)
                    arcs.connect(self._problems)
                if stack:  # nobody asks what the outermost takes and gives
                    done[id(current)] = self._combined(current, parts)

    def _combined(self, flow: Flow, parts: list[Part]) -> Part:
        if isinstance(flow, GraphFlow):
            part = self._arcs[id(flow)].combined()
        else:
            symbols = flow._merged([Symbols(part.requires, part.provides) for part in parts])
            part = Part(*symbols, union(part.reads for part in parts))
        if flow.retry is not None:
            retry = _part_of(flow.retry)
            part.requires.difference_update(retry.provides)
            part = Part(*(union(pair) for pair in zip(part, retry, strict=True)))
        return part


class Arcs:
    """The children of one graph flow in an order that follows their links."""

    def __init__(self, flow: GraphFlow, parts: list[Part]) -> None:
        self.order: list[Child] = list(flow.children)
        self._flow = flow
        self._before: dict[Child, dict[Child, None]] = {child: {} for child in flow.children}
        self._after: dict[Child, list[Child]] = {child: [] for child in flow.children}
        self._doubtful: set[str] = set()  # symbols that some child may read without a link from each provider
        self._made: dict[Child, list[Link]] = {}
        self.decides = any(link.decider is not None for link in flow.links)
        self._parts: dict[Child, Part] = dict(zip(flow.children, parts, strict=True))
        self._largest_child = max(self._parts, key=self._size, default=flow)
        self._largest = self._parts.get(self._largest_child, _nothing())
        if isinstance(self._largest_child, Atom):
            self._largest = Part(*map(set, self._largest))
        elif parts:  # of the largest only what concerns the others
            others = [part for part in parts if part is not self._largest]
            shared = {symbol for part in others for symbol in (*part.provides, *part.reads)}
            self._parts[self._largest_child] = Part(*(symbols & shared for symbols in self._largest))
        self._providers: dict[str, list[Child]] = {}
        for child, part in self._parts.items():
            for symbol in part.provides:
                self._providers.setdefault(symbol, []).append(child)

    def connect(self, problems: list[Problem]) -> None:
        """Link the children, by hand and by symbols; add ambiguous providers and cycles to ``problems``.

        A symbol that a child requires links its provider before it, unless one of the two was added with resolving off.
        """
        for link in self._flow.links:
            self.add(link.source, link.target)
            self._made.setdefault(link.target, []).append(link)
        resolves = None if self._flow.resolves_all else self._flow.resolves
        for child, part in self._parts.items():
            if len(part.reads) > len(part.requires):
                self._doubtful |= part.reads - part.requires
            for symbol in sorted(part.requires):
                providers = self.providers(symbol)
                givers = [p for p in providers if p is not child and (resolves is None or resolves(p, child))]
                if len(givers) < len(providers):
                    self._doubtful.add(symbol)
                if len(givers) > 1:
                    problems.append(_ambiguous(child, symbol, givers))
                for giver in givers:
                    self.add(giver, child)
        cycle = self.sort()
        if cycle:
            names = " -> ".join(repr(child.name) for child in [*cycle, cycle[0]])
            what = f"the links of {self._flow.name!r} go in a circle: {names}"
            problems.append(Problem(what, tuple(child.place for child in cycle), "take one link out"))

    def combined(self) -> Part:
        """Return what all children together take, give and read; the sets of the largest are changed for it."""
        requires, provides, reads = self._largest
        unmet = {child: part.requires - self._met(child) for child, part in self._parts.items()}
        for child, part in self._parts.items():
            if child is self._largest_child:
                requires -= part.requires
            else:
                provides |= part.provides
                reads |= part.reads
        requires.update(*unmet.values())
        return Part(requires, provides, reads)

    def _size(self, child: Child) -> int:
        return len(self._parts[child].provides) + len(self._parts[child].reads)

    def _met(self, child: Child) -> set[str]:
        return {symbol for symbol in self._parts[child].requires if any(True for _ in self._earlier(child, symbol))}

    def add(self, source: Child, target: Child) -> None:
        """Link two children, once however often it is asked for."""
        before = self._before[target]
        if source not in before:
            before[source] = None
            self._after[source].append(target)

    def providers(self, symbol: str) -> Sequence[Child]:
        """Return the children that provide ``symbol``, in the order in which they were added."""
        return self._providers.get(symbol, ())

    def before(self, child: Child) -> Collection[Child]:
        """Return the children that are linked right before ``child``."""
        return self._before[child]

    def links_to(self, child: Child) -> Sequence[Link]:
        """Return the links made by hand that lead to ``child``."""
        return self._made.get(child, ())

    def after(self, child: Child) -> Sequence[Child]:
        """Return the children that are linked right behind ``child``."""
        return self._after[child]

    def seen_by(self, child: Child) -> list[tuple[Child, set[str]]]:
        """Return the siblings whose symbols ``child`` may read, and which symbols, farthest first."""
        seen: dict[Child, set[str]] = {}
        far = self._far
        for symbol in self._parts[child].reads:
            for provider in far.providers(child, symbol) if symbol in far.masks else self.providers(symbol):
                if provider is child:
                    continue
                if provider in seen:
                    seen[provider].add(symbol)
                else:
                    seen[provider] = {symbol}
        return sorted(seen.items(), key=lambda item: self.rank[item[0]]) if len(seen) > 1 else list(seen.items())

    def _earlier(self, child: Child, symbol: str) -> Iterator[Child]:
        """Yield the siblings before ``child`` that provide ``symbol``, which it reads."""
        if symbol in self._far.masks:
            return self._far.providers(child, symbol)
        return (provider for provider in self.providers(symbol) if provider is not child)

    @cached_property
    def _far(self) -> _Far:
        """Find the symbols that some child reads without being linked to each provider, and who comes before whom.

        Of any other symbol, each provider is linked right before each reader: there is nothing to look for.
        """
        readers: dict[str, list[Child]] = {}
        asked = self._providers.keys() if self._stuck else self._doubtful & self._providers.keys()
        for child, part in self._parts.items() if asked else ():
            for symbol in part.reads & asked:
                readers.setdefault(symbol, []).append(child)
        wanted = [symbol for symbol, children in readers.items() if not self._is_near(symbol, children)]
        far = _Far({symbol: self._providers[symbol] for symbol in wanted})
        if far.masks:
            far.follow(self.order[: len(self.order) - self._stuck], self._before)
        return far

    def _is_near(self, symbol: str, readers: list[Child]) -> bool:
        """Say whether all ``readers`` are linked behind all other providers; in a cycle one may be behind itself."""
        pairs = ((provider, child) for child in readers for provider in self._providers[symbol])
        return all(
            provider in self._before[child] or (provider is child and not self._stuck) for provider, child in pairs
        )

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
        self.order, self._stuck = done + stuck, len(stuck)
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


class _Far:
    """Which of the wanted providers come before each child, near or far: one walk along the order finds it.

    Each wanted provider is a bit; a child's number has the bits of all that come before it. ``masks`` has those of
    the providers of each symbol. A child in a cycle or behind one counts as behind all, so that one mistake is not
    told as several.
    """

    def __init__(self, wanted: Mapping[str, Sequence[Child]]) -> None:
        self._wanted = list({child: None for providers in wanted.values() for child in providers})
        self._bits = {child: 1 << at for at, child in enumerate(self._wanted)}
        self.masks = {symbol: sum(self._bits[one] for one in providers) for symbol, providers in wanted.items()}
        self._before: dict[Child, int] = {}

    def follow(self, order: Iterable[Child], before: Mapping[Child, Collection[Child]]) -> None:
        """Gather what comes before each child, all of whose sources stand before it in ``order``."""
        for child in order:
            found = 0
            for source in before[child]:
                found |= self._before[source] | self._bits.get(source, 0)
            self._before[child] = found

    def providers(self, child: Child, symbol: str) -> Iterator[Child]:
        """Yield those that come before ``child`` among the providers of ``symbol``."""
        digits = f"{self._before.get(child, -1) & self.masks[symbol]:b}"[::-1]
        at = digits.find("1")
        while at >= 0:
            yield self._wanted[at]
            at = digits.find("1", at + 1)


def _ambiguous(child: Child, symbol: str, givers: Sequence[Child]) -> Problem:
    names = ", ".join(repr(giver.name) for giver in givers)
    return Problem(
        f"{child.name!r} needs {symbol!r}, which each of {names} provides",
        (child.place, *(giver.place for giver in givers)),
        "rename what one of them provides, or add with resolve_requires=False and link by hand",
    )


def _part_of(atom: Atom) -> Part:
    requires = atom.requires
    return Part(set(requires), set(atom.save_as), {*requires, *atom.optional})


def _nothing() -> Part:
    return Part(set(), set(), set())
