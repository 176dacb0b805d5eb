"""The compiler against the reference: what comes before what, over many random flows."""

from __future__ import annotations

import networkx
import pytest

from flowbook.flows.compilation import compile_flow
from simulation.drawing import build, draw
from simulation.layout import Layout, NotWired


@pytest.mark.slow
def test_the_plan_has_the_order_of_the_reference(full: bool) -> None:
    wired = 0
    for seed in range(10_000 if full else 1_000):
        flow = build(draw(seed).flow)
        try:
            layout = Layout(flow)
        except NotWired:
            continue
        wired += 1
        plan = compile_flow(flow).plan
        edges = [(node, successor) for node, many in enumerate(plan.successors) for successor in many]
        assert len(edges) == len(set(edges)), f"seed {seed}: an edge stands twice"
        assert all(node < successor for node, successor in edges), f"seed {seed}"
        assert sorted(edges) == sorted((p, node) for node, many in enumerate(plan.predecessors) for p in many)
        graph = networkx.DiGraph(list(plan.edges()))
        graph.add_nodes_from(plan.names)
        closure = networkx.transitive_closure_dag(graph)
        for name, before in layout.before.items():
            found = (
                {other for other in closure.predecessors(name) if other in layout.atoms} if name in closure else set()
            )
            assert found == before, f"seed {seed}: {name}"
    assert wired > 500
