"""Cancelling: from listeners, threads and other processes; what is stopped, what is reverted, and how a run ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from flowbook import (
    Backoff,
    FlowState,
    GraphFlow,
    LinearFlow,
    Notice,
    Task,
    Times,
    UnorderedFlow,
    WrappedFailure,
    current,
    engines,
)
from flowbook.engines import Engine
from flowbook.engines.errors import AtomCancelled, FlowCancelled
from flowbook.exceptions import NotFound
from flowbook.persistence import Backend
from unit.engines.clocks import ManualClock, run_while_time_passes
from unit.engines.process_tasks import HangAndTell
from unit.engines.tasks import Raise, Say


def cancelling(engine: Engine, at: tuple[str, str]) -> Engine:
    """Let a listener cancel the flow when an atom comes to a state."""

    def listen(notice: Notice) -> None:
        if (notice.atom, notice.state) == at:
            engine.cancel()

    engine.atom_notifier.register("*", listen)
    return engine


def cancelled_in_a_thread(engine: Engine) -> threading.Thread:
    """Let a thread run an engine, whose flow will be cancelled."""

    def run() -> None:
        with pytest.raises(FlowCancelled):
            engine.run()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class Heard(logging.Handler):
    """Sets an event when a line is logged that has a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.event = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.lines.append(record.getMessage())
            self.event.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard("is cancelled")
    logging.getLogger("flowbook").addHandler(handler)
    yield handler
    logging.getLogger("flowbook").removeHandler(handler)


def test_a_listener_may_cancel_and_all_that_was_done_is_reverted(backend: Backend, calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls), Say("c", calls))
    engine = cancelling(engines.load(flow, backend=backend, run_id="r"), ("b", "SUCCESS"))
    told: list[tuple[str, str]] = []
    engine.atom_notifier.register("*", lambda notice: told.append((notice.atom, notice.state)))
    with pytest.raises(FlowCancelled) as caught:
        engine.run()
    assert str(caught.value) == "run 'r' was cancelled"
    assert engine.state is FlowState.REVERTED
    assert calls == ["a", "b", "revert b", "revert a"]
    assert ("c", "RUNNING") not in told
    assert "c" not in backend.load("r").kind("atom")
    row = backend.load("r").kind("flow")["r"]
    assert (row["state"], row["intention"], row["reason"]) == ("REVERTED", "REVERT", "CANCELLED")


def test_a_cancelled_run_stays_so_until_a_new_round(backend: Backend, calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls))
    with pytest.raises(FlowCancelled):
        cancelling(engines.load(flow, backend=backend, run_id="r"), ("a", "SUCCESS")).run()
    with pytest.raises(FlowCancelled):
        engines.run(flow, backend=backend, run_id="r")
    engines.run(flow, backend=backend, run_id="r", rerun=True)
    assert calls == ["a", "revert a", "a", "b"]
    assert "reason" not in backend.load("r").kind("flow")["r"]


def test_cancel_means_nothing_when_nothing_runs(calls: list[str]) -> None:
    engine = engines.load(LinearFlow("f").add(Say("a", calls)))
    engine.cancel()
    engine.run()
    engine.cancel()
    assert engine.state is FlowState.SUCCESS


def test_cancel_means_nothing_while_a_flow_is_reverted(backend: Backend, calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls), Raise("c", calls))
    engine = cancelling(engines.load(flow, backend=backend, run_id="r"), ("c", "REVERTED"))
    with pytest.raises(ValueError, match="c"):
        engine.run()
    assert calls == ["a", "b", "c", "revert c", "revert b", "revert a"]
    assert "reason" not in backend.load("r").kind("flow")["r"]


def test_no_retry_is_asked_any_more(calls: list[str]) -> None:
    flow = LinearFlow("f", retry=Times(9, "again")).add(Say("a", calls), Raise("b", calls))
    engine = cancelling(engines.load(flow), ("b", "RUNNING"))
    with pytest.raises(FlowCancelled):
        engine.run()
    assert engine.state is FlowState.REVERTED
    assert calls.count("b") <= 1


def test_what_waits_for_a_round_is_reverted(calls: list[str]) -> None:
    clock = ManualClock()
    flow = LinearFlow("f", retry=Times(9, "again", backoff=Backoff(100))).add(Say("a", calls), Raise("b", calls))
    engine = engines.load(LinearFlow("all").add(Say("first", calls), flow), clock=clock)

    def cancel() -> float:
        engine.cancel()
        return 0.0

    assert run_while_time_passes(engine, clock, cancel)[-1] == FlowState.REVERTED
    assert calls == ["first", "a", "b", "revert b", "revert a", "revert first"]


