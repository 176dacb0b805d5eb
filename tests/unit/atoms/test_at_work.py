"""Atoms in a run: what a declaration promises is what the methods are called with."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook import Failure, LinearFlow, Task, engines, task

Called = list[tuple[str, dict[str, Any]]]


class Give(Task):
    def execute(self) -> dict[str, int]:
        return {"a": 1, "b": 2}


class Take(Task):
    """Writes down what its methods are called with."""

    def __init__(self, called: Called, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.called = called

    def execute(self, one: int, other: int = 20, third: int = 30) -> None:
        self.called.append(("execute", {"one": one, "other": other, "third": third}))

    def revert(self, one: int, result: object, flow_failures: dict[str, Failure], other: int = 40) -> None:
        told = {"one": one, "other": other, "result": result, "failed": list(flow_failures)}
        self.called.append(("revert", told))


@task
def fail() -> None:
    raise ConnectionError("gone")


def taken(*, store: dict[str, object], **declared: Any) -> dict[str, Any]:
    """Return what execute is called with."""
    called: Called = []
    engines.run(LinearFlow("f").add(Take(called, "take", **declared)), store)
    return called[0][1]


def reverted(*, store: dict[str, object], **declared: Any) -> dict[str, Any]:
    """Return what revert is called with."""
    called: Called = []
    with pytest.raises(ConnectionError):
        engines.run(LinearFlow("f").add(Take(called, "take", **declared), fail), store)
    return called[1][1]


@pytest.mark.parametrize(
    ("provides", "given"),
    [
        ("x", {"x": {"a": 1, "b": 2}}),
        ({"a", "b"}, {"a": 1, "b": 2}),
        ({"b"}, {"b": 2}),
    ],
)
def test_a_result_is_provided_whole_or_by_its_keys(provides: Any, given: object) -> None:
    assert engines.run(Give("give", provides=provides)) == given


@pytest.mark.parametrize(("provides", "given"), [(["x", "y"], {"x": 7, "y": 8}), (("x",), {"x": 7})])
def test_a_result_is_provided_by_its_positions(provides: Any, given: object) -> None:
    assert engines.run(task(name="give", provides=provides)(lambda: (7, 8))) == given


def test_optional_arguments_are_passed_when_somebody_provides_them() -> None:
    assert taken(store={"one": 1}) == {"one": 1, "other": 20, "third": 30}
    assert taken(store={"one": 1, "third": 3}) == {"one": 1, "other": 20, "third": 3}


def test_arguments_are_fetched_under_other_symbols() -> None:
    assert taken(store={"x": 1, "y": 2}, rebind={"one": "x", "other": "y"}) == {"one": 1, "other": 2, "third": 30}
    assert taken(store={"x": 1}, rebind=["x"]) == {"one": 1, "other": 20, "third": 30}


def test_injected_values_come_before_those_of_the_flow() -> None:
    assert taken(store={"one": 1, "other": 2}, inject={"other": 9}) == {"one": 1, "other": 9, "third": 30}


def test_an_ignored_argument_is_not_passed_whoever_provides_it() -> None:
    assert taken(store={"one": 1, "other": 2}, ignore_list=["other"]) == {"one": 1, "other": 20, "third": 30}


def test_revert_gets_result_and_failures_by_name_and_the_values_that_it_takes() -> None:
    assert reverted(store={"one": 1}) == {"one": 1, "other": 40, "result": None, "failed": ["fail"]}
    assert reverted(store={"x": 1}, rebind=["x"], inject={"other": 9})["one"] == 1
    assert reverted(store={"one": 1, "x": 2}, revert_rebind={"one": "x"})["one"] == 2


def test_the_function_that_undoes_gets_result_and_failures_by_name() -> None:
    told: list[object] = []

    def undo(result: int, flow_failures: dict[str, Failure], n: int) -> None:
        told.append((result, [str(failure.exception) for failure in flow_failures.values()], n))

    double = task(name="double", revert=undo)(lambda n: 2 * n)
    with pytest.raises(ConnectionError):
        engines.run(LinearFlow("f").add(double, fail), {"n": 4})
    assert told == [(8, ["gone"], 4)]


def test_a_task_that_failed_gets_its_failure_as_result() -> None:
    class Failing(Task):
        def execute(self) -> None:
            raise ValueError("no")

        def revert(self, result: Failure, **given: Any) -> None:
            told.append((str(result.exception), list(given)))

    told: list[object] = []
    with pytest.raises(ValueError, match="no"):
        engines.run(Failing("failing"))
    assert told == [("no", ["flow_failures"])]
