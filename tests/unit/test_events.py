"""Listeners hear of the states that they are registered for."""

from __future__ import annotations

import pytest

from flowbook import AtomState, FlowState, Notice
from flowbook.events import ANY, PROGRESS, Notifier
from flowbook.exceptions import NotPossible, WrongType

NOTICE = Notice("r", "f", "task", "a", "SUCCESS", "RUNNING", 0.0)


@pytest.mark.parametrize("state", [*AtomState, *FlowState, "SUCCESS", "SUSPENDED", ANY])
def test_every_state_can_be_listened_for(state: str) -> None:
    Notifier().register(state, print)


@pytest.mark.parametrize(("slip", "near"), [("SUCESS", "SUCCESS"), ("success", "SUCCESS"), ("Reverting", "REVERTING")])
def test_a_state_with_a_slip_is_refused_with_the_nearest(slip: str, near: str) -> None:
    notifier = Notifier()
    with pytest.raises(NotPossible, match=f"no state '{slip}'") as caught:
        notifier.register(slip, print)
    assert caught.value.todo == f"did you mean '{near}'?"
    assert not notifier


def test_a_state_that_resembles_none_is_refused_with_all() -> None:
    with pytest.raises(NotPossible) as caught:
        Notifier().register("xyzzy", print)
    assert "SUSPENDED" in caught.value.todo


def test_arguments_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(WrongType):
        Notifier().register(print, "SUCCESS")  # type: ignore[arg-type]
    with pytest.raises(WrongType):
        Notifier().register("SUCCESS", "SUCCESS")  # type: ignore[arg-type]


def test_a_listener_hears_of_its_state_and_of_no_other() -> None:
    heard: list[Notice] = []
    notifier = Notifier()
    notifier.register("FAILURE", heard.append)
    notifier.notify(NOTICE)
    assert heard == []
    notifier.register(AtomState.SUCCESS, heard.append)
    notifier.notify(NOTICE)
    assert heard == [NOTICE]
    assert notifier.deregister("SUCCESS", heard.append)
    assert not notifier.deregister("SUCCESS", heard.append)


def test_progress_is_no_state_and_is_heard_by_those_alone_who_ask_for_it() -> None:
    heard: list[str] = []
    notifier = Notifier()
    notifier.register(ANY, lambda notice: heard.append("any"))
    notifier.register(PROGRESS, lambda notice: heard.append("progress"))
    notifier.notify(Notice("r", "f", "task", "a", PROGRESS, "RUNNING", 0.0, 1, 0.5))
    assert heard == ["progress"]


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (Notice("r", "f", "flow", "", "RUNNING", "PENDING", 0.0), "r: flow 'f' is RUNNING, was PENDING"),
        (Notice("r", "f", "task", "a", "SUCCESS", "RUNNING", 0.0, 1), "r: task 'a' is SUCCESS, was RUNNING"),
        (Notice("r", "f", "task", "a", "SUCCESS", "RUNNING", 0.0, 2), "r: task 'a' is SUCCESS, was RUNNING, attempt 2"),
        (Notice("r", "f", "task", "a", PROGRESS, "RUNNING", 0.0, 2, 0.5), "r: task 'a' has come to 50%"),
    ],
)
def test_a_notice_can_be_told_in_a_line(notice: Notice, line: str) -> None:
    assert str(notice) == line