def test_a_flow_with_a_scope_being_reverted_is_reverted_as_a_whole(calls: list[str]) -> None:
    inner = LinearFlow("inner", retry=Times(9, "again")).add(Say("a", calls), Raise("b", calls))
    engine = engines.load(LinearFlow("all").add(Say("first", calls), inner))
    with pytest.raises(FlowCancelled):
        cancelling(engine, ("b", "REVERTED")).run()
    assert calls == ["first", "a", "b", "revert b", "revert a", "revert first"]


def test_deciders_are_not_asked_any_more(calls: list[str]) -> None:
    a, b, asked = Say("a", calls), Say("b", calls), list[str]()
    flow = GraphFlow("f").add(a, b)
    flow.link(a, b, decider=lambda history: bool(asked.append("b")) or True)
    engine = engines.load(flow)
    engine.atom_notifier.register("RUNNING", lambda notice: engine.cancel())
    with pytest.raises(FlowCancelled):
        engine.run()
    assert "b" not in calls


class Waits(Say):
    """Says that it runs, and goes on when it is let."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__(name, calls)
        self.runs, self.may_go_on = threading.Event(), threading.Event()

    def execute(self) -> str:
        self.runs.set()
        assert self.may_go_on.wait(30)
        return super().execute()


def test_what_cannot_be_stopped_is_waited_for_and_reverted_and_one_line_says_so(
    backend: Backend, calls: list[str], heard: Heard
) -> None:
    waits = [Waits("w0", calls), Waits("w1", calls)]
    flow = LinearFlow("f").add(UnorderedFlow("fan").add(*waits), Say("never", calls))
    engine = engines.load(flow, backend=backend, run_id="r", engine="parallel", max_workers=2)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            engine.run()
        except FlowCancelled as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert all(one.runs.wait(30) for one in waits)
    engine.cancel()
    assert heard.event.wait(30)
    for one in waits:
        one.may_go_on.set()
    thread.join(30)
    assert [str(error) for error in ended] == ["run 'r' was cancelled"]
    assert heard.lines == ["run r is cancelled; what cannot be stopped is waited for: w0, w1"]
    assert sorted(calls) == ["revert w0", "revert w1", "w0", "w1"]


class Cooperates(Task):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.runs = threading.Event()

    def execute(self) -> str:
        self.runs.set()
        never = threading.Event()
        while not current().stop_wished:
            never.wait(0.005)
        return "stopped"


def test_a_task_on_a_thread_is_told_that_its_flow_is_cancelled() -> None:
    task = Cooperates("a")
    engine = engines.load(LinearFlow("f").add(task), engine="parallel", max_workers=1)
    thread = cancelled_in_a_thread(engine)
    assert task.runs.wait(30)
    engine.cancel()
    thread.join(30)
    assert not thread.is_alive()
    assert engine.state is FlowState.REVERTED


def test_what_is_queued_is_withdrawn(backend: Backend, calls: list[str], heard: Heard) -> None:
    first = Waits("first", calls)
    flow = UnorderedFlow("f").add(first, *[Say(f"queued {number}", calls) for number in range(5)])
    engine = engines.load(flow, backend=backend, run_id="r", engine="parallel", max_workers=1)
    thread = cancelled_in_a_thread(engine)
    assert first.runs.wait(30)
    engine.cancel()
    assert heard.event.wait(30)
    first.may_go_on.set()
    thread.join(30)
    assert calls == ["first", "revert first"]
    assert set(backend.load("r").kind("atom")) == {"first"}


@pytest.mark.slow
def test_worker_processes_are_ended(heard: Heard) -> None:
    flow = UnorderedFlow("f").add(HangAndTell("a"), HangAndTell("b"))
    engine = engines.load(flow, engine="parallel", executor="processes", max_workers=2)
    engine.atom_notifier.register("PROGRESS", lambda notice: engine.cancel())
    with pytest.raises(FlowCancelled):
        engine.run()
    failures = engine.storage.get_failures()
    assert failures
    assert all(failure.check(AtomCancelled) for failure in failures.values())
    assert not heard.lines


class Sleeps(Task):
    async def execute(self) -> None:
        current().update_progress(0.5)
        await asyncio.Event().wait()


def test_coroutines_are_cancelled(heard: Heard) -> None:
    flow = UnorderedFlow("f").add(Sleeps("a"), Sleeps("b"))
    engine = engines.load(flow, engine="parallel", executor="async")
    engine.atom_notifier.register("PROGRESS", lambda notice: engine.cancel())
    with pytest.raises(FlowCancelled):
        engine.run()
    failures = engine.storage.get_failures()
    assert sorted(failures) == ["a", "b"]
    assert all(failure.check(AtomCancelled) for failure in failures.values())
    assert not heard.lines


def test_an_engine_that_never_resolves_ends_in_failure_and_reverts_nothing(backend: Backend, calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls))
    engine = engines.load(flow, backend=backend, run_id="r", never_resolve=True)
    with pytest.raises(FlowCancelled):
        cancelling(engine, ("a", "SUCCESS")).run()
    assert engine.state is FlowState.FAILURE
    assert calls == ["a"]
    assert backend.load("r").kind("atom")["a"]["state"] == "SUCCESS"


class Stuck(Say):
    def revert(self) -> None:
        super().revert()
        raise OSError("stuck")


def test_a_revert_that_fails_is_the_cause(calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Stuck("b", calls), Say("c", calls))
    engine = cancelling(engines.load(flow), ("b", "SUCCESS"))
    with pytest.raises(FlowCancelled) as caught:
        engine.run()
    assert engine.state is FlowState.FAILURE
    assert isinstance(caught.value.__cause__, WrappedFailure)
    assert "stuck" in str(caught.value.__cause__)


def test_a_suspend_while_it_is_reverted_is_heard_and_the_rest_is_reverted_later(
    backend: Backend, calls: list[str]
) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls), Say("c", calls))
    engine = cancelling(engines.load(flow, backend=backend, run_id="r"), ("b", "SUCCESS"))
    engine.atom_notifier.register("REVERTED", lambda notice: engine.suspend())
    engine.run()
    assert engine.state is FlowState.SUSPENDED
    resumed = engines.load(flow, backend=backend, run_id="r")
    with pytest.raises(FlowCancelled):
        resumed.run()
    assert calls == ["a", "b", "revert b", "revert a"]


def test_a_suspended_flow_that_was_asked_to_be_cancelled_is_reverted_when_it_is_resumed(
    backend: Backend, calls: list[str]
) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls))
    engine = engines.load(flow, backend=backend, run_id="r")
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    assert not engines.cancel(backend, "r")
    assert list(backend.load("r").kind("request"))
    resumed = engines.load(flow, backend=backend, run_id="r")
    with pytest.raises(FlowCancelled):
        resumed.run()
    assert calls == ["a", "revert a"]
    assert not backend.load("r").kind("request")


def test_what_a_dead_owner_left_running_is_not_run_again_but_reverted(backend: Backend, calls: list[str]) -> None:
    class Kills(Say):
        def execute(self) -> str:
            super().execute()
            raise KeyboardInterrupt

    flow = LinearFlow("f").add(Say("a", calls), Kills("b", calls), Say("c", calls))
    with pytest.raises(KeyboardInterrupt):
        engines.run(flow, backend=backend, run_id="r")
    assert backend.load("r").kind("atom")["b"]["state"] == "RUNNING"
    engines.cancel(backend, "r")
    engine = engines.load(flow, backend=backend, run_id="r")
    with pytest.raises(FlowCancelled):
        engine.run()
    assert calls == ["a", "b", "revert b", "revert a"]
    assert engine.storage.get_failures()["b"].check(AtomCancelled)


@pytest.mark.slow
def test_a_request_reaches_the_engine_that_runs(backend: Backend, calls: list[str], heard: Heard) -> None:
    waits = Waits("w", calls)
    engine = engines.load(LinearFlow("f").add(waits), backend=backend, run_id="r", engine="parallel", max_workers=1)
    thread = cancelled_in_a_thread(engine)
    assert waits.runs.wait(30)
    assert engines.cancel(backend, "r")
    assert heard.event.wait(30)
    waits.may_go_on.set()
    thread.join(30)
    assert engine.state is FlowState.REVERTED
    assert not backend.load("r").kind("request")


def test_nothing_is_asked_of_a_run_that_has_ended(backend: Backend, calls: list[str]) -> None:
    engines.run(LinearFlow("f").add(Say("a", calls)), backend=backend, run_id="r")
    assert not engines.cancel(backend, "r")
    assert not backend.load("r").kind("request")
    with pytest.raises(NotFound):
        engines.cancel(backend, "another")
