"""Timeouts of atoms and of flows: what is stopped, what is waited for, and what becomes of both."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from flowbook import FlowState, LinearFlow, Task, Times, UnorderedFlow, current, engines, task
from flowbook.engines.errors import AtomTimedOut, FlowTimedOut
from flowbook.exceptions import NotPossible, WrongType
from flowbook.persistence import Backend
from unit.engines.clocks import ManualClock
from unit.engines.process_tasks import Hang, Pid
from unit.engines.tasks import Say


class Takes(Say):
    """Lets time pass while it runs."""

    def __init__(self, name: str, calls: list[str], clock: ManualClock, *seconds: float) -> None:
        super().__init__(name, calls)
        self.clock = clock
        self.seconds = list(seconds)

    def execute(self) -> str:
        self.clock.passes(self.seconds.pop(0))
        return super().execute()


class TakesAtMost(Takes):
    timeout = 10


class TakesAndFails(TakesAtMost):
    def execute(self) -> str:
        super().execute()
        raise OSError("too slow")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.mark.parametrize(("seconds", "state"), [(9.9, "SUCCESS"), (10.0, "SUCCESS"), (10.1, "REVERTED")])
def test_an_attempt_that_ends_after_its_deadline_has_failed(
    backend: Backend, calls: list[str], clock: ManualClock, seconds: float, state: str
) -> None:
    flow = LinearFlow("f").add(TakesAtMost("a", calls, clock, seconds), Say("b", calls))
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock)
    *_, last = engine.run_iter()
    assert last == state
    assert calls == (["a", "b"] if state == "SUCCESS" else ["a", "revert a"])


def test_the_failure_names_atom_and_seconds(calls: list[str], clock: ManualClock) -> None:
    with pytest.raises(AtomTimedOut) as caught:
        engines.run(LinearFlow("f").add(TakesAtMost("a", calls, clock, 11)), clock=clock)
    assert (caught.value.atom, caught.value.seconds) == ("a", 10)
    assert str(caught.value) == "'a' was not done within 10 s"


def test_what_it_raised_after_its_deadline_is_the_cause(calls: list[str], clock: ManualClock) -> None:
    with pytest.raises(AtomTimedOut) as caught:
        engines.run(LinearFlow("f").add(TakesAndFails("a", calls, clock, 11)), clock=clock)
    assert isinstance(caught.value.__cause__, OSError)


def test_what_it_raised_before_its_deadline_is_its_failure(calls: list[str], clock: ManualClock) -> None:
    with pytest.raises(OSError, match="too slow"):
        engines.run(LinearFlow("f").add(TakesAndFails("a", calls, clock, 9)), clock=clock)


def test_a_retry_is_asked_about_it_as_about_any_failure(calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f", retry=Times(2, "again")).add(TakesAtMost("a", calls, clock, 11, 1))
    engine = engines.load(flow, clock=clock)
    engine.run()
    assert calls == ["a", "revert a", "a"]
    assert engine.storage.get_retry_history("again").caused_by(AtomTimedOut)


def test_reverting_has_no_limit(calls: list[str], clock: ManualClock) -> None:
    class SlowlyUndone(TakesAtMost):
        def revert(self) -> None:
            assert current().deadline is None
            self.clock.passes(100)

    engine = engines.load(LinearFlow("f").add(SlowlyUndone("a", calls, clock, 11)), clock=clock)
    *_, last = engine.run_iter()
    assert last == FlowState.REVERTED
    assert not engine.storage.get_revert_failures()


def test_time_is_counted_from_when_an_attempt_begins(calls: list[str], clock: ManualClock) -> None:
    """With one worker the second waits in the queue for as long as the first runs."""
    fan = UnorderedFlow("f").add(TakesAtMost("a", calls, clock, 9), TakesAtMost("b", calls, clock, 9))
    engine = engines.load(fan, engine="parallel", max_workers=1, clock=clock)
    engine.run()
    assert engine.state is FlowState.SUCCESS


def test_a_function_is_given_a_timeout_too(clock: ManualClock) -> None:
    @task(timeout=5)
    def wait(seconds: float) -> None:
        clock.passes(seconds)

    assert wait.timeout == 5
    assert wait.atom("longer", timeout=20).timeout == 20
    assert wait.atom("same").timeout == 5
    engines.run(wait.atom("longer", timeout=20), {"seconds": 10}, clock=clock)
    with pytest.raises(AtomTimedOut):
        engines.run(wait, {"seconds": 10}, clock=clock)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_no_time_is_refused(timeout: float) -> None:
    with pytest.raises(NotPossible, match="timeout of 'f' is "):
        task(timeout=timeout)(_function())
    with pytest.raises(NotPossible, match=r"timeout of .*Limited is "):
        type("Limited", (Task,), {"timeout": timeout, "execute": lambda self: None})
    with pytest.raises(NotPossible, match="timeout is "):
        engines.load(task(_function()), timeout=timeout)


def _function() -> Any:
    def f() -> None: ...

    return f


@pytest.mark.parametrize("timeout", ["5", True])
def test_a_timeout_that_is_no_number_is_refused(timeout: Any) -> None:
    with pytest.raises(WrongType, match="timeout of 'f'"):
        task(timeout=timeout)(_function())
    with pytest.raises(WrongType, match="timeout"):
        engines.load(task(_function()), timeout=timeout)


class UntilStopped(Task):
    """Works until it is told that it had better end."""

    timeout = 0.05

    def execute(self) -> None:
        never = threading.Event()
        while not current().stop_wished:
            never.wait(0.005)
        raise TimeoutError("gave up")


@pytest.mark.parametrize("engine", ["serial", "parallel"])
def test_a_task_is_told_that_its_time_is_over(engine: str) -> None:
    with pytest.raises(AtomTimedOut) as caught:
        engines.run(LinearFlow("f").add(UntilStopped("a")), engine=engine)
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_task_knows_its_deadline(calls: list[str], clock: ManualClock) -> None:
    class Knows(TakesAtMost):
        def execute(self) -> str:
            calls.append(str(current().deadline))
            return str(current().timeout)

    assert engines.run(LinearFlow("f").add(Knows("a", calls, clock)), clock=clock) == {}
    assert calls == ["1010.0"]


def test_what_cannot_be_stopped_is_waited_for_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    said = threading.Event()

    class Deaf(Task):
        timeout = 0.05

        def execute(self) -> str:
            assert said.wait(30)
            return "late"

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "'a' of run r has had its 0.05 s" in record.getMessage():
                said.set()

    heard = Heard()
    logging.getLogger("flowbook").addHandler(heard)
    try:
        engine = engines.load(LinearFlow("f").add(Deaf("a")), engine="parallel", max_workers=1, run_id="r")
        *_, last = engine.run_iter()
    finally:
        logging.getLogger("flowbook").removeHandler(heard)
    assert last == FlowState.REVERTED
    assert engine.storage.get_failures()["a"].check(AtomTimedOut)
    assert [record.getMessage() for record in caplog.records if "has had" in record.getMessage()] == [
        "'a' of run r has had its 0.05 s; its executor cannot stop it, so it is waited for"
    ]


@pytest.mark.slow
def test_a_worker_process_is_ended_at_the_deadline_and_another_one_goes_on() -> None:
    flow = UnorderedFlow("f").add(Hang("hangs"), Hang("hangs too"), Pid("works"))
    engine = engines.load(flow, engine="parallel", executor="processes", max_workers=2)
    *_, last = engine.run_iter()
    assert last == FlowState.REVERTED
    failures = engine.storage.get_failures()
    assert sorted(failures) == ["hangs", "hangs too"]
    assert all(failure.check(AtomTimedOut) for failure in failures.values())


class Sleeps(Task):
    timeout = 0.05

    async def execute(self) -> None:
        await asyncio.Event().wait()


def test_a_coroutine_is_cancelled_at_its_deadline() -> None:
    engine = engines.load(Sleeps("a"), engine="parallel", executor="async")
    *_, last = engine.run_iter()
    assert last == FlowState.REVERTED
    assert engine.storage.get_failures()["a"].check(AtomTimedOut)


def test_a_coroutine_that_ends_in_time_has_its_deadline(clock: ManualClock) -> None:
    seen: list[float | None] = []

    @task(timeout=5)
    async def look() -> None:
        seen.append(current().deadline)

    engines.run(look, engine="parallel", executor="async", clock=clock)
    assert seen == [clock.now() + 5]


def test_a_flow_that_is_not_done_in_time_is_reverted(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f").add(Takes("a", calls, clock, 5), Takes("b", calls, clock, 6), Say("c", calls))
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock, timeout=10)
    with pytest.raises(FlowTimedOut) as caught:
        engine.run()
    assert engine.state is FlowState.REVERTED
    assert calls == ["a", "b", "revert b", "revert a"]
    assert (caught.value.run, caught.value.deadline) == ("r", "1970-01-01T00:16:50Z")
    row = backend.load("r").kind("flow")["r"]
    assert (row["deadline"], row["reason"], row["intention"]) == (1_010.0, "TIMED_OUT", "REVERT")


def test_a_flow_that_is_done_in_time_ends_well(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f").add(Takes("a", calls, clock, 5), Takes("b", calls, clock, 4))
    engines.run(flow, backend=backend, run_id="r", clock=clock, timeout=10)
    assert "reason" not in backend.load("r").kind("flow")["r"]


def test_time_counts_in_which_nobody_worked_on_the_run(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls))
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock, timeout=10)
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    assert engine.state is FlowState.SUSPENDED
    clock.passes(11)
    resumed = engines.load(flow, backend=backend, run_id="r", clock=clock)
    with pytest.raises(FlowTimedOut):
        resumed.run()
    assert calls == ["a", "revert a"]


def test_a_run_keeps_its_deadline_until_its_next_round(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls))
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock, timeout=10)
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    clock.passes(5)
    engines.run(flow, backend=backend, run_id="r", clock=clock, timeout=100)
    assert backend.load("r").kind("flow")["r"]["deadline"] == 1_010.0
    engines.run(flow, backend=backend, run_id="r", clock=clock, timeout=100, rerun=True)
    assert backend.load("r").kind("flow")["r"]["deadline"] == 1_105.0


def test_a_round_that_timed_out_may_be_run_again(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f").add(Takes("a", calls, clock, 11, 1), Say("b", calls))
    with pytest.raises(FlowTimedOut):
        engines.run(flow, backend=backend, run_id="r", clock=clock, timeout=10)
    with pytest.raises(FlowTimedOut):
        engines.run(flow, backend=backend, run_id="r", clock=clock)
    engines.run(flow, backend=backend, run_id="r", clock=clock, rerun=True)
    row = backend.load("r").kind("flow")["r"]
    assert row["state"] == "SUCCESS"
    assert "deadline" not in row
    assert "reason" not in row
