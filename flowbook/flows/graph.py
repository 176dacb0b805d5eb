"""GraphFlow: in the order that links and symbols give."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from functools import cached_property
from typing import Self

from flowbook.atoms import Atom, Retry
from flowbook.exceptions import NotPossible, did_you_mean
from flowbook.flows.base import Flow, Link, Symbols, union
from flowbook.flows.deciders import Decider, Depth


class GraphFlow(Flow):
    """Children run as soon as those are done that provide what they require, or that are linked before them.

    Links by symbols are found when the flow is compiled, and so are cycles and symbols with two providers.
    """

    pattern = "graph"

    def __init__(self, name: str, retry: Retry | None = None) -> None:
        super().__init__(name, retry)
        self.links: list[Link] = []
        self._linked: dict[tuple[int, int], Link] = {}  # by the positions of source and target
        self._resolve: list[tuple[bool, bool]] = []  # requires, existing: as each child was added

    def add(self, *items: Atom | Flow, resolve_requires: bool = True, resolve_existing: bool = True) -> Self:
        """Add children. Returns the flow itself.

        ``resolve_requires`` links each after those children added before it that provide what it requires;
        ``resolve_existing`` links each before those children added before it that require what it provides.
        """
        super().add(*items)
        new = len(self.children) - len(self._resolve)
        self._resolve.extend([(resolve_requires, resolve_existing)] * new)
        return self

    def link(
        self,
        source: Atom | Flow,
        target: Atom | Flow,
        decider: Decider | None = None,
        decider_depth: Depth | str | None = None,
    ) -> Self:
        """Let ``source`` come before ``target``. Returns the flow itself.

        ``decider(history={name: result})`` says whether the target is run, ``decider_depth`` (by default ALL)
        what else is ignored when it says no. A pair that is linked already keeps its decider unless another
        is given.
        Raises NotPossible when either is no child, both are the same, or the decider makes no sense.
        """
        pair = (self._position(source), self._position(target))
        if source is target:
            raise self._refuse(f"{source.name!r} cannot be linked to itself")
        if decider is None and decider_depth is not None:
            raise self._refuse(f"the depth {decider_depth!r} means nothing without a decider")
        if decider is not None and not callable(decider):
            raise self._refuse(f"the decider {decider!r} cannot be called")
        depth = None if decider is None else Depth.translate(decider_depth or Depth.ALL)
        link = self._linked.setdefault(pair, new := Link(source, target))
        if link is new:
            self.links.append(link)
        if decider is not None:
            link.decider, link.depth = decider, depth
        return self

    def iter_links(self) -> Iterator[Link]:
        """Yield the links made by `link`, in that order."""
        return iter(self.links)

    @property
    def resolves_all(self) -> bool:
        """Whether it is known that every child was added with resolving on; else `resolves` is asked for each pair."""
        return len(self._resolve) == len(self.children) and {(True, True)}.issuperset(self._resolve)

    def resolves(self, provider: Atom | Flow, consumer: Atom | Flow) -> bool:
        """Say whether a symbol may link these two children: the one that was added later decides."""
        first, second = self._positions[id(provider)], self._positions[id(consumer)]
        return self._resolve[second][0] if first < second else self._resolve[first][1]

    def _position(self, child: Atom | Flow) -> int:
        position = self._positions.get(id(child))
        if position is None:
            name = getattr(child, "name", None)
            hint = did_you_mean(name, [one.name for one in self.children]) if isinstance(name, str) else ""
            raise self._refuse(f"{name or child!r} is none of its children" + (f"; {hint}" if hint else ""))
        return position

    def _refuse(self, why: str) -> NotPossible:
        return NotPossible(f"link in flow {self.name!r} ({self.place}): {why}", where=self.place)

    def _merged(self, parts: list[Symbols]) -> Symbols:
        unmet = _Needs(self, parts).unmet()
        return Symbols(unmet, union(part.provides for part in parts))


class _Needs:
    """What the children of a graph flow take that none before them gives."""

    def __init__(self, flow: GraphFlow, parts: list[Symbols]) -> None:
        self._flow, self._parts = flow, parts
        self._givers: dict[str, list[int]] = defaultdict(list)  # symbol -> positions of children
        for position, part in enumerate(parts):
            for symbol in part.provides:
                self._givers[symbol].append(position)

    def unmet(self) -> set[str]:
        found: set[str] = set()
        for position, part in enumerate(self._parts):
            found.update(symbol for symbol in part.requires if not self._is_met(position, symbol))
        return found

    def _is_met(self, position: int, symbol: str) -> bool:
        givers = [giver for giver in self._givers.get(symbol, ()) if giver != position]
        if any(self._resolves(giver, position) for giver in givers):
            return True
        return bool(givers) and any(one in givers for one in self._before(position))

    def _resolves(self, giver: int, position: int) -> bool:
        children = self._flow.children
        return self._flow.resolves(children[giver], children[position])

    def _before(self, position: int) -> Iterator[int]:
        """Yield the children that come before one, by links of either kind, the nearest first."""
        seen = {position}
        waiting = deque([position])
        while waiting:
            for one in self._sources(waiting.popleft()):
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
                    yield one

    def _sources(self, position: int) -> Iterator[int]:
        yield from self._linked[position]
        for symbol in self._parts[position].requires:
            yield from (giver for giver in self._givers.get(symbol, ()) if self._resolves(giver, position))

    @cached_property
    def _linked(self) -> dict[int, list[int]]:
        position = {id(child): at for at, child in enumerate(self._flow.children)}
        found: dict[int, list[int]] = defaultdict(list)
        for link in self._flow.links:
            found[position[id(link.target)]].append(position[id(link.source)])
        return found
