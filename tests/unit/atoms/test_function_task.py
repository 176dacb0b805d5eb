"""Tasks as functions: @task."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from typing import Any

import pytest

from flowbook.atoms import FunctionTask, Task, task
from flowbook.exceptions import NotPossible, WrongType


@task
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def unadd(a: int, result: int, flow_failures: dict[str, object]) -> str:
    return f"{a} {result} {flow_failures}"


@task(provides="total", revert=unadd, version=(2, 0), priority=3)
def total(a: int) -> int:
    return a


def plain(a: int) -> int:
    return a


def test_a_function_becomes_a_task_of_its_name() -> None:
    assert isinstance(add, Task)
    assert (add.name, add.requires, add.optional, add.provides) == ("add", {"a"}, {"b"}, set())
    assert add.kind == "task"


def test_a_function_task_can_still_be_called_as_the_function() -> None:
    assert add(1) == 2
    assert add(1, b=5) == 6
    assert add.execute(a=1, b=2) == 3


def test_a_function_task_looks_like_the_function() -> None:
    assert (add.__name__, add.__doc__, add.__module__) == ("add", "Add two numbers.", __name__)
    assert add.__wrapped__(1) == 2
    assert list(inspect.signature(add).parameters) == ["a", "b"]


def test_the_decorator_takes_options() -> None:
    assert (total.provides, total.version, total.priority) == ({"total"}, (2, 0), 3)
    assert task(name="other")(plain).name == "other"


def test_revert_gets_result_and_failures_by_name() -> None:
    assert total.has_revert
    assert total.revert_takes == {"result", "flow_failures"}
    assert total.requires == {"a"}
    assert total.revert(a=1, result=2, flow_failures={}) == "1 2 {}"


def test_revert_gets_result_and_failures_through_kwargs() -> None:
    def undo(**kwargs: object) -> None: ...

    assert task(revert=undo)(plain).revert_takes == {"result", "flow_failures"}


def test_a_function_without_revert_has_none() -> None:
    assert not add.has_revert
    assert add.revert(result=1) is None
    assert add.revert_arguments == ()


def test_another_atom_of_the_function_has_another_name_and_keeps_the_rest() -> None:
    twin = total.atom("twin")
    assert twin is not total
    assert (twin.name, twin.provides, twin.version, twin.priority) == ("twin", {"total"}, (2, 0), 3)
    assert twin.has_revert
    assert total.name == "total"
    assert twin(4) == 4


def test_another_atom_may_be_wired_in_another_way() -> None:
    twin = add.atom("twin", provides="sum", rebind={"a": "x"}, inject={"b": 7}, version=(9, 0), priority=1)
    assert (twin.requires, twin.optional, twin.provides, twin.execute_inject) == ({"x"}, set(), {"sum"}, {"b": 7})
    assert (twin.version, twin.priority) == ((9, 0), 1)
    assert add.requires == {"a"}


def test_another_atom_keeps_the_wiring_of_the_one_it_was_made_of() -> None:
    bound = add.atom("bound", rebind={"a": "x"})
    assert bound.atom("again", provides="y").requires == {"x"}


def test_the_repr_of_a_function_task_says_task() -> None:
    assert repr(add) == "<task 'add' (a, b=…)>"
    assert repr(total) == "<task 'total' (a) -> total>"


def test_the_place_of_a_function_task_is_that_of_the_function() -> None:
    assert add.place.endswith(f"test_function_task.py:{add.__wrapped__.__code__.co_firstlineno}")


def test_a_function_task_of_a_module_is_pickled_by_reference() -> None:
    assert pickle.loads(pickle.dumps(add)) is add
    assert len(pickle.dumps(add)) < 100


def test_another_atom_is_pickled_with_what_is_its_own() -> None:
    twin = pickle.loads(pickle.dumps(total.atom("twin", provides="t", rebind={"a": "x"})))
    assert (twin.name, twin.provides, twin.requires, twin(3)) == ("twin", {"t"}, {"x"}, 3)
    assert twin.revert_takes == {"result", "flow_failures"}


def test_an_atom_of_an_atom_is_pickled_too() -> None:
    twin = pickle.loads(pickle.dumps(add.atom("a", provides="t").atom("b")))
    assert (twin.name, twin.provides) == ("b", {"t"})


def test_a_task_of_a_function_that_stays_importable_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(task(plain)))(3) == 3


def test_copies_are_other_tasks() -> None:
    twin = add.copy(name="twin")
    assert (twin.name, add.name, twin(1)) == ("twin", "add", 2)
    assert copy.deepcopy(twin).name == "twin"


def test_a_partial_function_needs_a_name() -> None:
    partial = functools.partial(plain, a=3)
    with pytest.raises(NotPossible, match="has no name of its own"):
        task(partial)
    named = task(name="three")(partial)
    assert (named.name, named.requires, named.execute()) == ("three", set(), 3)


@pytest.mark.parametrize("wrong", [3, "add"])
def test_what_is_no_function_is_refused(wrong: Any) -> None:
    with pytest.raises(WrongType, match="what @task is put on"):
        task(wrong)
    with pytest.raises(WrongType, match="revert of @task"):
        task(revert=wrong)(plain)


def test_a_function_whose_parameters_have_no_names_is_refused() -> None:
    with pytest.raises(NotPossible, match="takes obj by position only"):
        task(len)


def test_functions_are_tasks_of_one_class_with_their_own_parameters() -> None:
    other: FunctionTask[Any, Any] = task(lambda q: q)
    assert (other.requires, add.requires) == ({"q"}, {"a"})


def test_a_method_is_refused() -> None:
    with pytest.raises(NotPossible, match=r"Shop\.sell \(.*test_function_task\.py:\d+\) is a method") as caught:

        class Shop:
            @task
            def sell(self, order: str) -> None: ...

    assert "task(shop.sell)" in caught.value.todo


def test_a_method_of_an_object_and_a_function_without_self_in_a_class_are_tasks() -> None:
    class Shop:
        def sell(self, order: str) -> str:
            return order

        @task
        def price(order: str) -> str:  # noqa: N805 - that is the point
            return order

    assert task(Shop().sell).requires == {"order"}
    assert Shop.price.requires == {"order"}


def test_a_function_may_have_a_symbol_called_self() -> None:
    @task
    def greet(self: str) -> None: ...

    assert greet.requires == {"self"}
