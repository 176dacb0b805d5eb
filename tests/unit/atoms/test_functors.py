"""Tasks that call a function with several values."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from flowbook import GraphFlow, LinearFlow, engines
from flowbook.atoms import MapFunctorTask, ReduceFunctorTask, task
from flowbook.exceptions import NotPossible, WrongType

STORE = {"rent": 900, "food": 300, "fun": 50}


def double(value: int) -> int:
    return 2 * value


def less(one: int, other: int) -> int:
    return one - other


def run(functor_task: Any, **store: object) -> dict[str, Any]:
    return engines.run(LinearFlow("f").add(functor_task), store or STORE)


def test_map_gives_the_results_in_the_order_of_what_it_requires() -> None:
    twice = MapFunctorTask(double, ["rent", "food"], provides=["rent2", "food2"])
    assert (twice.name, list(twice.provides), twice.requires) == ("double", ["rent2", "food2"], {"rent", "food"})
    assert run(twice) == {**STORE, "rent2": 1800, "food2": 600}
    assert MapFunctorTask(double, ["b", "a"]).execute(a=1, b=2) == [4, 2]


def test_reduce_folds_from_the_left_in_the_order_of_what_it_requires() -> None:
    left = ReduceFunctorTask(less, ["rent", "food", "fun"], provides="left")
    assert run(left)["left"] == 550
    assert run(ReduceFunctorTask(less, ["fun", "rent"], provides="left"))["left"] == -850


def test_names_may_come_in_any_collection() -> None:
    assert MapFunctorTask(double, STORE.keys()).execute(**STORE) == [1800, 600, 100]
    assert MapFunctorTask(double, "rent").execute(rent=1) == [2]
    assert MapFunctorTask(double, {"b", "a", "c"}).execute(a=1, b=2, c=3) == [2, 4, 6]
    assert MapFunctorTask(double, []).execute() == []


@pytest.mark.parametrize("rebind", [{"one": "rent", "other": "fun"}, ["rent", "fun"], ("rent", "fun")])
def test_values_may_be_fetched_under_other_symbols(rebind: Any) -> None:
    names = ["one", "other"]
    assert run(MapFunctorTask(double, names, provides=["a", "b"], rebind=rebind)) == {**STORE, "a": 1800, "b": 100}
    assert run(ReduceFunctorTask(less, names, provides="left", rebind=rebind))["left"] == 850


def test_some_values_may_be_fetched_under_other_symbols() -> None:
    rebound = ReduceFunctorTask(less, ["income", "rent"], rebind=["fun"], provides="left")
    assert rebound.requires == {"fun", "rent"}
    assert run(rebound)["left"] == -850


def test_values_may_be_injected() -> None:
    taxed = ReduceFunctorTask(less, ["rent", "tax"], inject={"tax": 100}, provides="left")
    assert taxed.requires == {"rent"}
    assert run(taxed, rent=900) == {"rent": 900, "left": 800}


def test_a_name_may_stand_twice() -> None:
    assert ReduceFunctorTask(operator.add, ["a", "a"]).execute(a=4) == 8


def test_the_links_of_a_graph_follow_what_is_required() -> None:
    give = task(name="give", provides=["a", "b"])(lambda: (7, 3))
    flow = GraphFlow("g").add(ReduceFunctorTask(less, ["a", "b"], provides="left"), give)
    assert engines.run(flow)["left"] == 4


def test_functions_of_other_kinds_are_called_by_position() -> None:
    assert MapFunctorTask(lambda value, times=3: value * times, ["a"]).execute(a=2) == [6]
    assert MapFunctorTask(lambda *values: sum(values), ["a"]).execute(a=2) == [2]
    assert MapFunctorTask(str, ["a"], "text").execute(a=2) == ["2"]
    assert ReduceFunctorTask(operator.mul, ["a", "b"]).execute(a=2, b=5) == 10
    assert ReduceFunctorTask(max, ["a", "b"]).execute(a=2, b=5) == 5


def test_the_place_of_such_a_task_is_that_of_its_function() -> None:
    assert MapFunctorTask(double, ["a"]).place.endswith(f"test_functors.py:{double.__code__.co_firstlineno}")


@pytest.mark.parametrize("cls", [MapFunctorTask, ReduceFunctorTask])
@pytest.mark.parametrize("functor", [3, "double", None])
def test_what_is_no_function_is_refused(cls: Any, functor: Any) -> None:
    with pytest.raises(WrongType, match=f"the function of {cls.__name__}"):
        cls(functor, ["a", "b"])


@pytest.mark.parametrize(
    ("cls", "functor"),
    [
        (MapFunctorTask, lambda: None),
        (MapFunctorTask, less),
        (MapFunctorTask, lambda *, value: value),
        (ReduceFunctorTask, double),
        (ReduceFunctorTask, lambda one, two, three: one),
    ],
)
def test_a_function_that_cannot_be_called_with_so_many_values_is_refused(cls: Any, functor: Any) -> None:
    with pytest.raises(NotPossible, match=f"the function of {cls.__name__} is called with") as caught:
        cls(functor, ["a", "b"])
    assert "test_functors.py" in caught.value.where


def test_an_async_function_is_refused() -> None:
    async def later(value: int) -> int:
        return value

    with pytest.raises(NotPossible, match="is async"):
        MapFunctorTask(later, ["a"])


@pytest.mark.parametrize("requires", [5, None, {"a": 1}, [1, 2], {1, "a"}])
def test_what_is_required_are_names(requires: Any) -> None:
    with pytest.raises(WrongType, match="requires of"):
        ReduceFunctorTask(less, requires)


@pytest.mark.parametrize("requires", [[], ["a"], "ab"])
def test_one_value_is_too_few_to_fold(requires: Any) -> None:
    with pytest.raises(
        NotPossible, match=f"requires {len([requires] if requires == 'ab' else requires)} of at least 2"
    ):
        ReduceFunctorTask(less, requires)


def test_more_symbols_than_names_are_refused() -> None:
    with pytest.raises(NotPossible, match="3 symbols for 2 required values"):
        ReduceFunctorTask(less, ["a", "b"], rebind=["x", "y", "z"])


@pytest.mark.parametrize("asked", [{"rebind": {"c": "x"}}, {"inject": {"c": 1}}])
def test_names_that_are_not_required_are_told(asked: Any) -> None:
    with pytest.raises(NotPossible, match="names 'c', which it does not require"):
        MapFunctorTask(double, ["a", "b"], **asked)


@pytest.mark.parametrize("asked", [{"rebind": 3}, {"rebind": {"a"}}, {"inject": ["a"]}])
def test_rebind_and_inject_of_another_type_are_refused(asked: Any) -> None:
    with pytest.raises(WrongType, match=f"{next(iter(asked))} of MapFunctorTask"):
        MapFunctorTask(double, ["a", "b"], **asked)
