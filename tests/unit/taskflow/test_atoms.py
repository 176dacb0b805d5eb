"""Atoms in TaskFlow's words, above all where TaskFlow itself goes wrong."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from flowbook.atoms import Argument
from flowbook.taskflow import exceptions
from flowbook.taskflow.retry import RETRY, REVERT, ForEach, History, Retry, Times
from flowbook.taskflow.task import FunctorTask, MapFunctorTask, ReduceFunctorTask, Task


class Mount(Task):
    def execute(self, volume: str, options: str = "") -> None: ...

    def revert(self, volume: str, tenant: str, result: object, **kwargs: Any) -> None: ...


class Report(Task):
    def execute(self) -> None:
        self.update_progress(0.5)
        self.update_progress(7)


def test_an_ignored_argument_is_not_required() -> None:
    """TaskFlow's tasks forget what they are asked to ignore."""
    assert list(Mount(ignore_list=["options"]).optional) == []


def test_the_function_that_undoes_takes_result_and_failures_by_name() -> None:
    """TaskFlow asks the flow for these two."""
    made = FunctorTask(lambda n: n, name="f", revert=lambda n, result, flow_failures: result)
    assert list(made.requires) == ["n"]
    assert made.revert_takes == {"result", "flow_failures"}
    assert made.has_revert


def test_a_function_may_have_a_symbol_called_result() -> None:
    made = FunctorTask(lambda result: result, name="f", rebind=["answer"])
    assert (dict(made.rebind), list(made.requires), made.has_revert) == ({"result": "answer"}, ["answer"], False)


@pytest.mark.parametrize("rebind", [{"a": "x"}, ["x"]])
def test_functions_over_several_values_may_be_rebound(rebind: Any) -> None:
    """TaskFlow looks their values up under the wrong names."""
    added = ReduceFunctorTask(operator.sub, ["a", "b"], rebind=rebind)
    assert list(added.requires) == ["x", "b"]
    assert added.execute(a=5, b=3) == 2
    assert MapFunctorTask(lambda value: -value, ["a", "b"], rebind=rebind).execute(a=5, b=3) == [-5, -3]


def test_values_are_injected_by_symbol_into_each_method_that_takes_them() -> None:
    mount = Mount(rebind={"volume": "disk"}, inject={"disk": "sda", "tenant": "me", "unknown": 1})
    assert list(mount.requires) == []
    assert (mount.execute_inject, mount.revert_inject) == ({"volume": "sda"}, {"volume": "sda", "tenant": "me"})
    assert mount.execute_arguments == (Argument("options", "options", optional=True),)
    assert mount.revert_arguments == ()


def test_the_engine_reads_attributes_that_were_changed_after_the_task_was_made() -> None:
    mount = Mount()
    mount.rebind["volume"] = "disk"
    mount.inject = {"options": "ro"}
    assert mount.execute_arguments == (Argument("volume", "disk", optional=False),)
    assert mount.execute_inject == {"options": "ro"}


def test_a_version_is_that_of_the_object() -> None:
    mount = Mount("mount")
    mount.version = (2, 1)
    assert str(mount) == '"mount==2.1"'


def test_an_abstract_task_cannot_be_made() -> None:
    abstract: Any = Task
    with pytest.raises(TypeError, match="abstract"):
        abstract("t")


def test_a_copy_of_a_task_has_listeners_of_its_own() -> None:
    heard: list[float] = []
    report = Report("r")
    report.notifier.register("update_progress", lambda event, details: heard.append(details["progress"]))
    report.copy(retain_listeners=False).execute()
    assert heard == []
    report.copy().execute()
    assert heard == [0.5, 1.0]


def test_a_retry_is_asked_with_what_it_is_executed_with() -> None:
    class Limited(Retry):
        def execute(self, history: History, limit: int, pause: int) -> int:
            return limit

        def on_failure(self, history: History, limit: int) -> Any:
            return RETRY if len(history) < limit else REVERT

    limited = Limited(rebind=["most", "wait"])
    assert limited.name is None
    assert limited.on_failure_arguments == (Argument("limit", "most", optional=False),)


def test_a_retry_may_be_reverted_without_taking_the_failures() -> None:
    class Counting(Times):
        def revert(self, history: History) -> None: ...

    assert Counting(3).revert_takes == {"history"}


def test_a_retry_without_values_says_so_in_taskflows_words() -> None:
    with pytest.raises(exceptions.NotFound, match="No elements left for the retry ports"):
        ForEach([], "ports").execute(History([]))
