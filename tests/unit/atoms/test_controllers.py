"""The retries that are ready to use."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook import GraphFlow, LinearFlow
from flowbook.atoms import (
    AlwaysRevert,
    AlwaysRevertAll,
    Decision,
    ForEach,
    History,
    ParameterizedForEach,
    Retry,
    Times,
    task,
)
from flowbook.exceptions import NotPossible, WrongType


def after(*given: object) -> History:
    return History([(value, {}) for value in given])


def rounds(retry: Any, **arguments: object) -> tuple[list[object], Decision]:
    """Return what the retry gives while every round fails, and its last decision."""
    given: list[object] = []
    decision = Decision.RETRY
    while decision is Decision.RETRY:
        given.append(retry.execute(history=after(*given), **arguments))
        decision = retry.on_failure(history=after(*given), **arguments)
    return given, decision


@pytest.mark.parametrize("cls", [AlwaysRevert, AlwaysRevertAll, Times, ForEach, ParameterizedForEach])
def test_controllers_are_retries(cls: type) -> None:
    assert issubclass(cls, Retry)


def test_some_never_try_again() -> None:
    assert rounds(AlwaysRevert()) == ([None], Decision.REVERT)
    assert rounds(AlwaysRevertAll()) == ([None], Decision.REVERT_ALL)


def test_times_tries_so_often_and_numbers_the_attempts() -> None:
    assert rounds(Times()) == ([1], Decision.REVERT)
    assert rounds(Times(3)) == ([1, 2, 3], Decision.REVERT)
    assert rounds(Times(attempts=2, revert_all=True)) == ([1, 2], Decision.REVERT_ALL)


@pytest.mark.parametrize("attempts", ["3", 1.5, None, True])
def test_a_number_of_attempts_is_a_whole_number(attempts: Any) -> None:
    with pytest.raises(WrongType, match="attempts of <Times 'often'"):
        Times(attempts, "often")


def test_for_each_tries_one_value_after_another() -> None:
    assert rounds(ForEach(["a", "b"])) == (["a", "b"], Decision.REVERT)
    assert rounds(ForEach(iter("ab"), revert_all=True)) == (["a", "b"], Decision.REVERT_ALL)


def test_a_value_is_tried_as_often_as_it_is_listed() -> None:
    assert rounds(ForEach([1, 2, 1])) == ([1, 2, 1], Decision.REVERT)


def test_values_need_not_be_hashable() -> None:
    assert rounds(ForEach([["a"], {"b": 1}])) == ([["a"], {"b": 1}], Decision.REVERT)


def test_a_value_that_was_tried_and_is_not_listed_any_more_does_not_count() -> None:
    assert ForEach(["a", "b"]).execute(history=after("z", "a")) == "b"


def test_without_a_value_that_is_left_there_is_nothing_to_give() -> None:
    with pytest.raises(NotPossible, match="retry 'ports' has no value left to try"):
        ForEach([], "ports").execute(history=after())
    with pytest.raises(NotPossible, match="retry 'ports' has no value left to try"):
        ParameterizedForEach("ports").execute(values=[1], history=after(1))


def test_values_may_come_from_the_flow() -> None:
    retry = ParameterizedForEach("ports", provides="port", rebind={"values": "open"})
    assert (retry.requires, retry.provides) == ({"open"}, {"port"})
    assert [one.symbol for one in retry.on_failure_arguments] == ["open"]
    assert rounds(retry, values=(80, 443)) == ([80, 443], Decision.REVERT)
    assert rounds(ParameterizedForEach(revert_all=True), values={80: "http"}) == ([80], Decision.REVERT_ALL)


@pytest.mark.parametrize("values", ["80", b"80", 80, None])
def test_values_are_several(values: Any) -> None:
    with pytest.raises(WrongType, match="values of <ForEach 'ports'"):
        ForEach(values, "ports")
    with pytest.raises(WrongType, match="values of <ParameterizedForEach 'ports'"):
        ParameterizedForEach("ports").execute(values=values, history=after())
    with pytest.raises(WrongType, match="values of <ParameterizedForEach 'ports'"):
        ParameterizedForEach("ports").on_failure(values=values, history=after())


def test_what_a_controller_gives_has_the_name_that_it_is_given() -> None:
    assert Times(3, "often", "attempt").provides == {"attempt"}
    assert ForEach([1], provides="port").provides == {"port"}


def test_a_controller_may_wait_for_values_that_it_does_not_use() -> None:
    assert Times(2, "often", requires="ready").requires == {"ready"}
    assert [one.name for one in Times(2, "often", requires="ready").on_failure_arguments] == ["ready"]


def test_a_subclass_may_take_more_and_decide_otherwise() -> None:
    class WhilePatient(Times):
        def on_failure(self, history: History, patience: int, **kwargs: Any) -> Decision:
            return super().on_failure(history) if len(history) < patience else Decision.REVERT_ALL

    retry = WhilePatient(5, "patient")
    assert retry.requires == {"patience"}
    assert rounds(WhilePatient(2, "patient"), patience=9) == ([1, 2], Decision.REVERT)
    assert retry.on_failure(history=after(1, 2), patience=2) is Decision.REVERT_ALL


def test_a_controller_without_a_name_gets_that_of_its_flow() -> None:
    flow = LinearFlow("fetch", retry=Times(3))
    assert flow.retry is not None
    assert flow.retry.name == "fetch_retry"


@pytest.mark.parametrize("pattern", [LinearFlow, GraphFlow])
def test_the_flow_of_a_controller_requires_what_it_takes_and_not_what_it_gives(pattern: Any) -> None:
    connect = task(name="connect")(lambda port: port)
    flow = pattern("fetch", retry=ParameterizedForEach("ports", provides="port")).add(connect)
    assert (flow.requires, flow.provides) == ({"values"}, {"port"})


def test_a_ready_made_retry_stands_where_it_is_made() -> None:
    made = Times(3)
    assert made.place.rpartition(":")[0].endswith("test_controllers.py")
    assert ForEach([1]).place.rpartition(":")[0].endswith("test_controllers.py")
    assert AlwaysRevert().place.rpartition(":")[0].endswith("test_controllers.py")


def test_a_retry_with_an_execute_of_its_own_stands_where_that_is_defined() -> None:
    class Mine(Times):
        def execute(self, history: History, *args: object, **kwargs: object) -> int:
            return 5

    made = Mine(3)
    assert made.place != Times(3).place
    assert made.place == Mine(2).place


def test_a_limited_retry_tells_its_limit() -> None:
    assert Times(4).attempts == 4
