"""Which providers an atom sees, the nearest first."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flowbook.atoms import Decision, Retry, Task
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow
from flowbook.flows.compilation import compile_flow


class Step(Task):
    def execute(self, **values: object) -> None: ...


class Reverting(Step):
    def revert(self, **values: object) -> None: ...


def gives(name: str, *symbols: str) -> Step:
    return Step(name, provides=symbols or "x")


def takes(name: str = "c") -> Step:
    return Step(name, requires="x")


def seen(flow: Flow, name: str = "c") -> list[str]:
    """Return who provides the first argument of an atom, the nearest first."""
    plan = compile_flow(flow).plan
    [head] = plan.execute_heads[plan.index[name]]
    found = []
    while head is not None:
        found.append(plan.names[head.node])
        head = head.farther
    return found


def test_later_atoms_go_before_earlier_ones() -> None:
    assert seen(LinearFlow("f").add(gives("a"), gives("b"), takes())) == ["b", "a"]


def test_what_comes_later_or_never_is_not_seen() -> None:
    assert seen(LinearFlow("f").add(takes(), gives("a"))) == []
    assert seen(LinearFlow("f").add(gives("a", "y"), takes())) == []


def test_the_nearest_level_goes_first() -> None:
    inner = LinearFlow("g").add(gives("b"), takes())
    assert seen(LinearFlow("f").add(gives("a"), inner, gives("d"))) == ["b", "a"]


def test_what_an_earlier_flow_holds_is_seen_the_last_first() -> None:
    inner = LinearFlow("g").add(gives("b"), LinearFlow("h").add(gives("d")))
    assert seen(LinearFlow("f").add(gives("a"), inner, takes())) == ["d", "b", "a"]


def test_unordered_siblings_are_invisible() -> None:
    assert seen(UnorderedFlow("f").add(gives("a"), takes(), gives("b"))) == []
    fan = UnorderedFlow("g").add(LinearFlow("h").add(gives("b")), LinearFlow("i").add(takes()))
    assert seen(LinearFlow("f").add(gives("a"), fan)) == ["a"]


def test_unordered_children_are_seen_by_what_comes_later() -> None:
    fan = UnorderedFlow("g").add(gives("a"), gives("b"))
    assert seen(LinearFlow("f").add(fan, takes())) == ["b", "a"]


def test_a_graph_shows_only_what_is_linked_before() -> None:
    a, b, c, d = gives("a"), gives("b"), takes(), gives("d")
    flow = GraphFlow("f")
    for child in (a, b, c, d):
        flow.add(child, resolve_requires=False, resolve_existing=False)
    flow.link(a, c).link(c, d)
    assert seen(flow) == ["a"]


def test_a_graph_shows_what_is_linked_before_what_is_linked_before() -> None:
    a, b, m, c = gives("a"), gives("b"), Step("m"), takes()
    flow = GraphFlow("f")
    for child in (a, b, m, c):
        flow.add(child, resolve_requires=False, resolve_existing=False)
    flow.link(a, b).link(b, m).link(m, c)
    assert seen(flow) == ["b", "a"]


def test_a_graph_around_does_not_show_what_its_flow_is_not_linked_behind() -> None:
    a, inner = gives("a"), LinearFlow("g").add(takes())
    flow = GraphFlow("f").add(a).add(inner, resolve_requires=False)
    assert seen(flow) == []
    assert seen(flow.link(a, inner)) == ["a"]


def test_what_a_graph_holds_is_seen_later_in_the_order_of_its_links() -> None:
    a, b = gives("a"), gives("b")
    graph = GraphFlow("g").add(a, b).link(b, a)
    assert seen(LinearFlow("f").add(graph, takes())) == ["a", "b"]


@pytest.mark.parametrize("pattern", [LinearFlow, UnorderedFlow, GraphFlow])
@pytest.mark.parametrize("reads", ["", "v", "w"], ids=["nothing", "what it alone gives", "what a sibling gives too"])
def test_what_the_largest_flow_of_a_graph_holds_is_seen_later_in_the_order_of_its_links(
    pattern: type[Flow], reads: str
) -> None:
    largest = pattern("g").add(gives("a", "w", "x", "v"), gives("b", "w", "x", "y", "z"))
    sibling, reader = gives("d", "w"), Step("e", requires=reads or None)
    graph = GraphFlow("h").add(reader, largest, sibling, resolve_requires=False, resolve_existing=False)
    graph.link(largest, sibling).link(sibling, reader)
    late = LinearFlow("f").add(graph, Step("i", requires="w"), takes())
    assert seen(late, "c") == ["b", "a"]
    assert seen(late, "i") == ["d", "b", "a"]
    if reads:
        assert seen(late, "e") == {"v": ["a"], "w": ["d", "b", "a"]}[reads]


@pytest.mark.parametrize("pattern", [LinearFlow, UnorderedFlow, GraphFlow])
def test_what_the_largest_flow_of_a_graph_holds_is_seen_by_those_linked_behind_it(pattern: type[Flow]) -> None:
    largest = pattern("g").add(gives("a", "x"), gives("b", "y", "z"))
    graph = GraphFlow("h").add(takes("c"), gives("d", "z"), largest, Step("e", requires="y"))
    assert seen(graph, "c") == ["a"]
    late = LinearFlow("f").add(graph, Step("i", requires="z"), Step("j", requires="x"))
    assert (seen(late, "e"), seen(late, "i"), seen(late, "j")) == (["b"], ["b", "d"], ["a"])


def test_optional_arguments_see_siblings_that_are_linked_before() -> None:
    class Lenient(Task):
        def execute(self, x: object = None) -> None: ...

    a, c = gives("a"), Lenient("c")
    flow = GraphFlow("f").add(a, c)
    assert seen(flow) == []
    assert seen(flow.link(a, c)) == ["a"]


def test_revert_sees_what_execute_sees() -> None:
    flow = LinearFlow("f").add(gives("a"), Reverting("c", revert_requires="x"))
    plan = compile_flow(flow).plan
    [head] = plan.revert_heads[plan.index["c"]]
    assert head is not None
    assert plan.names[head.node] == "a"


def test_a_provider_is_seen_with_the_part_it_gives() -> None:
    plan = compile_flow(LinearFlow("f").add(gives("a", "y", "x"), takes())).plan
    [head] = plan.execute_heads[plan.index["c"]]
    assert head is not None
    assert (head.index, head.farther) == (1, None)


def test_many_readers_share_one_chain_of_providers() -> None:
    flow = LinearFlow("f").add(gives("a"), *[takes(f"c{number}") for number in range(5)])
    plan = compile_flow(flow).plan
    assert len({id(plan.execute_heads[plan.index[f"c{number}"]][0]) for number in range(5)}) == 1


class Lenient(Task):
    def execute(self, x: object = None) -> None: ...


def test_a_far_provider_is_seen_on_each_way_that_leads_from_it_and_on_no_other() -> None:
    a, b, d = gives("a"), gives("b"), gives("d")
    m, c, e = Lenient("m"), Lenient("c"), Lenient("e")
    flow = GraphFlow("f").add(a, b, d, m, c, e)
    flow.link(a, m).link(m, c).link(b, c).link(c, d).link(b, e)
    assert seen(flow) == ["b", "a"]
    assert seen(flow, "m") == ["a"]
    assert seen(flow, "e") == ["b"]


def test_what_reads_and_gives_a_symbol_sees_the_far_ones_and_not_itself() -> None:
    class Passing(Task):
        def execute(self, x: object = None) -> None: ...

    a, m, c = gives("a"), Step("m"), Passing("c", provides="x")
    flow = GraphFlow("f").add(a, m, c, resolve_requires=False, resolve_existing=False)
    assert seen(flow.link(a, m).link(m, c)) == ["a"]


def test_many_far_providers_are_seen_the_nearest_first() -> None:
    givers = [gives(f"a{number}") for number in range(100)]
    flow = GraphFlow("f").add(*givers, Step("m"), Lenient("c"))
    for one, other in pairwise(flow.children):
        flow.link(one, other)
    assert seen(flow) == [f"a{number}" for number in reversed(range(100))]


class Choosy(Retry):
    def execute(self, history: object) -> None: ...

    def on_failure(self, history: object, x: object = None) -> Decision:
        return Decision.REVERT


def test_a_retry_sees_what_its_on_failure_may_take_through_the_links_of_a_graph() -> None:
    provider, inner = gives("p"), LinearFlow("inner", retry=Choosy("R")).add(Step("a"))
    plan = compile_flow(GraphFlow("f").add(provider, inner).link(provider, inner)).plan
    [head] = plan.failure_heads[plan.index["R"]]
    assert head is not None
    assert plan.names[head.node] == "p"
