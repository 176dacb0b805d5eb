"""How each pattern is walked: what comes before a child, and what the child may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flowbook.atoms.base import Atom
from flowbook.flows.base import Flow
from flowbook.flows.graph import GraphFlow
from flowbook.flows.linear import LinearFlow
from flowbook.flows.links import Arcs, Links
from flowbook.flows.plan import Span, Vote
from flowbook.flows.scopes import Provided, Visible


class Frame:
    """A flow that is being walked: the ``ends`` that are open so far, what comes ``before`` all of it, its ``scope``.

    ``unseen`` is what its children provide and nobody had to see yet: most of it is hidden again by the flow around.
    ``votes`` are of the deciders on links to the flow: they decide about the atoms that it begins with. ``decides``
    says whether there are any deciders to ask for.
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
        self.unseen: Sequence[Provided] = ()
        self.votes: list[Vote] = []
        self.decides = False

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return the nodes that come right before ``child``, and let it see what it may."""
        self.visible.add_all(self.unseen)
        self.unseen = ()
        return self.ends or self.before

    def took(self, ends: list[int], unseen: Sequence[Provided] = ()) -> None:
        """Take note of the ends of the last child (none when it was empty), and of what it left unseen."""
        self.ends = ends or self.ends
        self.unseen = unseen

    def votes_on(self, child: Atom | Flow, index: Mapping[str, int]) -> list[Vote]:
        """Return the votes on what ``child`` begins with: the flow's own where nothing of the flow comes before."""
        return [] if self.ends else self.votes

    def branches_behind(self, child: Atom | Flow) -> bool:
        """Return whether several siblings come right behind ``child``."""
        return False

    def finish(self) -> None:
        """Gather what all children provide, for later siblings of the flow."""


class UnorderedFrame(Frame):
    """Siblings do not see each other: what each provides is hidden until the end."""

    def __init__(self, flow: Flow, before: list[int], span: Span, scope: int, visible: Visible) -> None:
        super().__init__(flow, before, span, scope, visible)
        self._provided: list[Provided] = []
        self._start = visible.mark()

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return what comes before the whole flow."""
        return self.before

    def took(self, ends: list[int], unseen: Sequence[Provided] = ()) -> None:
        """Keep the child's ends beside the others, and hide what it provides."""
        self.ends += ends
        self._provided += self.visible.undo(self._start)
        self._provided += unseen

    def votes_on(self, child: Atom | Flow, index: Mapping[str, int]) -> list[Vote]:
        """Return the flow's own votes: nothing of it comes before any child."""
        return self.votes

    def finish(self) -> None:
        """Gather what all children provide, in the order added."""
        self.unseen = self._provided


class GraphFrame(Frame):
    """Children in an order that follows the links; each sees what those linked before it provide."""

    def __init__(self, flow: Flow, before: list[int], span: Span, scope: int, visible: Visible, arcs: Arcs) -> None:
        super().__init__(flow, before, span, scope, visible)
        self._arcs = arcs
        self.children = iter(self._arcs.order)
        self.decides = self._arcs.decides
        self._provided: dict[Atom | Flow, list[Provided]] = {}
        self._ends_of: dict[Atom | Flow, list[int]] = {}
        self._repeats = False  # whether some of `ends` may stand there twice
        self._start = self._inner = visible.mark()
        self._last: Atom | Flow = flow

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return the ends of the siblings linked before ``child``, and show it what those and theirs provide."""
        self._last = child
        seen = self._arcs.seen_by(child)
        self.visible.add_all(
            [p for source, symbols in seen for p in self._provided.get(source, ()) if p.symbol in symbols]
        )
        self._inner = self.visible.mark()
        return self._ends_before(child) or self.before

    def took(self, ends: list[int], unseen: Sequence[Provided] = ()) -> None:
        """Keep the child's ends for those linked behind it (an empty one passes on what came before it)."""
        child = self._last
        self._provided[child] = self.visible.undo(self._inner)
        self._provided[child] += unseen
        self.visible.undo(self._start)
        self._ends_of[child] = ends or self._ends_before(child)
        self._repeats |= not ends
        if not self._arcs.after(child):
            self.ends += self._ends_of[child]

    def votes_on(self, child: Atom | Flow, index: Mapping[str, int]) -> list[Vote]:
        """Return the votes of the deciders on links to ``child``, by the nodes of their sources."""
        own = [] if self._ends_before(child) else self.votes
        return own + [
            Vote(index.get(link.source.name) if isinstance(link.source, Atom) else None, link.decider, link.depth)
            for link in self._arcs.links_to(child)
            if link.decider is not None and link.depth is not None
        ]

    def branches_behind(self, child: Atom | Flow) -> bool:
        """Return whether several siblings are linked right behind ``child``."""
        return len(self._arcs.after(child)) > 1

    def finish(self) -> None:
        """Gather what all children provide, in the order in which they may run."""
        if self._repeats:
            self.ends = list(dict.fromkeys(self.ends))
        self.unseen = [provided for child in self._arcs.order for provided in self._provided[child]]

    def _ends_before(self, child: Atom | Flow) -> list[int]:
        ends = [end for source in self._arcs.before(child) for end in self._ends_of.get(source, ())]
        return list(dict.fromkeys(ends))


def frame_of(flow: Flow, before: list[int], span: Span, scope: int, visible: Visible, links: Links) -> Frame:
    """Return the frame that walks a flow of its pattern."""
    if isinstance(flow, LinearFlow):
        return Frame(flow, before, span, scope, visible)
    if isinstance(flow, GraphFlow):
        return GraphFrame(flow, before, span, scope, visible, links.of(flow))
    return UnorderedFrame(flow, before, span, scope, visible)
