"""Each notice is a line; failures come with their traceback."""

from __future__ import annotations

import io

import pytest

from flowbook.listeners import PrintingListener
from unit.listeners.tasks import Fail, Give, loaded


def test_each_notice_is_a_line_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    engine = loaded(Give("a"))
    with PrintingListener(engine):
        engine.run()
    assert capsys.readouterr().out.splitlines() == [
        "r: flow 'f' is RUNNING, was PENDING",
        "r: task 'a' is RUNNING, was PENDING",
        "r: task 'a' is SUCCESS, was RUNNING",
        "r: flow 'f' is SUCCESS, was RUNNING",
    ]


def test_a_failure_is_printed_with_its_traceback_and_cause_to_the_file_that_is_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = loaded(Fail("a"))
    file = io.StringIO()
    with PrintingListener(engine, file, atom_states=("FAILURE",), flow_states=()), pytest.raises(ValueError, match="a"):
        engine.run()
    notice, heading, *rest = file.getvalue().splitlines()
    assert (notice, heading) == ("r: task 'a' is FAILURE, was RUNNING", "Traceback (most recent call last):")
    led = rest.index("which led to:")
    assert rest[led - 2 : led] == ["LookupError: the first cause", ""]
    assert rest[-1] == "ValueError: a failed"
    assert capsys.readouterr().out == ""
