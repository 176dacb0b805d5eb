"""Declaring flows: what they hold, in which order, and how they look."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import pytest

from flowbook.atoms import Decision, Retry, Task, task
from flowbook.exceptions import NotPossible, WrongType
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow

PATTERNS = [LinearFlow, UnorderedFlow, GraphFlow]


class Step(Task):
    def execute(self, order: str) -> str:
        return order


class Times(Retry):
    default_provides = "attempt"

    def execute(self, history: Any, budget: int) -> int:
        return budget

    def on_failure(self, history: Any) -> Decision:
        return Decision.RETRY


@task
def loose() -> None: ...


@pytest.fixture(params=PATTERNS)
def flow(request: pytest.FixtureRequest) -> Flow:
    made: Flow = request.param("orders")
    return made


def test_a_flow_holds_its_children_in_the_order_added(flow: Flow) -> None:
    a, b, inner = Step("a"), Step("b"), LinearFlow("inner")
    assert flow.add(a, b).add(inner) is flow
    assert flow.children == [a, b, inner] == list(flow) == list(flow.iter_nodes())
    assert len(flow) == 3


def test_a_child_that_is_added_again_stays_where_it_is(flow: Flow) -> None:
    a, b = Step("a"), Step("b")
    flow.add(a, b, a).add(a)
    assert flow.children == [a, b]


@pytest.mark.parametrize("wrong", [3, None, "task", object()])
def test_only_tasks_and_flows_can_be_added(flow: Flow, wrong: Any) -> None:
    with pytest.raises(WrongType, match=r"what is added to flow 'orders' \(.*\) is .*, which is not a task or a flow"):
        flow.add(wrong)


def test_adding_a_class_says_what_to_add_instead(flow: Flow) -> None:
    with pytest.raises(WrongType, match=r"add Step\(\), not the class"):
        flow.add(Step)  # type: ignore[arg-type]


def test_adding_a_plain_function_says_what_is_missing(flow: Flow) -> None:
    with pytest.raises(WrongType, match="put @task on the function"):
        flow.add(lambda: None)  # type: ignore[arg-type]


def test_a_retry_cannot_be_added_like_a_task(flow: Flow) -> None:
    with pytest.raises(WrongType, match=r"a retry goes with a flow, \w+Flow\('orders', retry=...\)"):
        flow.add(Times("t"))


def test_a_flow_cannot_be_added_to_itself(flow: Flow) -> None:
    with pytest.raises(NotPossible, match=r"'orders' .* cannot be added to itself"):
        flow.add(flow)


@pytest.mark.parametrize("name", [3, None])
def test_the_name_of_a_flow_is_a_string(name: Any) -> None:
    with pytest.raises(WrongType, match="the name of a LinearFlow"):
        LinearFlow(name)


def test_a_retry_without_a_name_is_named_after_its_flow() -> None:
    flow = LinearFlow("orders", retry=Times())
    assert flow.retry is not None
    assert flow.retry.name == "orders_retry"
    named = LinearFlow("orders", retry=Times("mine"))
    assert named.retry is not None
    assert named.retry.name == "mine"


def test_only_a_retry_can_be_the_retry_of_a_flow() -> None:
    with pytest.raises(WrongType, match="the retry of flow 'orders'"):
        LinearFlow("orders", retry=Step("s"))  # type: ignore[arg-type]


def test_the_place_of_a_flow_is_where_it_was_made() -> None:
    class Deeper(GraphFlow):
        def __init__(self, name: str) -> None:
            super().__init__(name)

    line = sys._getframe().f_lineno + 1
    flow, deeper = LinearFlow("f"), Deeper("d")
    assert flow.place.endswith(f"test_declare.py:{line}")
    assert deeper.place == flow.place


# -- links --


def test_a_linear_flow_links_each_child_to_the_next() -> None:
    a, b, c = Step("a"), Step("b"), Step("c")
    links = LinearFlow("l").add(a, b, c).iter_links()
    assert [(link.source, link.target, link.decider) for link in links] == [(a, b, None), (b, c, None)]


def test_an_unordered_flow_has_no_links() -> None:
    assert list(UnorderedFlow("u").add(Step("a"), Step("b")).iter_links()) == []


# -- what is taken and given --


def _step(name: str, needs: str, gives: str | None = None) -> Step:
    return Step(name, rebind=[needs], provides=gives)


def test_a_linear_flow_requires_what_earlier_children_do_not_provide() -> None:
    flow = LinearFlow("l").add(_step("a", "y", "x"), _step("b", "x", "y"))
    assert flow.requires == {"y"}
    assert flow.provides == {"x", "y"}


def test_the_children_of_an_unordered_flow_do_not_satisfy_each_other() -> None:
    flow = UnorderedFlow("u").add(_step("a", "i", "x"), _step("b", "x"))
    assert flow.requires == {"i", "x"}
    assert flow.provides == {"x"}


def test_what_a_retry_provides_satisfies_its_flow_and_what_it_requires_is_required(flow: Flow) -> None:
    retried = type(flow)("r", retry=Times())  # type: ignore[call-arg]
    retried.add(_step("a", "attempt"), _step("b", "z"))
    assert retried.requires == {"budget", "z"}
    assert retried.provides == {"attempt"}


def test_flows_pass_on_what_their_flows_take_and_give() -> None:
    inner = UnorderedFlow("u").add(_step("a", "i", "x"), _step("b", "j", "y"))
    flow = LinearFlow("l").add(_step("first", "k", "i"), inner, _step("last", "x"))
    assert flow.requires == {"k", "j"}
    assert flow.provides == {"i", "x", "y"}


def test_what_a_flow_takes_and_gives_may_be_asked_again() -> None:
    flow = LinearFlow("l").add(LinearFlow("m").add(_step("a", "i", "x")), _step("b", "x", "y"))
    assert [flow.requires, flow.provides] * 2 == [flow.requires, flow.provides, {"i"}, {"x", "y"}]
    assert flow.children[0].requires == {"i"}


def test_an_empty_flow_takes_and_gives_nothing(flow: Flow) -> None:
    assert (flow.requires, flow.provides) == (set(), set())


@pytest.mark.parametrize("cls", PATTERNS)
def test_flows_nest_deeper_than_python_can_call(cls: Any) -> None:
    flow = cls("0").add(_step("t", "i", "x"))
    for level in range(3000):
        flow = cls(f"{level}").add(flow)
    assert (flow.requires, flow.provides) == ({"i"}, {"x"})
    assert len(str(flow).splitlines()) == 3002


def test_a_flow_inside_itself_is_found_when_its_symbols_are_asked_for() -> None:
    a, b = LinearFlow("a"), LinearFlow("b")
    a.add(b)
    b.add(a)
    with pytest.raises(NotPossible, match=r"flow 'a' .* is in two places of flow 'a'"):
        _ = a.requires
    assert str(a).endswith("a (linear) (see above)")


# -- how it looks --


def test_the_repr_of_a_flow_is_one_line() -> None:
    assert repr(LinearFlow("orders").add(Step("a"))) == "<LinearFlow 'orders': 1 child>"
    retried = GraphFlow("orders", retry=Times())
    assert repr(retried) == "<GraphFlow 'orders': 0 children, retry 'orders_retry'>"


def test_a_printed_flow_is_a_tree() -> None:
    inner = UnorderedFlow("both", retry=Times()).add(_step("card", "order", "receipt"), loose)
    flow = LinearFlow("orders").add(_step("reserve", "order", "room"), inner, Step("ship"))
    assert str(flow).splitlines() == [
        "orders (linear)",
        "├─ reserve (order) -> room",
        "├─ both (unordered)",
        "│  ├─ retry both_retry (budget) -> attempt",
        "│  ├─ card (order) -> receipt",
        "│  └─ loose ()",
        "└─ ship (order)",
    ]


# -- copies --


@pytest.mark.parametrize("how", [copy.deepcopy, lambda flow: pickle.loads(pickle.dumps(flow))])
@pytest.mark.parametrize("cls", PATTERNS)
def test_a_copied_flow_knows_its_children(how: Any, cls: Any) -> None:
    flow = how(cls("orders").add(Step("a"), Step("b")))
    first = flow.children[0]
    flow.add(first)
    assert [child.name for child in flow] == ["a", "b"]
    assert "test_declare.py" in flow.place
