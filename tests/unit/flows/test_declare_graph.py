"""Declaring graph flows: links by hand, deciders, and what is kept for links by symbols."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flowbook.atoms import Task
from flowbook.exceptions import NotPossible, WrongType
from flowbook.flows import Depth, GraphFlow, LinearFlow
from flowbook.flows.deciders import pick_widest


class Step(Task):
    def execute(self, **kwargs: object) -> None: ...


def yes(history: dict[str, Any]) -> bool:
    return True


def no(history: dict[str, Any]) -> bool:
    return False


@pytest.fixture
def a() -> Step:
    return Step("a", provides="x")


@pytest.fixture
def b() -> Step:
    return Step("b", requires="x")


# -- links --


def test_links_are_kept_in_the_order_made(a: Step, b: Step) -> None:
    inner = LinearFlow("inner")
    flow = GraphFlow("g").add(a, b, inner)
    assert flow.link(b, inner).link(a, b) is flow
    assert [(link.source, link.target, link.decider, link.depth) for link in flow.links] == [
        (b, inner, None, None),
        (a, b, None, None),
    ]
    assert list(flow.iter_links()) == flow.links


def test_a_link_may_have_a_decider_that_reaches_everything_unless_said(a: Step, b: Step) -> None:
    flow = GraphFlow("g").add(a, b).link(a, b, decider=yes)
    assert (flow.links[0].decider, flow.links[0].depth) == (yes, Depth.ALL)
    flow.link(a, b, decider=no, decider_depth="atom")
    assert (flow.links[0].decider, flow.links[0].depth) == (no, Depth.ATOM)


def test_linking_again_without_a_decider_keeps_the_decider(a: Step, b: Step) -> None:
    flow = GraphFlow("g").add(a, b).link(a, b, decider=yes, decider_depth=Depth.FLOW).link(a, b)
    assert len(flow.links) == 1
    assert (flow.links[0].decider, flow.links[0].depth) == (yes, Depth.FLOW)


def test_only_children_can_be_linked(a: Step, b: Step) -> None:
    flow = GraphFlow("g").add(Step("alpha"))
    with pytest.raises(ValueError, match=r"link in flow 'g' \(.*test_declare_graph\.py:\d+\): 'alpha_' is none of"):
        flow.link(Step("alpha_"), b)
    with pytest.raises(NotPossible, match="did you mean 'alpha'"):
        flow.link(flow.children[0], Step("alfa"))
    with pytest.raises(NotPossible, match="3 is none of its children"):
        flow.link(3, b)  # type: ignore[arg-type]


def test_a_child_cannot_be_linked_to_itself(a: Step) -> None:
    with pytest.raises(NotPossible, match="'a' cannot be linked to itself"):
        GraphFlow("g").add(a).link(a, a)


def test_a_decider_can_be_called(a: Step, b: Step) -> None:
    with pytest.raises(ValueError, match="the decider 3 cannot be called"):
        GraphFlow("g").add(a, b).link(a, b, decider=3)  # type: ignore[arg-type]


def test_a_depth_needs_a_decider(a: Step, b: Step) -> None:
    with pytest.raises(ValueError, match="means nothing without a decider"):
        GraphFlow("g").add(a, b).link(a, b, decider_depth="all")


def test_a_link_that_is_refused_leaves_the_flow_as_it_was(a: Step, b: Step) -> None:
    flow = GraphFlow("g").add(a, b)
    with pytest.raises(NotPossible, match="no depth is called 'everything'"):
        flow.link(a, b, decider=yes, decider_depth="everything")
    assert flow.links == []


# -- symbols --


def test_the_child_added_later_decides_whether_symbols_link(a: Step, b: Step) -> None:
    assert GraphFlow("g").add(a, b).resolves(a, b)
    assert GraphFlow("g").add(b, a).resolves(a, b)
    assert not GraphFlow("g").add(a).add(b, resolve_requires=False).resolves(a, b)
    assert GraphFlow("g").add(b).add(a, resolve_requires=False).resolves(a, b)
    assert not GraphFlow("g").add(b).add(a, resolve_existing=False).resolves(a, b)
    assert GraphFlow("g").add(a).add(b, resolve_existing=False).resolves(a, b)


def test_adding_again_does_not_change_how_a_child_was_added(a: Step, b: Step) -> None:
    flow = GraphFlow("g").add(a, b).add(a, b, resolve_requires=False, resolve_existing=False)
    assert flow.resolves(a, b)


def test_a_graph_flow_requires_what_no_child_before_provides(a: Step, b: Step) -> None:
    assert GraphFlow("g").add(a, b).requires == set()
    assert GraphFlow("g").add(b, a).requires == set()
    assert GraphFlow("g").add(b).requires == {"x"}


def test_without_resolving_only_links_by_hand_satisfy(a: Step, b: Step) -> None:
    flow = GraphFlow("g").add(a).add(b, resolve_requires=False)
    assert flow.requires == {"x"}
    flow.link(a, b)
    assert flow.requires == set()


def test_what_comes_before_what_comes_before_satisfies_too(a: Step, b: Step) -> None:
    middle = Step("m")
    flow = GraphFlow("g").add(a, middle).add(b, resolve_requires=False).link(a, middle).link(middle, b)
    assert flow.requires == set()


def test_a_child_does_not_satisfy_itself() -> None:
    assert GraphFlow("g").add(Step("s", requires="x", provides="x")).requires == {"x"}


def test_what_children_take_and_give_may_go_in_a_circle() -> None:
    flow = GraphFlow("g").add(Step("s", requires="x", provides="y"), Step("t", requires="y", provides="x"))
    assert (flow.requires, flow.provides) == (set(), {"x", "y"})


def test_a_copied_graph_flow_keeps_its_links(a: Step, b: Step) -> None:
    flow = copy.deepcopy(GraphFlow("g").add(a, b, resolve_existing=False).link(a, b))
    first, second = flow.children
    assert (flow.links[0].source, flow.links[0].target) == (first, second)
    flow.link(first, second)
    assert len(flow.links) == 1
    assert flow.resolves(first, second)
    assert not flow.resolves(second, first)


# -- depths --


@pytest.mark.parametrize("word", ["FLOW", "flow", "Flow", Depth.FLOW])
def test_a_depth_is_found_by_its_name_in_any_case(word: str) -> None:
    assert Depth.translate(word) is Depth.FLOW


def test_an_unknown_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="there are ALL, FLOW, NEIGHBORS, ATOM") as caught:
        Depth.translate("neighbours")
    assert caught.value.todo == "did you mean 'NEIGHBORS'?"  # type: ignore[attr-defined]
    with pytest.raises(WrongType):
        Depth.translate(3)


def test_the_widest_depth_is_picked() -> None:
    assert pick_widest([Depth.ATOM, Depth.FLOW, Depth.NEIGHBORS]) is Depth.FLOW
    assert pick_widest(iter([Depth.ATOM, Depth.ALL])) is Depth.ALL
    assert pick_widest([Depth.ATOM]) is Depth.ATOM
    with pytest.raises(ValueError, match="no depth"):
        pick_widest([])
