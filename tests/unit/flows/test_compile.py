"""Compiling flows: nodes, edges, marks, and what it costs."""

from __future__ import annotations

import gc
import sys
from itertools import product
from types import FrameType

import networkx
import pytest

from flowbook.atoms import Task, Times
from flowbook.exceptions import WrongType
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow
from flowbook.flows.compilation import compile_flow
from flowbook.flows.plan import Plan, differences, is_same, plan_record

PATTERNS = [LinearFlow, UnorderedFlow, GraphFlow]


class Step(Task):
    def execute(self, **values: object) -> None: ...


class Reads(Task):
    def execute(self, x: object = None, **values: object) -> None: ...


def steps(names: str) -> list[Step]:
    return [Step(name) for name in names]


def plan_of(flow: Flow | Task) -> Plan:
    return compile_flow(flow).plan


def before(plan: Plan) -> set[str]:
    """Return what comes before what among atoms, marks left out: ``ab`` when a comes before b."""
    graph = networkx.transitive_closure(networkx.DiGraph(list(plan.edges())))
    return {one + other for one, other in graph.edges if len(one) == len(other) == 1}


def fan(name: str, width: int) -> UnorderedFlow:
    return UnorderedFlow(name).add(*[Step(f"{name}{number}") for number in range(width)])


def edge_count(plan: Plan) -> int:
    return sum(map(len, plan.successors))


def marks(plan: Plan) -> list[str]:
    return [name for name, atom in zip(plan.names, plan.atoms, strict=True) if atom is None]


# -- order --


def test_a_single_task_is_a_flow_of_its_own() -> None:
    plan = plan_of(Step("a"))
    assert (plan.flow_name, plan.names, plan.atom_count) == ("a", ["a"], 1)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_flow_without_atoms_has_no_nodes(pattern: type[Flow]) -> None:
    assert plan_of(pattern("f").add(pattern("g"))).names == []


@pytest.mark.parametrize("wrong", [3, "a", None, Step])
def test_only_flows_and_tasks_are_compiled(wrong: object) -> None:
    with pytest.raises(WrongType, match="a flow or a task"):
        compile_flow(wrong)  # type: ignore[arg-type]


def test_linear_children_come_one_after_the_other() -> None:
    assert before(plan_of(LinearFlow("f").add(*steps("abc")))) == {"ab", "bc", "ac"}


def test_unordered_children_have_no_order() -> None:
    assert before(plan_of(UnorderedFlow("f").add(*steps("abc")))) == set()


def test_graph_children_come_after_those_linked_before_them() -> None:
    a, b, c, d = steps("abcd")
    flow = GraphFlow("f").add(a, b, c, d).link(c, a).link(a, b)
    assert before(plan_of(flow)) == {"ca", "ab", "cb"}


def test_a_symbol_links_its_provider_before_those_that_require_it() -> None:
    flow = GraphFlow("f").add(Step("b", requires="x"), Step("a", provides="x"), Step("c"))
    assert before(plan_of(flow)) == {"ab"}


def test_a_symbol_within_a_flow_links_the_flow() -> None:
    giver = LinearFlow("g").add(Step("a", provides="x"), Step("b"))
    flow = GraphFlow("f").add(UnorderedFlow("h").add(Step("c", requires="x"), Step("d")), giver)
    assert before(plan_of(flow)) == {"ab", "ac", "ad", "bc", "bd"}


def test_a_symbol_that_a_flow_provides_itself_links_nothing() -> None:
    inner = LinearFlow("g").add(Step("a", provides="x"), Step("b", requires="x"))
    flow = GraphFlow("f").add(inner, Step("c", provides="x"))
    assert before(plan_of(flow)) == {"ab"}


def test_children_that_do_not_resolve_are_linked_by_hand_only() -> None:
    flow = GraphFlow("f").add(Step("a", provides="x")).add(Step("b", requires="x"), resolve_requires=False)
    assert before(plan_of(flow)) == set()


def test_a_flow_comes_whole_after_a_flow() -> None:
    flow = LinearFlow("f").add(UnorderedFlow("g").add(*steps("ab")), LinearFlow("h").add(*steps("cd")))
    assert before(plan_of(flow)) == {"ac", "ad", "bc", "bd", "cd"}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_order_passes_through_flows_without_atoms(pattern: type[Flow]) -> None:
    assert before(plan_of(LinearFlow("f").add(Step("a"), pattern("g").add(pattern("h")), Step("b")))) == {"ab"}
    a, b = steps("ab")
    empty = pattern("g").add(pattern("h"))
    assert before(plan_of(GraphFlow("f").add(a, b, empty).link(a, empty).link(empty, b))) == {"ab"}


def test_nodes_are_numbered_so_that_edges_lead_upwards() -> None:
    a, b, c, d = steps("abcd")
    plan = plan_of(GraphFlow("f").add(a, b, c, d).link(d, b).link(b, a))
    assert all(node < successor for node, many in enumerate(plan.successors) for successor in many)
    assert [plan.index[name] for name in plan.names] == list(range(4))


