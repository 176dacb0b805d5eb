"""What these types and errors do beyond TaskFlow's, whose own tests cover the rest."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

import flowbook
from flowbook.exceptions import FlowbookError
from flowbook.taskflow import exceptions
from flowbook.taskflow.types import graph, notifier, tree
from flowbook.taskflow.types.failure import Failure


def failing_for(reasons: int) -> Failure:
    exception = ValueError(0)
    for number in range(1, reasons):
        cause, exception = exception, ValueError(number)
        exception.__cause__ = cause
    return Failure.from_exception(exception)


def test_a_failure_is_the_one_that_the_engine_makes() -> None:
    assert Failure is flowbook.Failure
    assert exceptions.WrappedFailure is flowbook.WrappedFailure


def test_a_dict_in_the_older_form_whose_causes_hold_theirs_is_read() -> None:
    root, middle = ({"version": 1, "exc_type_names": ["OSError", "Exception"], "traceback_str": ""} for _ in range(2))
    root |= {"exception_str": "root", "causes": []}
    middle |= {"exception_str": "middle", "causes": [root]}
    data = {**middle, "exception_str": "top", "causes": [middle, root]}
    Failure.validate(data)
    failure = Failure.from_dict(data)
    assert [cause.exception_str for cause in failure.causes] == ["middle", "root"]
    assert [cause.exception_str for cause in failure.causes[0].causes] == ["root"]


def test_a_chain_of_causes_takes_room_in_proportion() -> None:
    assert len(str(failing_for(20).to_dict())) < 3 * len(str(failing_for(10).to_dict()))


def test_a_failure_can_picture_an_interrupt_where_that_is_asked_for() -> None:
    failure = Failure.from_exception(KeyboardInterrupt())
    assert failure.check(BaseException) is BaseException
    with pytest.raises(KeyboardInterrupt):
        failure.reraise()


def test_failures_can_be_keys() -> None:
    failure = failing_for(2)
    assert {failure: "seen"}[failure.copy()] == "seen"


def test_one_except_catches_what_flowbook_and_this_layer_find_wrong_with_a_dict() -> None:
    with pytest.raises(exceptions.InvalidFormat) as raised:
        Failure.validate({})
    assert isinstance(raised.value, FlowbookError)
    assert isinstance(raised.value, ValueError)


def test_the_chain_of_an_error_is_that_of_the_interpreter_too() -> None:
    def look() -> None:
        try:
            raise OSError("dead")
        except OSError:
            exceptions.raise_with_cause(exceptions.NotFound, "no book")

    with pytest.raises(exceptions.NotFound) as raised:
        look()
    assert raised.value.cause is raised.value.__cause__
    assert str(raised.value).splitlines() == ["no book", "  OSError: dead"]


def test_an_error_that_was_given_no_message_can_be_shown() -> None:
    error = exceptions.NotFound("gone")
    error.args = ()
    assert str(error) == ""


def test_a_callback_that_fails_is_logged_and_the_next_is_called(caplog: pytest.LogCaptureFixture) -> None:
    called: list[dict[str, Any]] = []

    def fail(event: str, details: dict[str, Any]) -> None:
        details.clear()
        raise RuntimeError("not today")

    def note(event: str, details: dict[str, Any]) -> None:
        called.append(details)

    told = notifier.Notifier()
    told.register("done", fail)
    told.register("done", note)
    with caplog.at_level(logging.WARNING):
        told.notify("done", {"by": "me"})
    assert called == [{"by": "me"}]
    assert "not today" in caplog.text


def test_deep_trees_are_printed_searched_and_frozen() -> None:
    deepest = root = tree.Node(0)
    for number in range(1, 3000):
        child = tree.Node(number)
        deepest.add(child)
        deepest = child
    assert root.find(2999) is deepest
    assert root.pformat().count("|__") == 2999
    root.freeze()
    with pytest.raises(tree.FrozenNode):
        deepest.add(tree.Node("late"))


def test_merging_leaves_the_graphs_as_they_were() -> None:
    one, other = graph.DiGraph(name="one"), graph.DiGraph(name="other")
    one.add_node("a", kind="task")
    other.add_edge("b", "c", invariant=True)
    merged = graph.merge_graphs(one.freeze(), other)
    assert isinstance(merged, graph.DiGraph)
    assert merged.name == "one"
    assert merged.get_edge_data("b", "c") == {"invariant": True}
    assert list(one) == ["a"]
    assert not merged.frozen


def test_a_graph_is_written_for_graphviz_with_all_its_attributes() -> None:
    drawn = graph.OrderedDiGraph(name="plan")
    drawn.add_node('say "hi"', shape="box")
    drawn.add_edge('say "hi"', "node", weight=2)
    assert drawn.export_to_dot().splitlines() == [
        'strict digraph "plan" {',
        r'"say \"hi\"" [shape=box];',
        '"node";',  # a word of the language
        r'"say \"hi\"" -> "node" [weight=2];',
        "}",
    ]


@pytest.mark.slow
def test_a_client_of_zookeeper_asks_for_kazoo_when_it_is_made_and_not_before() -> None:
    program = (
        "import sys; sys.modules['kazoo'] = None\n"
        "from flowbook.taskflow.utils import kazoo_utils\n"
        "try:\n"
        "    kazoo_utils.make_client({})\n"
        "except ImportError:\n"
        "    print('named when used')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "named when used\n"
