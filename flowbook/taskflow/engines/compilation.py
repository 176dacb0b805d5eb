"""A flow compiled by flowbook, as TaskFlow's engines show it and as their storage asks for it."""

from functools import cached_property
from typing import Any

import networkx

from flowbook.atoms import Atom, Task
from flowbook.exceptions import CompilationFailure
from flowbook.flows.base import Flow as NativeFlow
from flowbook.flows.compilation import compile_flow
from flowbook.taskflow import exceptions
from flowbook.taskflow.flow import Flow
from flowbook.taskflow.storage import Storage
from flowbook.taskflow.types import graph, tree


class Compilation:
    """What compiling gives: ``native`` and its ``plan``, which the engine runs, and pictures of the flow.

    Raises TypeError for what cannot be run, ValueError, Duplicate and CompilationFailure for what does not go together.
    """

    def __init__(self, flow: Any) -> None:
        if not isinstance(flow, Flow | Task | NativeFlow):
            raise TypeError(f"An engine runs a flow or a task, and not {flow!r} ({type(flow).__name__})")
        self._flow = flow
        try:
            self.native = compile_flow(flow.native() if isinstance(flow, Flow) else flow)
        except CompilationFailure as error:
            raise exceptions.CompilationFailure(str(error), error) from error
        self.plan = self.native.plan
        self.atoms = [self.plan.atom(node) for node in self.plan.atom_nodes()]

    @cached_property
    def execution_graph(self) -> graph.DiGraph:
        """Atoms, and marks between them, with their ``kind``; an edge leads to what comes after."""
        drawn, plan = graph.DiGraph(name=self._flow.name), self.plan
        nodes: list[Any] = [atom or name for atom, name in zip(plan.atoms, plan.names, strict=True)]
        drawn.add_nodes_from((item, {"kind": getattr(item, "kind", "flow")}) for item in nodes)
        drawn.add_edges_from((nodes[u], nodes[v]) for u, after in enumerate(plan.successors) for v in after)
        return drawn

    @cached_property
    def hierarchy(self) -> tree.Node:
        """Flows, and what is in them below, with their ``kind``."""
        root = tree.Node(self._flow, kind=getattr(self._flow, "kind", "flow"))
        waiting = [root]
        for node in waiting:
            flow = node.item
            for item in () if isinstance(flow, Atom) else (*([flow.retry] if flow.retry else ()), *flow):
                waiting.append(tree.Node(item, kind=getattr(item, "kind", "flow")))
                node.add(waiting[-1])
        return root

    def scopes_of(self, name: str) -> list[list[str]] | None:
        """Return the names of the atoms whose results an atom may see, the nearest first; None for an unknown name."""
        index = self.plan.index
        before = index.keys() & networkx.ancestors(self.native.graph, name) if name in index else ()
        return [sorted(before, key=index.__getitem__, reverse=True)] if name in index else None

    def check_given(self, storage: Storage) -> None:
        """Raise MissingDependencies for arguments that nobody provides and ``storage`` was not given."""
        cause, missing, plan = None, set[str](), self.plan
        for atom in self.atoms:
            for method, heads in (("execute", plan.execute_heads), ("revert", plan.revert_heads)):
                if None in heads.get(plan.index[atom.name], ()):
                    mapping = {one.name: one.symbol for one in getattr(atom, f"{method}_arguments") if not one.optional}
                    names = storage.fetch_unsatisfied_args(atom.name, mapping)
                    if names:
                        cause = exceptions.MissingDependencies(atom, sorted(names), cause=cause, method=method)
                        missing |= names
        if cause is not None:
            is_alone = isinstance(self._flow, Atom) and cause.cause is None
            raise cause if is_alone else exceptions.MissingDependencies(self._flow, sorted(missing), cause=cause)