def test_graph_children_are_numbered_in_the_order_added_as_far_as_links_allow() -> None:
    a, b, c, d, e = steps("abcde")
    assert plan_of(GraphFlow("f").add(a, b, c, d, e).link(a, c).link(b, d)).names == list("abcde")
    assert plan_of(GraphFlow("g").add(a, b, c, d, e).link(e, b)).names == list("acdeb")


def test_predecessors_are_the_other_ends_of_successors() -> None:
    plan = plan_of(LinearFlow("f").add(fan("g", 3), fan("h", 2), Step("a")))
    edges = {(node, successor) for node, many in enumerate(plan.successors) for successor in many}
    assert edges == {(predecessor, node) for node, many in enumerate(plan.predecessors) for predecessor in many}


# -- marks --


def test_marks_stand_only_where_several_ends_meet_several_beginnings() -> None:
    assert marks(plan_of(LinearFlow("f").add(Step("a"), fan("g", 3)))) == []
    assert marks(plan_of(LinearFlow("f").add(*steps("abc")))) == []
    assert marks(plan_of(fan("g", 3))) == []
    assert len(marks(plan_of(LinearFlow("f").add(fan("g", 3), fan("h", 3))))) >= 1


def test_a_fan_after_a_fan_costs_the_sum_of_their_widths() -> None:
    width = 100
    plan = plan_of(LinearFlow("f").add(fan("g", width), fan("h", width), fan("i", width)))
    assert edge_count(plan) <= 6 * width
    assert len(before_pairs(plan)) == 3 * width * width


def before_pairs(plan: Plan) -> set[tuple[str, str]]:
    graph = networkx.transitive_closure(networkx.DiGraph(list(plan.edges())))
    return {(one, other) for one, other in graph.edges if one in plan.index and other in plan.index}


def test_fans_in_a_graph_cost_the_sum_of_their_widths() -> None:
    one, other = fan("g", 100), fan("h", 100)
    plan = plan_of(GraphFlow("f").add(one, other).link(one, other))
    assert edge_count(plan) <= 400


@pytest.mark.parametrize(("pattern", "outer"), [*product(PATTERNS, [LinearFlow, GraphFlow])])
def test_a_flow_without_atoms_between_fans_adds_no_edges_for_each_pair(pattern: type[Flow], outer: type[Flow]) -> None:
    width = 50
    empty = pattern("empty")
    if outer is LinearFlow:
        flow: Flow = LinearFlow("f").add(fan("g", width), empty, fan("h", width))
    else:
        ones, others = steps_of_width("a", width), steps_of_width("b", width)
        graph = GraphFlow("f").add(*ones, empty, *others)
        for one, other in zip(ones, others, strict=True):
            graph.link(one, empty).link(empty, other)
        flow = graph
    plan = plan_of(flow)
    assert edge_count(plan) <= 4 * width
    assert len(before_pairs(plan)) == width * width


def steps_of_width(name: str, width: int) -> list[Step]:
    return [Step(f"{name}{number}") for number in range(width)]


# -- the graph --


def test_the_graph_is_frozen_and_equals_the_plan() -> None:
    compilation = compile_flow(LinearFlow("f").add(fan("g", 3), fan("h", 2), Step("a")))
    graph, plan = compilation.graph, compilation.plan
    assert networkx.is_frozen(graph)
    with pytest.raises(networkx.NetworkXError):
        graph.add_node("more")
    assert graph.name == "f"
    assert list(graph.nodes) == plan.names
    assert sorted(graph.edges) == sorted(plan.edges())
    assert compilation.graph is graph


def test_marks_have_names_of_their_own() -> None:
    plan = plan_of(LinearFlow("f").add(*[UnorderedFlow("same").add(*steps(two)) for two in ("ab", "cd", "ef")]))
    assert len(marks(plan)) == len(set(marks(plan))) > 0


# -- cost --


@pytest.mark.parametrize("pattern", PATTERNS)
def test_flows_may_nest_deeper_than_python_calls(pattern: type[Flow]) -> None:
    depth = 10_000
    assert depth > sys.getrecursionlimit()
    flow = pattern("f0").add(Step("t0"))
    for level in range(1, depth):
        flow = pattern(f"f{level}").add(Step(f"t{level}", provides=f"x{level}"), flow)
    plan = plan_of(flow)
    assert plan.atom_count == depth
    assert len(plan.names) + edge_count(plan) <= 5 * depth


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nodes_and_edges_grow_with_the_flow_and_not_faster(pattern: type[Flow]) -> None:
    def size(count: int) -> int:
        flow = pattern("f")
        for number in range(count):
            flow.add(LinearFlow(f"l{number}").add(fan(f"g{number}", 3), fan(f"h{number}", 3)))
        plan = plan_of(flow)
        return len(plan.names) + edge_count(plan)

    assert size(400) - size(200) == 2 * (size(200) - size(100))


