"""How long things took, by the times of their notices."""

from __future__ import annotations

import pytest

from flowbook import FlowState, LinearFlow, Notice, Task, engines
from flowbook.listeners import Duration, DurationListener
from unit.listeners.tasks import Fail, Give, loaded


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


class Take(Task):
    """Lets so many seconds pass; undoing takes one."""

    def __init__(self, name: str, clock: Clock, seconds: float) -> None:
        super().__init__(name)
        self.clock = clock
        self.seconds = seconds

    def execute(self) -> None:
        self.clock.at += self.seconds

    def revert(self) -> None:
        self.clock.at += 1.0


def test_each_attempt_and_the_flow_have_a_duration() -> None:
    clock = Clock()
    flow = LinearFlow("f").add(Take("a", clock, 2.0), Take("b", clock, 0.5))
    engine = engines.load(flow, clock=clock)
    with DurationListener(engine) as listener:
        engine.run()
    assert listener.durations == [
        Duration("task", "a", "SUCCESS", 1, 2.0),
        Duration("task", "b", "SUCCESS", 1, 0.5),
        Duration("flow", "f", "SUCCESS", 0, 2.5),
    ]


def test_reverting_has_a_duration_of_its_own_and_lines_are_handed_to_the_printer() -> None:
    clock = Clock()
    printed: list[str] = []
    flow = LinearFlow("f").add(Take("a", clock, 2.0), Fail("b"))
    engine = engines.load(flow, clock=clock)
    with DurationListener(engine, printed.append), pytest.raises(ValueError, match="b"):
        engine.run()
    assert printed == [
        "task 'a' took 2.00 s to SUCCESS",
        "task 'b' took 0.00 s to FAILURE",
        "task 'b' took 0.00 s to REVERTED",
        "task 'a' took 1.00 s to REVERTED",
        "flow 'f' took 3.00 s to REVERTED",
    ]


def test_each_entry_of_a_flow_that_is_suspended_has_its_own_duration() -> None:
    clock = Clock()
    flow = LinearFlow("f").add(Take("a", clock, 2.0), Take("b", clock, 0.5))
    engine = engines.load(flow, clock=clock)
    with DurationListener(engine, atom_states=()) as listener:
        engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
        engine.run()
        clock.at += 100.0
        engine.run()
    assert [(taken.state, taken.seconds) for taken in listener.durations] == [
        (FlowState.SUSPENDED, 2.0),
        (FlowState.SUCCESS, 0.5),
    ]


def test_an_end_whose_beginning_nobody_heard_has_no_duration() -> None:
    listener = DurationListener(loaded(Give("a")))
    listener.hear(Notice("r", "f", "task", "a", "SUCCESS", "RUNNING", 5.0, 1))
    assert listener.durations == []


def test_a_start_that_was_withdrawn_is_forgotten() -> None:
    listener = DurationListener(loaded(Give("a")))
    for state, old, at in (("RUNNING", "PENDING", 5.0), ("PENDING", "RUNNING", 6.0), ("SUCCESS", "RUNNING", 9.0)):
        listener.hear(Notice("r", "f", "task", "a", state, old, at, 1))
    assert listener.durations == []
