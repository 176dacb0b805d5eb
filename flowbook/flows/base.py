"""Flow: atoms and flows put together under a name, with a retry for all of them if wanted."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, NamedTuple, Self

from flowbook.atoms import Atom, Retry
from flowbook.atoms.base import checked_name, signature_text
from flowbook.atoms.signature import place_at
from flowbook.exceptions import NotPossible, WrongType
from flowbook.flows.deciders import Decider, Depth

INDENTS_SHOWN = 32
"""Deeper than this the printed tree counts levels instead of drawing them: its size stays linear."""


@dataclass(slots=True)
class Link:
    """``source`` comes before ``target``, both children of one flow; ``depth`` is None without a decider."""

    source: Atom | Flow
    target: Atom | Flow
    decider: Decider | None = None
    depth: Depth | None = None


class Symbols(NamedTuple):
    """What a child, or all children together, take from outside and give."""

    requires: set[str]
    provides: set[str]


class Flow:
    """Children under a name, in an order that the pattern (a subclass) gives; pure description.

    Children are atoms and flows. ``retry`` runs before them, and decides what happens when one of them fails.
    """

    pattern: ClassVar[str] = "flow"

    name: str
    retry: Retry | None
    children: list[Atom | Flow]

    _made_at: tuple[str, int] = ("", 0)

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Note where the flow is made: the caller's frame, however many ``__init__`` a subclass has."""
        self = super().__new__(cls)
        caller = sys._getframe(1)
        self._made_at = (caller.f_code.co_filename, caller.f_lineno)
        return self

    def __init__(self, name: str, retry: Retry | None = None) -> None:
        self.name = checked_name(name, f"a {type(self).__name__}")
        self.children = []
        self._positions: dict[int, int] = {}  # by the id of the child, which is kept alive by being one
        self.retry = retry
        if retry is not None:
            if not isinstance(retry, Retry):
                raise WrongType(f"the retry of flow {name!r}", retry, "a Retry")
            retry.name = retry.name or f"{name}_retry"

    def add(self, *items: Atom | Flow) -> Self:
        """Add children in this order, each once. Returns the flow itself."""
        positions, children = self._positions, self.children
        for item in items:
            if id(item) not in positions:
                children.append(self._checked(item))
                positions[id(item)] = len(children) - 1
        return self

    def _checked(self, item: Atom | Flow) -> Atom | Flow:
        """Return ``item`` if it may be a child."""
        if not isinstance(item, Atom | Flow) or isinstance(item, Retry) or item is self:
            raise self._no_child(item)
        return item

    def _no_child(self, item: object) -> NotPossible | WrongType:
        if item is self:
            return NotPossible(f"flow {self.name!r} ({self.place}) cannot be added to itself", where=self.place)
        wanted = "a task or a flow"
        if isinstance(item, Retry):
            wanted += f": a retry goes with a flow, {type(self).__name__}({self.name!r}, retry=...)"
        elif isinstance(item, type) and issubclass(item, Atom | Flow):
            wanted += f": add {item.__name__}(), not the class"
        elif callable(item):
            wanted += ": put @task on the function"
        return WrongType(f"what is added to flow {self.name!r} ({self.place})", item, wanted)

    @property
    def place(self) -> str:
        """Where the flow was made, as ``file:line``."""
        return place_at(*self._made_at)

    @property
    def provides(self) -> frozenset[str]:
        """Every symbol that something in the flow provides."""
        return frozenset(symbols_of(self).provides)

    @property
    def requires(self) -> frozenset[str]:
        """The symbols that the flow needs from outside."""
        return frozenset(symbols_of(self).requires)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take the state of a pickled or copied flow, whose children have other ids now."""
        self.__dict__.update(state)
        self._positions = {id(child): position for position, child in enumerate(self.children)}

    def __len__(self) -> int:
        return len(self.children)

    def __iter__(self) -> Iterator[Atom | Flow]:
        return iter(self.children)

    def iter_nodes(self) -> Iterator[Atom | Flow]:
        """Yield the children, in the order added."""
        return iter(self.children)

    @abstractmethod
    def iter_links(self) -> Iterator[Link]:
        """Yield the links that the pattern and the user make; those by symbols are found when compiling."""
        raise NotImplementedError

    @abstractmethod
    def _merged(self, parts: list[Symbols]) -> Symbols:
        """Return what the children take that they do not give each other, and all they give.

        ``parts`` are the children's own, in order; their sets may be changed.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        children = "1 child" if len(self.children) == 1 else f"{len(self.children)} children"
        retry = "" if self.retry is None else f", retry {self.retry.name!r}"
        return f"<{type(self).__name__} {self.name!r}: {children}{retry}>"

    def __str__(self) -> str:
        return "\n".join(_rows(self))

    def _repr_svg_(self) -> str:
        """Return the picture that a notebook shows; what draws it stands above flows, and is loaded only then."""
        svg: str = import_module("flowbook.views.graphs").svg_of(self)
        return svg


