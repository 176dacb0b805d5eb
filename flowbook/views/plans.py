"""The graph of a recorded plan: atoms, the marks and deciders between them, and a box for every flow.

An edge tells what data is handed over, or that only the order counts. What an atom takes from one that is not right
before it has an edge of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

from flowbook.drawing import Box, Edge, Graph, Kind, Node
from flowbook.drawing.model import without_repeats
from flowbook.states import UNFINISHED_ATOMS
from flowbook.views.details import AtomView

_FEW: Final = 6
"""A mark is not drawn where it saves no more edges than that."""

_TRACED: Final = 20_000
"""In flows with more atoms, data is shown only where it goes to the next one."""

_Plan = Mapping[str, Any]  # JSON, see plan_record


def graph_of_plan(
    plan: _Plan,
    name: str,
    views: Mapping[str, AtomView] | None = None,
    *,
    run: str | None = None,
    state: str | None = None,
) -> Graph:
    """Return the graph of a plan's record; ``views`` has the atoms of a run, those too that are planned no more.

    Raises LookupError, TypeError, ValueError or AttributeError when the record is damaged.
    """
    views = views or {}
    atoms = {atom["name"]: atom for atom in plan["atoms"]}
    links = _Links(plan)
    flows = _Flows(plan, links)
    data = _Data(atoms, links)
    deciders = [_Decider(f"d{number}", *row) for number, row in enumerate(plan.get("deciders", ()))]
    nodes = {
        **{name: _atom(f"a{number}", atom, data, views.get(name)) for number, (name, atom) in enumerate(atoms.items())},
        **{mark: Node(f"m{number}", mark, Kind.MARK) for number, mark in enumerate(links.marks)},
    }
    placed = [(links.place(name), replace(node, box=flows.around(name))) for name, node in nodes.items()]
    for number, decider in enumerate(deciders):
        box = flows.around_all((decider.target, *decider.sources(links, deciders)))
        placed.append(((links.number[decider.target] - 0.5, number), replace(decider.node(), box=box)))
    placed.sort(key=lambda one: one[0])
    edges = _with_deciders({name: node.id for name, node in nodes.items()}, links, data.edges(), deciders)
    gone = [name for name in views if name not in atoms]
    return Graph(
        name,
        (*(node for _, node in placed), *(_gone(f"a{len(atoms) + at}", views[name]) for at, name in enumerate(gone))),
        without_repeats(edges),
        tuple(flows.boxes),
        run,
        state,
    )


class _Links:
    """What comes right before and right after each atom and mark, by names; marks that save few edges are taken out."""

    def __init__(self, plan: _Plan) -> None:
        self.number = {atom["name"]: number for number, atom in enumerate(plan["atoms"])}
        self.marks = [str(mark) for mark in plan.get("marks", ())]
        self.before: dict[str, dict[str, None]] = {name: {} for name in (*self.number, *self.marks)}
        self._after: dict[str, dict[str, None]] = {name: {} for name in self.before}
        for source, target in plan.get("edges", ()):
            self._join(source, target)
        self._last = dict(self.number)
        self._first = dict(self._last)
        for mark in self.marks:  # in the order of the plan
            self._last[mark] = max((self._last[name] for name in self.before[mark]), default=0)
        for mark in reversed(self.marks):
            self._first[mark] = min((self._first[name] for name in self._after[mark]), default=self._last[mark])
        self._mark_number = {mark: number for number, mark in enumerate(self.marks, 1)}
        self.marks = [mark for mark in self.marks if not self._bridge(mark)]

    def place(self, name: str) -> tuple[float, int]:
        """Return where an atom or mark stands among all, in an order that edges follow."""
        return self._last[name], self._mark_number.get(name, 0)

    def bounds(self, first: str, last: str) -> tuple[int, int]:
        """Return the numbers of the first and the last atom of a flow, which may begin and end with marks."""
        return self._first[first], self._last[last]

    def after(self, name: str) -> Iterable[str]:
        """Return what comes right after an atom or mark."""
        return self._after[name]

    def _join(self, source: str, target: str) -> None:
        self.before[target][source] = None
        self._after[source][target] = None

    def _bridge(self, mark: str) -> bool:
        """Take a mark out that saves few edges; say whether it was."""
        before, after = self.before[mark], self._after[mark]
        if len(before) * len(after) > _FEW:
            return False
        for source in before:
            del self._after[source][mark]
            for target in after:
                self._join(source, target)
        for target in after:
            del self.before[target][mark]
        del self.before[mark], self._after[mark]
        return True


@dataclass(frozen=True, slots=True)
class _Span:
    """A flow around the atoms ``first`` to ``last``; ``box`` is None for the whole flow, unless that has a retry."""

    first: int
    last: int
    box: str | None


class _Flows:
    """The boxes of the flows, and which of them is around an atom or mark."""

    def __init__(self, plan: _Plan, links: _Links) -> None:
        self._links = links
        self.boxes: list[Box] = []
        self._parents: dict[str | None, str | None] = {}
        spans: list[_Span] = []
        retries = {number: atom for number, atom in enumerate(plan["atoms"]) if atom["kind"] == "retry"}
        rows = [row for row in plan.get("flows", ()) if len(row) > 2]  # those with something in them
        bounds = [links.bounds(first, last) for _, _, first, last in rows]
        owners = {first: number for number, (first, _) in enumerate(bounds)}  # the innermost flow that begins there
        around: list[_Span] = []
        for number, ((name, pattern, *_), (first, last)) in enumerate(zip(rows, bounds, strict=True)):
            while around and around[-1].last < first:
                around.pop()
            retry = retries.get(first) if owners[first] == number else None
            box = f"f{number}" if number or retry is not None else None
            if box is not None:
                parent = around[-1].box if around else None
                notes = (str(pattern),) if retry is None else (str(pattern), f"retry: {retry.get('policy', '?')}")
                self.boxes.append(Box(box, str(name), parent, notes))
                self._parents[box] = parent
            spans.append(_Span(first, min(last, around[-1].last) if around else last, box))
            around.append(spans[-1])
        self._innermost = list(_innermost(spans, len(links.number)))

    def around(self, name: str) -> str | None:
        """Return the box of the innermost flow around an atom, or around all that is before or behind a mark."""
        number = self._links.number.get(name)
        if number is not None:
            return self._innermost[number]
        before, after = self.around_all(self._links.before[name]), self.around_all(self._links.after(name))
        return max(before, after, key=lambda box: len(self._chain(box)))

    def around_all(self, names: Iterable[str]) -> str | None:
        """Return the innermost box that is around all of these."""
        numbers = (self._links.place(name)[0] for name in names)
        boxes = dict.fromkeys(self._innermost[int(number)] for number in numbers)
        return reduce(self._around_both, boxes) if boxes else None

    def _around_both(self, one: str | None, other: str | None) -> str | None:
        chain = set(self._chain(other))
        return next((box for box in self._chain(one) if box in chain), None)

    def _chain(self, box: str | None) -> list[str]:
        chain = []
        while box is not None:
            chain.append(box)
            box = self._parents[box]
        return chain


def _innermost(spans: list[_Span], count: int) -> Iterator[str | None]:
    """Yield for each atom the box of the last span that it is in; spans nest, outer ones come first."""
    around: list[_Span] = []
    opened = 0
    for number in range(count):
        while opened < len(spans) and spans[opened].first <= number:
            around.append(spans[opened])
            opened += 1
        while around and around[-1].last < number:
            around.pop()
        yield around[-1].box if around else None


class _Data:
    """Which atom each symbol comes from: the nearest provider that is before the atom, in whatever distance."""

    def __init__(self, atoms: Mapping[str, Mapping[str, Any]], links: _Links) -> None:
        self._links = links
        self._handed: dict[tuple[str, str], dict[str, None]] = {}
        self.taken: dict[str, dict[str, str | None]] = {}  # symbol -> provider, of each atom; None: from outside
        self._order = sorted(links.before, key=links.place)
        bits = {name: number for number, name in enumerate(self._order)}
        providers: dict[str, int] = {}
        traced = len(atoms) <= _TRACED
        reached: dict[str, int] = {}
        for name in self._order:
            seen = 0
            for one in links.before[name]:
                seen |= 1 << bits[one] | reached.get(one, 0)
            atom = atoms.get(name)
            if traced or atom is None:
                reached[name] = seen
            if atom is not None:
                for symbol in (*atom.get("requires", ()), *atom.get("optional", ())):
                    near = (providers.get(symbol, 0) & seen).bit_length() - 1
                    self._take(name, symbol, self._order[near] if near >= 0 else None)
                for symbol in atom.get("provides", ()):
                    providers[symbol] = providers.get(symbol, 0) | 1 << bits[name]

    def edges(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Yield source, target and data of every edge, by the order of the targets."""
        extra: dict[str, list[str]] = {}
        for source, target in self._handed:
            if source not in self._links.before[target]:
                extra.setdefault(target, []).append(source)
        for target in self._order:
            for source in (*self._links.before[target], *extra.get(target, ())):
                yield source, target, tuple(self._handed.get((source, target), ()))

    def _take(self, atom: str, symbol: str, provider: str | None) -> None:
        self.taken.setdefault(atom, {})[symbol] = provider
        if provider is None:
            return
        before = self._links.before
        through = [one for one in before[atom] if one not in self._links.number and provider in before[one]]
        ways = [(provider, atom)] if provider in before[atom] or not through else []
        for mark in () if ways else through[:1]:
            ways += [(provider, mark), (mark, atom)]
        for way in ways:
            self._handed.setdefault(way, {})[str(symbol)] = None


