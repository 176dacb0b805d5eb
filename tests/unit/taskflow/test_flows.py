"""TaskFlow's patterns: what they say of themselves, and which flowbook flow they stand for."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest

from flowbook import flows
from flowbook.atoms import Retry, Task
from flowbook.atoms.retry import Decision
from flowbook.flows.compilation import compile_flow
from flowbook.taskflow import deciders, exceptions, states
from flowbook.taskflow import flow as base
from flowbook.taskflow.patterns import graph_flow, linear_flow, unordered_flow

PATTERNS = (linear_flow.Flow, unordered_flow.Flow, graph_flow.Flow)


class Step(Task):
    """Takes and gives what it is told to."""

    def __init__(self, name: str, provides: str | tuple[str, ...] = (), requires: tuple[str, ...] = ()) -> None:
        super().__init__(name, provides=provides, requires=requires)

    def execute(self, **kwargs: Any) -> None:
        pass


class Again(Retry):
    def execute(self, history: object, **kwargs: Any) -> None:
        pass

    def on_failure(self, history: object, **kwargs: Any) -> Decision:
        return Decision.RETRY


def yes(history: object) -> bool:
    return True


def no(history: object) -> bool:
    return False


def names(flow: base.Flow | flows.Flow) -> list[str]:
    return [child.name for child in flow]


def reasons(flow: base.Flow) -> list[tuple[str, str, set[str]]]:
    return [(u.name, v.name, meta.get(base.LINK_REASONS, set())) for u, v, meta in flow.iter_links()]


def native_links(flow: flows.Flow) -> list[tuple[str, str]]:
    assert isinstance(flow, flows.GraphFlow)
    return [(link.source.name, link.target.name) for link in flow.links]


# -- what a flow says of itself --


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_empty_flow_has_nothing_in_it_and_needs_nothing(pattern: type[base.Flow]) -> None:
    flow = pattern("empty")
    assert (len(flow), list(flow), list(flow.iter_links()), flow.requires, flow.provides) == (0, [], [], set(), set())


def test_a_flow_prints_its_pattern_its_name_and_how_many_children_it_has() -> None:
    assert str(linear_flow.Flow("build").add(Step("a"))) == '"linear_flow.Flow: build(len=1)"'
    assert str(graph_flow.TargetedFlow("part")) == '"graph_flow.TargetedFlow: part(len=0)"'


def test_a_name_is_made_text_and_a_retry_without_one_is_named_after_its_flow() -> None:
    flow = linear_flow.Flow(7, Again())
    assert flow.retry is not None
    assert (flow.name, flow.retry.name) == ("7", "7_retry")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_child_added_twice_is_there_once(pattern: type[base.Flow]) -> None:
    step = Step("a")
    assert list(pattern("f").add(step, step).add(step)) == [step]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_only_a_retry_is_run_as_a_retry(pattern: type[base.Flow]) -> None:
    with pytest.raises(TypeError, match="retry of flow 'f'"):
        pattern("f", Step("a")).native()  # type: ignore[arg-type]


def test_a_linear_flow_needs_what_nothing_earlier_provides() -> None:
    flow = linear_flow.Flow("f", Again(provides="r")).add(
        Step("a", provides="x", requires=("y", "r")), Step("b", provides="y", requires=("x", "z"))
    )
    assert (flow.requires, flow.provides) == ({"y", "z"}, {"x", "y", "r"})
    assert [(u.name, v.name, meta) for u, v, meta in flow.iter_links()] == [("a", "b", {"invariant": True})]


def test_siblings_of_an_unordered_flow_give_each_other_nothing() -> None:
    flow = unordered_flow.Flow("f", Again(provides="r")).add(Step("a", provides="x"), Step("b", requires=("x", "r")))
    assert flow.requires == {"x"}


def test_a_graph_flow_links_by_symbols_whichever_end_comes_first() -> None:
    flow = graph_flow.Flow("f").add(Step("last", requires=("y",)), Step("middle", "y", ("x",))).add(Step("first", "x"))
    assert reasons(flow) == [("middle", "last", {"y"}), ("first", "middle", {"x"})]
    assert names(flow) == ["first", "middle", "last"]


def test_what_is_added_without_resolving_is_linked_by_no_symbol() -> None:
    flow = graph_flow.Flow("f")
    flow.add(Step("a", "x"), Step("b", "y", ("x",)), resolve_requires=False)
    flow.add(Step("c", "z", ("y",)), resolve_requires=False)
    flow.add(Step("d", "x"), resolve_existing=False)
    assert list(flow.iter_links()) == []
    assert flow.requires == {"x", "y"}


def test_a_child_that_has_what_it_needs_is_not_linked_to_a_second_provider() -> None:
    flow = graph_flow.Flow("f").add(Step("a", "x"), Step("b", "y", ("x",)), Step("c", requires=("y",)))
    flow.add(Step("other", ("x", "y")))
    assert [link[:2] for link in reasons(flow)] == [("a", "b"), ("b", "c")]


def test_a_retry_comes_before_all_children_and_needs_no_link() -> None:
    flow = graph_flow.Flow("f", Again(provides="x")).add(Step("a", requires=("x",)), Step("b", "x"))
    assert list(flow.iter_links()) == []
    assert flow.requires == set()


def test_children_added_to_an_inner_flow_later_count_for_what_is_added_after_them() -> None:
    inner = linear_flow.Flow("inner")
    flow = graph_flow.Flow("f").add(inner)
    inner.add(Step("a", "x", ("y",)))
    flow.add(Step("b", requires=("x",)), Step("c", "y"))
    assert reasons(flow) == [("inner", "b", {"x"}), ("c", "inner", {"y"})]


def test_two_providers_of_one_symbol_are_refused_and_change_nothing() -> None:
    flow = graph_flow.Flow("f").add(Step("a", "x"), Step("b", "x"))
    with pytest.raises(exceptions.AmbiguousDependency, match="'c' requires 'x', which 'a', 'b' provide"):
        flow.add(Step("d"), Step("c", "y", ("x",)))
    assert names(flow) == ["a", "b"]
    assert reasons(flow.add(Step("e", requires=("y",)))) == []


def test_a_circle_of_symbols_is_refused_and_changes_nothing() -> None:
    flow = graph_flow.Flow("f").add(Step("a", "x", ("z",)), Step("b", "y", ("x",)))
    with pytest.raises(exceptions.DependencyFailure, match="in a circle"):
        flow.add(Step("c", "z", ("y",)))
    assert reasons(flow) == [("a", "b", {"x"})]
    assert flow.requires == {"z"}


def test_a_circle_of_links_is_refused_and_changes_nothing() -> None:
    a, b = Step("a"), Step("b")
    flow = graph_flow.Flow("f").add(a, b).link(a, b)
    for pair in ((b, a), (a, a)):
        with pytest.raises(exceptions.DependencyFailure):
            flow.link(*pair)
    assert list(flow.iter_links()) == [(a, b, {"manual": True})]


def test_only_children_can_be_linked() -> None:
    a = Step("a")
    flow = graph_flow.Flow("f").add(a)
    with pytest.raises(ValueError, match="not found to link to"):
        flow.link(a, Step("b"))
    with pytest.raises(ValueError, match="not found to link from"):
        flow.link(Step("b"), a)


@pytest.mark.parametrize(
    "decider", [{"decider": 3}, {"decider_depth": "all"}, {"decider": yes, "decider_depth": "deep"}]
)
def test_a_decider_that_makes_no_sense_is_refused_and_changes_nothing(decider: dict[str, Any]) -> None:
    a, b = Step("a"), Step("b")
    flow = graph_flow.Flow("f").add(a, b)
    with pytest.raises(ValueError, match=r"deci|depth"):
        flow.link(a, b, **decider)
    assert list(flow.iter_links()) == []


def test_a_later_decider_takes_the_place_of_the_first_and_of_its_depth() -> None:
    a, b = Step("a"), Step("b", requires=("x",))
    flow = graph_flow.Flow("f").add(a, b)
    flow.link(a, b, yes, "flow").link(a, b).link(a, b, no)
    [(_, _, meta)] = flow.iter_links()
    assert meta == {"manual": True, "decider": no, "decider_depth": deciders.Depth.ALL}


def test_a_target_leaves_out_what_it_does_not_need() -> None:
    flow = graph_flow.TargetedFlow("f")
    target = Step("b", "y", ("x",))
    flow.add(Step("a", "x"), target, Step("c", requires=("y", "out")), Step("d", "z"))
    flow.set_target(target)
    assert (names(flow), len(flow), flow.provides, flow.requires) == (["a", "b"], 2, {"x", "y"}, set())
    flow.reset_target()
    assert (len(flow), flow.requires) == (4, {"out"})


def test_a_target_is_a_child() -> None:
    with pytest.raises(ValueError, match="not found"):
        graph_flow.TargetedFlow("f").set_target(Step("a"))


def test_a_copied_flow_can_be_added_to() -> None:
    flow = copy.deepcopy(graph_flow.Flow("f").add(Step("a", "x"))).add(Step("b", requires=("x",)))
    assert reasons(flow) == [("a", "b", {"x"})]


# -- the flowbook flow --


@pytest.mark.parametrize(
    ("pattern", "native"),
    [*zip(PATTERNS, (flows.LinearFlow, flows.UnorderedFlow, flows.GraphFlow), strict=True)],
)
def test_native_has_the_pattern_the_name_the_retry_and_the_children(
    pattern: type[base.Flow], native: type[flows.Flow]
) -> None:
    retry, steps = Again("again"), [Step("b"), Step("a")]
    made = pattern("f", retry).add(*steps).native()
    assert isinstance(made, native)
    assert (made.name, made.retry, list(made)) == ("f", retry, steps)


def test_a_nested_flow_is_compiled_as_it_is() -> None:
    inner = unordered_flow.Flow("inner", Again()).add(Step("a"))
    outer = linear_flow.Flow("outer").add(Step("b"), inner)
    assert outer.native() is outer
    assert compile_flow(outer).plan.names == ["b", "inner_retry", "a"]


def test_native_of_a_graph_flow_keeps_order_and_links_and_finds_no_others() -> None:
    flow = graph_flow.Flow("f")
    flow.add(Step("late", requires=("x",)), Step("alone", "x"), resolve_existing=False)
    flow.add(Step("early", "y"), Step("next", requires=("y",)))
    late, early = (next(child for child in flow if child.name == name) for name in ("late", "early"))
    native = flow.link(early, late).native()
    assert names(native) == names(flow) == ["alone", "early", "next", "late"]
    assert native_links(native) == [("early", "next"), ("early", "late")]
    plan = compile_flow(native, inputs=["x"]).plan
    assert (plan.names, list(plan.edges())) == (names(native), native_links(native))


def test_native_takes_over_deciders_with_their_depths() -> None:
    a, inner = Step("a"), linear_flow.Flow("inner").add(Step("b"))
    native = graph_flow.Flow("f").add(a, inner).link(a, inner, yes, "Neighbors").native()
    assert native.links == [flows.Link(a, inner, yes, flows.Depth.NEIGHBORS)]


def test_native_of_a_targeted_flow_has_only_what_leads_to_the_target() -> None:
    flow, target = graph_flow.TargetedFlow("f"), Step("b", requires=("x",))
    flow.add(Step("a", "x"), target, Step("c", requires=("x",)))
    flow.set_target(target)
    assert native_links(flow.native()) == [("a", "b")]
    assert compile_flow(flow.native()).plan.names == ["a", "b"]


def test_native_says_the_same_of_symbols() -> None:
    inner = graph_flow.Flow("inner", Again(provides="r", requires=("q",)))
    inner.add(Step("a", "x", ("r",)), Step("b", "y", ("x", "in")), resolve_requires=False)
    flow = linear_flow.Flow("outer").add(Step("c", "in"), inner, Step("d", requires=("x", "z")))
    native = flow.native()
    assert (native.requires, native.provides) == (flow.requires, flow.provides)
    assert flow.requires == {"q", "x", "z"}


def test_native_tells_where_the_flow_was_made() -> None:
    place = linear_flow.Flow("f").native().place
    assert place.rpartition(":")[0].endswith("test_flows.py")


def test_native_holds_flows_that_nest_deeper_than_python_calls() -> None:
    flow: base.Flow = linear_flow.Flow("innermost").add(Step("a"))
    for level in range(3000):
        flow = PATTERNS[level % 2](f"level {level}").add(flow)
    assert compile_flow(flow.native()).plan.names == ["a"]


def test_a_flow_of_flowbook_is_a_child_like_any_other() -> None:
    inner = flows.LinearFlow("inner").add(Step("a", "x"))
    flow = graph_flow.Flow("f").add(inner, Step("b", requires=("x",)))
    assert native_links(flow.native()) == [("inner", "b")]


@pytest.mark.parametrize("stranger", [3, Step, Again("r")])
@pytest.mark.parametrize("pattern", [linear_flow.Flow, unordered_flow.Flow])
def test_native_refuses_what_is_no_task_and_no_flow(pattern: type[base.Flow], stranger: Any) -> None:
    with pytest.raises(TypeError, match="a task or a flow"):
        pattern("f").add(stranger).native()


def test_native_refuses_one_object_in_two_places() -> None:
    step, inner, retry = Step("a"), linear_flow.Flow("inner"), Again("r")
    itself = linear_flow.Flow("itself")
    for flow in (
        linear_flow.Flow("f").add(step, linear_flow.Flow("g").add(step)),
        linear_flow.Flow("f").add(inner, unordered_flow.Flow("g").add(inner)),
        linear_flow.Flow("f", retry).add(linear_flow.Flow("g", retry)),
        itself.add(linear_flow.Flow("between").add(itself)),
    ):
        with pytest.raises(ValueError, match="two places"):
            flow.native()


def test_native_refuses_atoms_that_share_a_name_wherever_they_are() -> None:
    flow = graph_flow.Flow("f", Again("b")).add(Step("a"), linear_flow.Flow("g").add(Step("a"), Step("b")))
    assert flow.requires == set()
    with pytest.raises(exceptions.Duplicate, match=r"duplicate names in flow 'f': a, b$"):
        flow.native()


# -- states and depths --


def test_depths_are_those_of_flowbook() -> None:
    assert deciders.Depth is flows.Depth
    assert deciders.pick_widest([deciders.Depth.ATOM, deciders.Depth.FLOW]) is deciders.Depth.FLOW


def test_states_are_plain_strings() -> None:
    assert {type(state) for state in (states.PENDING, states.SUSPENDED, *states.INTENTIONS)} == {str}


@pytest.mark.parametrize(
    ("old", "new", "moves"),
    [
        (states.PENDING, states.RUNNING, True),
        (states.FAILURE, states.RUNNING, True),
        (states.FAILURE, states.PENDING, True),  # a reset, which TaskFlow refuses halfway
        (states.SUSPENDED, states.PENDING, True),
        (states.RUNNING, states.RUNNING, False),
        (states.SUCCESS, states.SUSPENDING, False),
    ],
)
def test_a_flow_moves_or_stays(old: str, new: str, moves: bool) -> None:
    assert states.check_flow_transition(old, new) is moves


@pytest.mark.parametrize(("old", "new"), [(states.RUNNING, states.PENDING), (states.REVERTED, states.RUNNING)])
def test_a_flow_cannot_go_everywhere(old: str, new: str) -> None:
    with pytest.raises(exceptions.InvalidState, match=f"from {old} to {new}"):
        states.check_flow_transition(old, new)


def test_a_retry_may_go_where_a_task_may_and_try_again() -> None:
    known = {value for name, value in vars(states).items() if name == value}
    moves = set(product(known, known))
    tasks = {pair for pair in moves if states.check_task_transition(*pair)}
    retries = {pair for pair in moves if states.check_retry_transition(*pair)}
    assert len(tasks) == 10
    assert retries - tasks == {(states.SUCCESS, states.RETRYING), (states.RETRYING, states.RUNNING)}
    assert tasks < retries


def test_a_job_is_claimed_before_it_is_complete() -> None:
    assert states.check_job_transition(states.UNCLAIMED, states.CLAIMED)
    assert not states.check_job_transition(states.CLAIMED, states.CLAIMED)
    with pytest.raises(exceptions.InvalidState):
        states.check_job_transition(states.UNCLAIMED, states.COMPLETE)