def symbols_of(flow: Flow) -> Symbols:
    """Return what a flow takes and gives. Does not recurse: flows may nest deeper than Python can call.

    Raises NotPossible when a flow is in two places of the tree, or inside itself.
    """
    done: dict[int, Symbols] = {}  # by id of the flow; taken out, and then changed, by the one flow around it
    seen = {id(flow)}
    stack: list[tuple[Flow, Iterator[Atom | Flow]]] = [(flow, iter(flow.children))]
    while stack:
        current, children = stack[-1]
        inner = next((child for child in children if isinstance(child, Flow)), None)
        if inner is None:
            stack.pop()
            done[id(current)] = _combined(current, done)
        elif id(inner) in seen:
            raise NotPossible(f"flow {inner.name!r} ({inner.place}) is in two places of flow {flow.name!r}")
        else:
            seen.add(id(inner))
            stack.append((inner, iter(inner.children)))
    return done[id(flow)]


def _combined(flow: Flow, done: dict[int, Symbols]) -> Symbols:
    parts = [
        done.pop(id(child)) if isinstance(child, Flow) else Symbols(set(child.requires), set(child.provides))
        for child in flow.children
    ]
    requires, provides = flow._merged(parts)
    if flow.retry is not None:
        requires -= flow.retry.provides
        requires |= flow.retry.requires
        provides |= flow.retry.provides
    return Symbols(requires, provides)


def union(sets: Iterable[set[str]]) -> set[str]:
    """Return the union, made by changing the largest set: a deep tree costs no more than a flat one."""
    given = list(sets)
    largest = max(given, key=len, default=set())
    for one in given:
        if one is not largest:
            largest |= one
    return largest


def _rows(flow: Flow) -> Iterator[str]:
    yield _title(flow)
    seen = {id(flow)}
    stack: list[tuple[str, list[Atom | Flow]]] = [("", _shown_children(flow))]  # the rest of each level, reversed
    while stack:
        indent, rest = stack[-1]
        if not rest:
            stack.pop()
            continue
        child = rest.pop()
        again = isinstance(child, Flow) and id(child) in seen
        branch = _indent(indent, len(stack)) + ("├─ " if rest else "└─ ")
        yield branch + _title(child) + (" (see above)" if again else "")
        if isinstance(child, Flow) and not again:
            seen.add(id(child))
            deeper = indent + ("│  " if rest else "   ") if len(stack) < INDENTS_SHOWN else indent
            stack.append((deeper, _shown_children(child)))


def _indent(drawn: str, level: int) -> str:
    return drawn if level <= INDENTS_SHOWN else f"{drawn}[level {level}] "


def _shown_children(flow: Flow) -> list[Atom | Flow]:
    return [*reversed(flow.children), *([] if flow.retry is None else [flow.retry])]


def _title(child: Atom | Flow) -> str:
    if isinstance(child, Flow):
        return f"{child.name} ({child.pattern})"
    return f"{'retry ' if isinstance(child, Retry) else ''}{child.name} {signature_text(child)}"