@dataclass(frozen=True, slots=True)
class _Decider:
    """A decider before ``target``; ``source`` is None when it stands on a link from a flow."""

    id: str
    source: str | None
    target: str
    name: str
    depth: str

    def node(self) -> Node:
        """Return the node that stands for it."""
        return Node(self.id, str(self.name), Kind.DECIDER, details=(f"no skips {self.target}, depth {self.depth}",))

    def sources(self, links: _Links, deciders: Iterable[_Decider]) -> list[str]:
        """Return what it stands behind: of a flow whatever no other decider stands behind."""
        if self.source is not None:
            return [self.source]
        others = {one.source for one in deciders if one.target == self.target}
        return [name for name in links.before[self.target] if name not in others]


def _with_deciders(
    ids: Mapping[str, str],
    links: _Links,
    edges: Iterable[tuple[str, str, tuple[str, ...]]],
    deciders: list[_Decider],
) -> Iterator[Edge]:
    """Yield the edges by ids, those that a decider stands on in two parts."""
    on: dict[tuple[str, str], list[str]] = {}
    for decider in deciders:
        for source in decider.sources(links, deciders):
            on.setdefault((source, decider.target), []).append(decider.id)
    for source, target, data in edges:
        for between in on.pop((source, target), [None]):
            if between is None:
                yield Edge(ids[source], ids[target], data)
            else:
                yield Edge(ids[source], between, data)
                yield Edge(between, ids[target], data)
    for (source, target), left in on.items():  # their sources stand behind marks
        for between in left:
            yield Edge(ids[source], between)
            yield Edge(between, ids[target])


def _atom(id: str, atom: Mapping[str, Any], data: _Data, view: AtomView | None) -> Node:
    details = [atom.get("place", "")]
    details += [
        f"takes {symbol} from {provider or 'outside'}" for symbol, provider in data.taken.get(atom["name"], {}).items()
    ]
    details += [f"gives {symbol}" for symbol in atom.get("provides", ())]
    node = Node(id, atom["name"], Kind.RETRY if atom["kind"] == "retry" else Kind.TASK, details=tuple(details))
    return node if view is None else _seen(node, view)


def _gone(id: str, view: AtomView) -> Node:
    return _seen(Node(id, view.name, notes=("no longer in the flow",)), view)


def _seen(node: Node, view: AtomView) -> Node:
    """Return the node with what is known of its atom in a run."""
    notes = [*node.notes]
    if view.attempts > 1:
        notes.append(f"attempt {view.attempts}")
    if view.state in UNFINISHED_ATOMS and view.progress is not None:
        notes.append(f"{view.progress:.0%}")
    failure = view.revert_failure or view.failure
    details = [*node.details, *([] if failure is None else [str(failure)])]
    return replace(node, state=view.state, notes=tuple(notes), details=tuple(filter(None, details)))
