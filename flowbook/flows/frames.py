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
    """Children in an order that follows the links; those linked right before each come before it.

    Whatever a child reads, all its siblings that provide it are linked before it: so nothing need be hidden again.
    Only what the largest flow among them left unseen stays so, where no sibling looks for it: it may be very much.
    """

    def __init__(self, flow: Flow, before: list[int], span: Span, scope: int, visible: Visible, arcs: Arcs) -> None:
        super().__init__(flow, before, span, scope, visible)
        self.children = map(flow.children.__getitem__, arcs.order)
        self.decides = arcs.decides
        self._arcs = arcs
        self._order = iter(arcs.order)
        self._last = -1
        self._ends_of: list[list[int]] = [[]] * len(flow.children)
        self._repeats = False  # whether some of `ends` may stand there twice
        self._apart: Sequence[Provided] = ()

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return the ends of the siblings linked before ``child``, and show it what the last one left unseen."""
        if self.unseen:
            self.visible.add_all(self.unseen)
            self.unseen = ()
        self._last = next(self._order)
        return self._ends_before() or self.before

    def took(self, ends: list[int], unseen: Sequence[Provided] = ()) -> None:
        """Keep the child's ends for those linked behind it (an empty one passes on what came before it)."""
        at = self._last
        if not ends:
            ends, self._repeats = self._ends_before(), True
        self._ends_of[at] = ends
        if not self._arcs.followers[at]:
            self.ends += ends
        self.unseen = unseen
        if unseen and at == self._arcs.largest:
            shared = self._arcs.shared
            self.unseen = [one for one in unseen if one.symbol in shared] if shared else ()
            self._apart = [one for one in unseen if one.symbol not in shared] if shared else unseen

    def votes_on(self, child: Atom | Flow, index: Mapping[str, int]) -> list[Vote]:
        """Return the votes of the deciders on links to ``child``, by the nodes of their sources."""
        own = [] if self._ends_before() else self.votes
        return own + [
            Vote(index.get(link.source.name) if isinstance(link.source, Atom) else None, link.decider, link.depth)
            for link in self._arcs.deciders_on(self._last)
            if link.decider is not None and link.depth is not None
        ]

    def branches_behind(self, child: Atom | Flow) -> bool:
        """Return whether several siblings are linked right behind ``child``."""
        return self._arcs.followers[self._last] > 1

    def finish(self) -> None:
        """Gather what is left unseen."""
        if self._repeats:
            self.ends = list(dict.fromkeys(self.ends))
        self.unseen = [*self._apart, *self.unseen]

    def _ends_before(self) -> list[int]:
        sources, ends_of = self._arcs.before[self._last], self._ends_of
        if len(sources) == 1:
            return ends_of[sources[0]]
        ends = [end for source in sources for end in ends_of[source]]
        return list(dict.fromkeys(ends)) if self._repeats else ends


class FarGraphFrame(GraphFrame):
    """A graph some of whose children must not see all that was walked before them: each is shown what it may."""

    def __init__(self, flow: Flow, before: list[int], span: Span, scope: int, visible: Visible, arcs: Arcs) -> None:
        super().__init__(flow, before, span, scope, visible, arcs)
        self._provided: list[list[Provided]] = [[] for _ in flow.children]
        self._start = self._inner = visible.mark()

    def next_before(self, child: Atom | Flow) -> list[int]:
        """Return the ends of the siblings linked before ``child``, and show it what those and theirs provide."""
        before = super().next_before(child)
        seen = self._arcs.seen_by(self._last)
        self.visible.add_all([p for at, symbols in seen for p in self._provided[at] if p.symbol in symbols])
        self._inner = self.visible.mark()
        return before

    def took(self, ends: list[int], unseen: Sequence[Provided] = ()) -> None:
        """Keep the child's ends and what it provides, and hide that."""
        super().took(ends)
        self._provided[self._last] = [*self.visible.undo(self._inner), *unseen]
        self.visible.undo(self._start)

    def finish(self) -> None:
        """Gather what all children provide, in the order in which they may run."""
        super().finish()
        self.unseen = [provided for at in self._arcs.order for provided in self._provided[at]]


def frame_of(flow: Flow, before: list[int], span: Span, scope: int, visible: Visible, links: Links) -> Frame:
    """Return the frame that walks a flow of its pattern."""
    if isinstance(flow, LinearFlow):
        return Frame(flow, before, span, scope, visible)
    if isinstance(flow, GraphFlow):
        arcs = links.of(flow)
        return (FarGraphFrame if arcs.has_far else GraphFrame)(flow, before, span, scope, visible, arcs)
    return UnorderedFrame(flow, before, span, scope, visible)