def test_an_empty_flow_in_a_graph_makes_no_second_edge_beside_a_link() -> None:
    a, empty, b = Step("a"), LinearFlow("empty"), Step("b")
    plan = plan_of(GraphFlow("f").add(a, empty, b).link(a, empty).link(empty, b).link(a, b))
    assert (plan.successors, plan.predecessors) == ([[1], []], [[], [0]])


def calls_to_compile(flow: Flow) -> int:
    """Return how many calls compiling takes, those of functions in C included: its cost, without a clock."""
    calls = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        compile_flow(flow)
    finally:
        sys.setprofile(None)
    return calls


def test_symbols_of_nested_graphs_are_looked_at_as_often_as_their_side_is_the_smaller_one() -> None:
    def calls(depth: int) -> int:
        flow = GraphFlow("f0").add(Step("t0", provides="x0"))
        for level in range(1, depth):
            flow = GraphFlow(f"f{level}").add(Step(f"t{level}", requires=f"x{level - 1}", provides=f"x{level}"), flow)
        assert edge_count(plan_of(flow)) == depth - 1
        return calls_to_compile(flow)

    assert calls(400) <= 2 * calls(200) + 100


@pytest.mark.parametrize("first", ["x", "y"], ids=["a far provider", "no provider before"])
def test_readers_far_behind_a_provider_are_found_in_one_walk(first: str) -> None:
    def calls(count: int) -> int:
        flow = GraphFlow("f").add(Reads("a", provides=(first, "t0")))
        for number in range(count):
            flow.add(Reads(f"t{number}", requires=f"t{number}", provides=f"t{number + 1}"))
        flow.add(Reads("b", provides="y" if first == "x" else "x"))
        assert edge_count(plan_of(flow)) == count
        return calls_to_compile(flow)

    assert calls(800) <= 2 * calls(400) + 100


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_layers_of_a_graph_cost_by_their_atoms_and_links_alone(backwards: bool) -> None:
    def calls(layers: int) -> int:
        tasks = []
        for number in range(5 * layers):
            before = number // 5 * 5 - 5  # where the layer before begins
            taken = [f"t{before + place}" for place in range(3)] if number >= 5 else None
            tasks.append(Step(f"t{number}", provides=f"t{number}", requires=taken))
        return calls_to_compile(GraphFlow("f").add(*(reversed(tasks) if backwards else tasks)))

    assert calls(200) <= 2 * calls(100) + 100


@pytest.mark.parametrize("collects", [True, False])
def test_compiling_leaves_the_garbage_collector_as_it_was(collects: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        compile_flow(Step("a"))
        assert gc.isenabled() is collects
    finally:
        (gc.enable if was else gc.disable)()


def test_marks_are_told_apart_from_each_other_and_from_atoms() -> None:
    fans = [UnorderedFlow("fan").add(Step(f"a{i}"), Step(f"b{i}")) for i in range(3)]
    flow = LinearFlow("f").add(*fans, Step("begin of fan"))
    compilation = compile_flow(flow, ())
    marks = [name for name, atom in zip(compilation.plan.names, compilation.plan.atoms, strict=True) if atom is None]
    assert marks == ["begin of fan (2)", "begin of fan (3)"]
    assert len(compilation.graph) == len(compilation.plan.names)


def test_a_difference_of_versions_is_told_as_versions_are_written() -> None:
    old, new = [plan_record(plan_of(Step("a", version=version))) for version in ((1, 0), (1, 1))]
    assert differences(old, new) == ["atom 'a': version was 1.0, is 1.1"]


@pytest.mark.parametrize(
    "other",
    [
        LinearFlow("f").add(Step("a", provides="x"), Step("b", requires="x")),
        LinearFlow("f").add(Step("b", provides="x"), Step("a")),
        UnorderedFlow("f").add(Step("a", provides="x"), Step("b")),
        LinearFlow("f").add(Step("a", provides="x"), Step("b", version=(1, 1))),
        LinearFlow("f").add(Step("a", provides="y"), Step("b")),
        LinearFlow("f").add(Step("a"), Step("b")),
        LinearFlow("f").add(Step("a", provides="x"), Step("b"), Step("c")),
        LinearFlow("f", retry=Times(2, "r")).add(Step("a", provides="x"), Step("b")),
        LinearFlow("f").add(Step("a", provides="x"), Step("c")),
    ],
)
def test_plans_are_the_same_where_their_records_do_not_differ(other: Flow) -> None:
    plans = [plan_of(LinearFlow("f").add(Step("a", provides="x"), Step("b"))) for _ in range(2)]
    assert is_same(plans[0], plans[0])
    assert is_same(*plans)
    assert not differences(*map(plan_record, plans))
    changed = plan_of(other)
    assert not is_same(plans[0], changed)
    assert differences(plan_record(plans[0]), plan_record(changed))
