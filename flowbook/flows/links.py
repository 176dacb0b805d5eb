"""The links among the children of a graph flow: those that were made by hand and those that symbols imply."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from heapq import heappop, heappush
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
                parts = {
                    at: done.pop(id(child), _nothing())
                    for at, child in enumerate(current.children)
                    if isinstance(child, Flow)
                }
                if isinstance(current, GraphFlow):
                    arcs = self._arcs[id(current)] = Arcs(current, parts)
                    arcs.connect(self._problems)
                if stack:  # nobody asks what the outermost takes and gives
                    done[id(current)] = self._combined(current, parts)

    def _combined(self, flow: Flow, of_flows: Mapping[int, Part]) -> Part:
        if isinstance(flow, GraphFlow):
            part = self._arcs[id(flow)].combined()
        else:
            parts = [_part_of(c) if isinstance(c, Atom) else of_flows[at] for at, c in enumerate(flow.children)]
            symbols = flow._merged([Symbols(part.requires, part.provides) for part in parts])
            part = Part(*symbols, union(part.reads for part in parts))
        if flow.retry is not None:
            retry = _part_of(flow.retry)
            part.requires.difference_update(retry.provides)
            part = Part(*(union(pair) for pair in zip(part, retry, strict=True)))
        return part


class Arcs:
    """The children of one graph flow, in an ``order`` that follows their links.

    A child is known by its position among the children. ``before`` has the children that are linked right before
    each, ``followers`` how many are linked right behind it. ``largest`` is the flow among them that reads and provides
    most (-1: there is none), ``shared`` what it provides that a sibling reads or provides too.
    """

    def __init__(self, flow: GraphFlow, parts: Mapping[int, Part]) -> None:
        """Read what the children take and give; ``parts`` has it of flows, and `combined` changes the largest."""
        children = flow.children
        self.order: Sequence[int] = range(len(children))
        self.before: list[list[int]] = []
        self.followers = [0] * len(children)
        self.decides = any(link.decider is not None for link in flow.links)
        self._flow = flow
        self._rank: Sequence[int] = self.order  # of each child, its place in the order
        self._stuck = 0  # so many in the order are in a cycle or behind one: the last ones
        self._doubtful: set[str] = set()  # symbols that some child may read without a link from each provider
        self._made: dict[int, list[Link]] = {}
        self._requires: list[Set[str]] = []
        self._provides: list[Collection[str]] = []
        self._reads: list[Set[str]] = []
        for at, child in enumerate(children):
            if isinstance(child, Atom):
                reads = child.requires | child.optional if child.optional else child.requires
                self._note(child.requires, child.save_as, reads)
            else:
                self._note(*parts[at])
        self.largest, self._whole = max(parts.items(), key=lambda item: _size(item[1]), default=(-1, _nothing()))
        self.shared = self._keep_shared() if parts else set()
        self._providers: dict[str, list[int]] = {}
        for at, symbols in enumerate(self._provides):
            for symbol in symbols:
                self._providers.setdefault(symbol, []).append(at)

    def _note(self, requires: Set[str], provides: Collection[str], reads: Set[str]) -> None:
        self._requires.append(requires)
        self._provides.append(provides)
        self._reads.append(reads)

    def _keep_shared(self) -> set[str]:
        """Keep of the largest flow only what concerns the others; return what is left of what it provides."""
        shared: set[str] = set()
        for at, symbols in enumerate(self._provides):
            if at != self.largest:
                shared.update(symbols, self._reads[at])
        kept = Part(*(symbols & shared for symbols in self._whole))
        self._requires[self.largest], self._provides[self.largest], self._reads[self.largest] = kept
        return kept.provides

    def connect(self, problems: list[Problem]) -> None:
        """Link the children, by hand and by symbols; add ambiguous providers and cycles to ``problems``.

        A symbol that a child requires links its provider before it, unless one of the two was added with resolving off.
        """
        flow, by_hand = self._flow, self._by_hand()
        resolves_all, known = flow.resolves_all, self._providers
        leads_back = False
        for at, requires in enumerate(self._requires):
            sources = by_hand.get(at, [])
            if len(self._reads[at]) > len(requires):
                self._doubtful |= self._reads[at] - requires
            for symbol in sorted(requires):
                providers = known.get(symbol, ())
                if resolves_all and len(providers) == 1 and providers[0] != at:
                    sources.append(providers[0])
                elif providers:
                    sources += self._givers(at, symbol, providers, problems)
            if len(sources) > 1:
                sources = list(dict.fromkeys(sources))
            self.before.append(sources)
            for source in sources:
                self.followers[source] += 1
                leads_back |= source >= at
        cycle = self._sort() if leads_back else []
        if cycle:
            round_trip = [flow.children[at] for at in cycle]
            names = " -> ".join(repr(child.name) for child in [*round_trip, round_trip[0]])
            what = f"the links of {flow.name!r} go in a circle: {names}"
            problems.append(Problem(what, tuple(child.place for child in round_trip), "take one link out"))

    def _by_hand(self) -> dict[int, list[int]]:
        """Return the sources of the links made by hand, by their targets."""
        found: dict[int, list[int]] = {}
        position = {id(child): at for at, child in enumerate(self._flow.children)} if self._flow.links else {}
        for link in self._flow.links:
            target = position[id(link.target)]
            found.setdefault(target, []).append(position[id(link.source)])
            if link.decider is not None:
                self._made.setdefault(target, []).append(link)
        return found

    def _givers(self, at: int, symbol: str, providers: Sequence[int], problems: list[Problem]) -> list[int]:
        """Return those of the providers that ``symbol`` links before a child; tell when they are several."""
        children, resolves = self._flow.children, self._flow.resolves
        givers = [one for one in providers if one != at and resolves(children[one], children[at])]
        if len(givers) < len(providers):
            self._doubtful.add(symbol)
        if len(givers) > 1:
            problems.append(_ambiguous(children[at], symbol, [children[giver] for giver in givers]))
        return givers

    def combined(self) -> Part:
        """Return what all children together take, give and read; the sets of the largest are changed for it."""
        requires, provides, reads = self._whole
        unmet = [s for at, symbols in enumerate(self._requires) for s in symbols if not self._is_met(at, s)]
        for at, symbols in enumerate(self._requires):
            if at == self.largest:
                requires -= symbols
            else:
                provides.update(self._provides[at])
                reads |= self._reads[at]
        requires.update(unmet)
        return Part(requires, provides, reads)

    def _is_met(self, at: int, symbol: str) -> bool:
        """Say whether some sibling before a child provides ``symbol``, which the child reads."""
        if symbol in self._far.masks:
            return any(True for _ in self._far.providers(at, symbol))
        return any(provider != at for provider in self.providers(symbol))

    def providers(self, symbol: str) -> Sequence[int]:
        """Return the children that provide ``symbol``, in the order in which they were added."""
        return self._providers.get(symbol, ())

    def deciders_on(self, at: int) -> Sequence[Link]:
        """Return the links with a decider that lead to a child."""
        return self._made.get(at, ())

    def seen_by(self, at: int) -> list[tuple[int, set[str]]]:
        """Return the siblings whose symbols a child may read, and which symbols, farthest first."""
        seen: dict[int, set[str]] = {}
        far = self._far
        for symbol in self._reads[at]:
            for provider in far.providers(at, symbol) if symbol in far.masks else self.providers(symbol):
                if provider != at:
                    seen.setdefault(provider, set()).add(symbol)
        return sorted(seen.items(), key=lambda item: self._rank[item[0]])

    @property
    def has_far(self) -> bool:
        """Whether some child reads a symbol without being linked right behind each of its other providers."""
        return bool(self._far.masks)

    @cached_property
    def _far(self) -> _Far:
        """Find the symbols that some child reads without being linked to each provider, and who comes before whom.

        Of any other symbol, each provider is linked right before each reader: there is nothing to look for.
        """
        readers: dict[str, list[int]] = {}
        asked = self._providers.keys() if self._stuck else self._doubtful & self._providers.keys()
        for at, reads in enumerate(self._reads) if asked else ():
            for symbol in reads & asked:
                readers.setdefault(symbol, []).append(at)
        linked = {at: set(self.before[at]) for at in set().union(*readers.values())}
        wanted = [
            symbol
            for symbol, children in readers.items()
            if not all(self._is_near(symbol, at, linked[at]) for at in children)
        ]
        far = _Far({symbol: self._providers[symbol] for symbol in wanted})
        if far.masks:
            far.follow(self.order[: len(self.order) - self._stuck], self.before)
        return far

    def _is_near(self, symbol: str, reader: int, linked: Set[int]) -> bool:
        """Say whether all other providers are ``linked`` before a reader; in a cycle one may be behind itself."""
        return all(one in linked or (one == reader and not self._stuck) for one in self._providers[symbol])

    def _sort(self) -> list[int]:
        """Bring the children into the order added, as far as links allow; return those of a cycle, if there is one."""
        behind: list[list[int]] = [[] for _ in self.before]
        for at, sources in enumerate(self.before):
            for source in sources:
                behind[source].append(at)
        missing = [len(sources) for sources in self.before]
        ready = [at for at, count in enumerate(missing) if not count]  # sorted, and so a heap
        done: list[int] = []
        while ready:
            at = heappop(ready)
            done.append(at)
            for one in behind[at]:
                missing[one] -= 1
                if not missing[one]:
                    heappush(ready, one)
        stuck = [at for at, count in enumerate(missing) if count]
        self.order, self._stuck = done + stuck, len(stuck)
        rank_of = {at: rank for rank, at in enumerate(self.order)}
        self._rank = [rank_of[at] for at in range(len(self.order))]
        return self._cycle(stuck) if stuck else []

    def _cycle(self, stuck: Sequence[int]) -> list[int]:
        left = set(stuck)
        at = stuck[0]
        path: dict[int, None] = {}
        while at not in path:
            path[at] = None
            at = next(other for other in self.before[at] if other in left)
        found = list(path)
        return [*reversed(found[found.index(at) :])]


class _Far:
    """Which of the wanted providers come before each child, near or far: one walk along the order finds it.

    Each wanted provider is a bit; a child's number has the bits of all that come before it. ``masks`` has those of
    the providers of each symbol. A child in a cycle or behind one counts as behind all, so that one mistake is not
    told as several.
    """

    def __init__(self, wanted: Mapping[str, Sequence[int]]) -> None:
        self._wanted = list({child: None for providers in wanted.values() for child in providers})
        self._bits = {child: 1 << at for at, child in enumerate(self._wanted)}
        self.masks = {symbol: sum(self._bits[one] for one in providers) for symbol, providers in wanted.items()}
        self._before: dict[int, int] = {}

    def follow(self, order: Iterable[int], before: Sequence[Collection[int]]) -> None:
        """Gather what comes before each child, all of whose sources stand before it in ``order``."""
        for child in order:
            found = 0
            for source in before[child]:
                found |= self._before[source] | self._bits.get(source, 0)
            self._before[child] = found

    def providers(self, child: int, symbol: str) -> Iterator[int]:
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


def _size(part: Part) -> int:
    return len(part.provides) + len(part.reads)
