"""How each pattern is walked: what comes before a child, and what the child may see."""

from __future__ import annotations

from collections.abc import Iterator

from flowbook.atoms.base import Atom
from flowbook.exceptions import Problem
from flowbook.flows.base import Flow
from flowbook.flows.graph import GraphFlow
from flowbook.flows.linear import LinearFlow
from flowbook.flows.links import ordered_children
from flowbook.flows.plan import Span
from flowbook.flows.scopes import Provided, Visible


class Frame:
    """A flow that is being walked: the ``ends`` that are open so far, what comes ``before`` all of it, its ``scope``.

    This one walks linear flows: each child behind the one before it, and all that came before in its sight.
    """

    def __init__(self, flow: Flow, before: list[int], span: Span, scope: int, visible: Visible) -> None:
        self.flow = flow
        self.before = before
        self.span = span
        self.scope = scope
        self.visible = visible
        self.children: Iterator[Atom | Flow] = iter(flow.children)
        self.ends: list[int] = []

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return the nodes that come right before ``child``, and let it see what it may."""
        return self.ends or self.before

    def took(self, ends: list[int]) -> None:
        """Take note of the ends of the last child; none when it was empty."""
        self.ends = ends or self.ends

    def finish(self) -> None:
        """Let later siblings of the flow see what its children provide."""


class UnorderedFrame(Frame):
    """Siblings do not see each other: each is undone, and all are shown again at the end."""

    def __init__(self, flow: Flow, before: list[int], span: Span, scope: int, visible: Visible) -> None:
        super().__init__(flow, before, span, scope, visible)
        self._provided: list[Provided] = []
        self._start = visible.mark()

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return what comes before the whole flow."""
        return self.before

    def took(self, ends: list[int]) -> None:
        """Keep the child's ends beside the others, and hide what it provides."""
        self.ends += ends
        self._provided += self.visible.undo(self._start)

    def finish(self) -> None:
        """Show what all children provide."""
        self.visible.add_all(self._provided)


class GraphFrame(Frame):
    """Children in an order that follows the links; each sees what those linked before it provide."""

    def __init__(
        self, flow: GraphFlow, before: list[int], span: Span, scope: int, visible: Visible, problems: list[Problem]
    ) -> None:
        super().__init__(flow, before, span, scope, visible)
        self._arcs = ordered_children(flow, problems)
        self.children = iter(self._arcs.order)
        self._provided: dict[Atom | Flow, list[Provided]] = {}
        self._ends_of: dict[Atom | Flow, list[int]] = {}
        self._open_ends: dict[int, None] = {}
        self._start = self._inner = visible.mark()
        self._last: Atom | Flow = flow

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return the ends of the siblings linked before ``child``, and show it what those and theirs provide."""
        self._last = child
        for source, symbols in self._arcs.seen_by(child):
            self.visible.add_all(p for p in self._provided.get(source, ()) if p.symbol in symbols)
        self._inner = self.visible.mark()
        return self._ends_before(child) or self.before

    def took(self, ends: list[int]) -> None:
        """Keep the child's ends for those linked behind it (an empty one passes on what came before it)."""
        child = self._last
        self._provided[child] = self.visible.undo(self._inner)
        self.visible.undo(self._start)
        self._ends_of[child] = ends or self._ends_before(child)
        if not self._arcs.after(child):
            self._open_ends.update(dict.fromkeys(self._ends_of[child]))

    def finish(self) -> None:
        """Show what all children provide, in the order in which they may run."""
        self.ends = list(self._open_ends)
        for child in self._arcs.order:
            self.visible.add_all(self._provided[child])

    def _ends_before(self, child: Atom | Flow) -> list[int]:
        ends = [end for source in self._arcs.before(child) for end in self._ends_of.get(source, ())]
        return list(dict.fromkeys(ends))


def frame_of(flow: Flow, before: list[int], span: Span, scope: int, visible: Visible, problems: list[Problem]) -> Frame:
    """Return the frame that walks a flow of its pattern; wiring errors found on the way go into ``problems``."""
    if isinstance(flow, LinearFlow):
        return Frame(flow, before, span, scope, visible)
    if isinstance(flow, GraphFlow):
        return GraphFrame(flow, before, span, scope, visible, problems)
    return UnorderedFrame(flow, before, span, scope, visible)
