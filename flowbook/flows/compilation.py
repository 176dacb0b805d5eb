"""Compilation: a declared flow becomes a plan of integer arrays, and a networkx graph for those who ask for it.

One pass over the declaration, in the order in which atoms may run, without recursion: each atom is given a node, its
edges and, for each argument, the nearest provider. All wiring errors are collected and raised together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from flowbook.atoms.base import Atom
from flowbook.atoms.signature import Argument
from flowbook.atoms.task import Task
from flowbook.exceptions import CompilationFailure, Problem, WrongType
from flowbook.flows.base import Flow
from flowbook.flows.frames import Frame, frame_of
from flowbook.flows.inputs import missing_inputs
from flowbook.flows.linear import LinearFlow
from flowbook.flows.links import Links
from flowbook.flows.plan import Heads, Plan, Scope, Span, Vote
from flowbook.flows.scopes import Visible
from flowbook.garbage import uncollected

if TYPE_CHECKING:
    import networkx


class Compilation:
    """What compiling a flow gives: the ``flow``, its ``plan``, and its ``graph``."""

    def __init__(self, flow: Flow | Atom, plan: Plan) -> None:
        self.flow = flow
        self.plan = plan

    @cached_property
    def graph(self) -> networkx.DiGraph[str]:
        """The frozen graph of the flow: a node for the name of each atom and mark, an edge for each "comes before".

        Made in one linear pass when it is first asked for; the engine runs on the plan.
        """
        import networkx

        graph: networkx.DiGraph[str] = networkx.DiGraph(name=self.plan.flow_name)
        graph.add_nodes_from(self.plan.names)
        graph.add_edges_from(self.plan.edges())
        return networkx.freeze(graph)


def compile_flow(flow: Flow | Atom, inputs: Collection[str] | None = None) -> Compilation:
    """Return the compilation of ``flow``; a single task is a flow of its own.

    ``inputs`` names what is given from outside: every other symbol needs a provider (None: not checked). The garbage
    collector is off meanwhile: nothing that is made here is garbage. Raises CompilationFailure with every wiring
    error found, and WrongType when ``flow`` is neither.
    """
    with uncollected():
        compiler = _Compiler(flow)
        compiler.walk()
        compiler.check(inputs)
        return Compilation(flow, compiler.plan)


class _Compiler:
    def __init__(self, flow: Flow | Atom) -> None:
        if not isinstance(flow, Flow | Task):
            raise WrongType("what is to be compiled", flow, "a flow or a task")
        self.flow = flow
        self.plan = Plan(flow.name)
        self.visible = Visible()
        self.problems: list[Problem] = []
        self.links = Links(self.problems)
        self.frames: list[Frame] = []
        self.seen: set[int] = set()

    def walk(self) -> None:
        """Give every atom its node, in an order in which they may run."""
        plan = self.plan
        if isinstance(self.flow, Atom):
            self._add_atom(self.flow, [], 0, [])
        else:
            self._see(self.flow)
            self._open(self.flow, [], 0, [])
        frames = self.frames
        while frames:
            frame = frames[-1]
            child = next(frame.children, None)
            if child is None:
                frames.pop()
                self._close(frame, frames[-1] if frames else None)
                continue
            before = frame.next_before(child)
            votes = frame.votes_on(child, plan.index) if frame.decides else []
            if isinstance(child, Atom):
                frame.took([self._add_atom(child, before, frame.scope, votes)])
            elif self._see(child):
                self._open(child, before, frame.scope, votes)
            else:
                frame.took([])
        plan.scopes[0].end = len(plan.names)
        plan.tell_marks_apart()

    def _open(self, flow: Flow, before: list[int], scope: int, votes: list[Vote]) -> None:
        plan = self.plan
        if len(before) > 1 and len(flow.children) > 1 and flow.retry is None and not isinstance(flow, LinearFlow):
            before = [self._add_mark(flow, "begin", before, scope)]
        span = Span(flow.name, flow.pattern, len(plan.names), 0)
        plan.spans.append(span)
        if flow.retry is not None:
            plan.scopes.append(Scope(len(plan.names), 0, scope, len(plan.names)))
            scope = len(plan.scopes) - 1
            heads = self._heads(flow.retry.on_failure_arguments)
            before, votes = [self._add_atom(flow.retry, before, scope, votes)], []
            plan.failure_heads[before[0]] = heads
        frame = frame_of(flow, before, span, scope, self.visible, self.links)
        frame.votes = votes
        frame.decides |= bool(votes)
        self.frames.append(frame)

    def _close(self, frame: Frame, parent: Frame | None) -> None:
        frame.finish()
        plan, ends = self.plan, frame.ends
        branches = parent is not None and parent.branches_behind(frame.flow)
        if not ends and (frame.flow.retry is not None or (branches and len(frame.before) > 1)):
            ends = frame.before
        if len(ends) > 1 and branches:
            ends = [self._add_mark(frame.flow, "end", ends, frame.scope)]
        frame.span.end = len(plan.names)
        if frame.scope != (0 if parent is None else parent.scope):
            plan.scopes[frame.scope].end = len(plan.names)
        if parent is not None:
            parent.took(ends, frame.unseen)

    def _see(self, item: Atom | Flow) -> bool:
        if id(item) not in self.seen:
            self.seen.add(id(item))
            return True
        what = f"{item!r} stands in the flow twice"
        self.problems.append(Problem(what, (item.place,), "make a second object with its own name"))
        return False

    def _add_atom(self, atom: Atom, before: list[int], scope: int, votes: list[Vote]) -> int:
        plan = self.plan
        other = plan.index.get(atom.name)
        if other is not None and plan.atoms[other] is not atom:
            places = (plan.atom(other).place, atom.place)
            self.problems.append(Problem(f"two atoms are called {atom.name!r}", places, "give one of them a name"))
        self._see(atom)
        node = self._add_node(atom.name, before, scope)
        plan.index[atom.name] = node
        plan.atoms.append(atom)
        plan.atom_count += 1
        if atom.execute_arguments:
            plan.execute_heads[node] = self._heads(atom.execute_arguments)
        if atom.revert_arguments:
            plan.revert_heads[node] = self._heads(atom.revert_arguments)
        if votes:
            plan.votes[node] = votes
        if atom.priority:
            plan.priorities[node] = atom.priority
        for symbol, index in atom.save_as.items():
            self.visible.add(symbol, node, index)
            plan.providers.setdefault(symbol, []).append((node, index))
        return node

    def _heads(self, arguments: Iterable[Argument]) -> Heads:
        heads = self.visible.heads
        return tuple([heads.get(argument.symbol) for argument in arguments])

    def _add_mark(self, flow: Flow, which: str, before: list[int], scope: int) -> int:
        plan = self.plan
        node = self._add_node(f"{which} of {flow.name}", before, scope)
        plan.atoms.append(None)
        return node

    def _add_node(self, name: str, before: list[int], scope: int) -> int:
        plan = self.plan
        node = len(plan.names)
        plan.names.append(name)
        plan.successors.append([])
        plan.predecessors.append(before)
        plan.scope_of.append(scope)
        for predecessor in before:
            plan.successors[predecessor].append(node)
        return node

    def check(self, inputs: Collection[str] | None) -> None:
        """Raise all that is wrong, missing inputs included when it is known what is given."""
        if inputs is not None:
            self.problems += missing_inputs(self.plan, inputs)
        if self.problems:
            raise CompilationFailure(self.plan.flow_name, self.problems)
