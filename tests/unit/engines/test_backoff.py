"""Retries that wait before their next round: what is stored, what goes on meanwhile, and what a resume finds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowbook import (
    Backoff,
    Decision,
    FlowState,
    History,
    LinearFlow,
    Retry,
    Task,
    Times,
    UnorderedFlow,
    WrappedFailure,
    engines,
)
from flowbook.exceptions import NotPossible
from flowbook.persistence import Backend
from unit.engines.clocks import ManualClock, run_while_time_passes
from unit.engines.tasks import Raise, Say


class Flaky(Say):
    """Fails in its first rounds."""

    def __init__(self, name: str, calls: list[str], failing: int = 1) -> None:
        super().__init__(name, calls)
        self.left = failing

    def execute(self) -> str:
        self.left -= 1
        self.calls.append(self.name)
        if self.left >= 0:
            raise ValueError(self.name)
        return self.name


def waiting(calls: list[str], backoff: Backoff, failing: int = 1, name: str = "waiting") -> LinearFlow:
    again = Times(3, f"{name} again", backoff=backoff)
    return LinearFlow(name, retry=again).add(Flaky(f"{name} task", calls, failing))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


def row(backend: Backend) -> Any:
    return backend.load("r").kind("atom")["waiting again"]


def test_the_next_round_begins_when_its_time_has_come_and_not_before(
    backend: Backend, calls: list[str], clock: ManualClock
) -> None:
    engine = engines.load(waiting(calls, Backoff(10), 2), backend=backend, run_id="r", clock=clock)
    passing = iter([9.99, 0.01, 19.99, 0.01])
    seen: list[tuple[float, int]] = []

    def look() -> float:
        seen.append((round(clock.at, 2), calls.count("waiting task")))
        return next(passing)

    assert run_while_time_passes(engine, clock, look)[-1] == FlowState.SUCCESS
    assert seen == [(1_000.0, 1), (1_009.99, 1), (1_010.0, 2), (1_029.99, 2)]
    assert calls.count("waiting task") == 3


def test_what_failed_is_reverted_at_once_and_the_time_is_stored_with_the_decision(
    backend: Backend, calls: list[str], clock: ManualClock
) -> None:
    engine = engines.load(waiting(calls, Backoff(10)), backend=backend, run_id="r", clock=clock)
    found: list[Any] = []

    def look() -> float:
        found.append((clock.at, list(calls), row(backend)))
        return 10.0

    run_while_time_passes(engine, clock, look)
    [(now, done, stored)] = found
    assert (now, done) == (1_000.0, ["waiting task", "revert waiting task"])
    assert (stored["state"], stored["intention"], stored["next_try_at"]) == ("SUCCESS", "RETRY", 1_010.0)
    assert "next_try_at" not in row(backend)


def test_the_time_stands_in_the_commit_of_the_decision(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    engine = engines.load(waiting(calls, Backoff(10)), backend=backend, run_id="r", clock=clock)
    engine.atom_notifier.register("REVERTING", lambda notice: found.append(row(backend)["next_try_at"]))
    found: list[float] = []
    run_while_time_passes(engine, clock, lambda: 10.0)
    assert found == [1_010.0]


def test_what_lies_beside_it_goes_on(backend: Backend, calls: list[str], clock: ManualClock) -> None:
    beside = LinearFlow("beside").add(Say("b", calls), Say("c", calls), Say("d", calls))
    flow = UnorderedFlow("f").add(waiting(calls, Backoff(10)), beside)
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock)
    seen: list[list[str]] = []

    def look() -> float:
        seen.append(sorted(calls))
        return 10.0

    run_while_time_passes(engine, clock, look)
    assert seen == [["b", "c", "d", "revert waiting task", "waiting task"]]


def test_several_wait_each_for_its_own_time(calls: list[str], clock: ManualClock) -> None:
    flow = UnorderedFlow("f")
    for name, initial in (("late", 30), ("soon", 10), ("later", 40)):
        flow.add(waiting(calls, Backoff(initial), name=name))
    engine = engines.load(flow, clock=clock)
    passing = iter([10.0, 20.0, 10.0])
    run_while_time_passes(engine, clock, lambda: next(passing))
    assert engine.state is FlowState.SUCCESS
    assert [call for call in calls if not call.startswith("revert")][3:] == ["soon task", "late task", "later task"]


@pytest.mark.parametrize(("away_s", "left_s"), [(4.0, 6.0), (0.0, 10.0), (60.0, 0.0)])
def test_a_suspended_flow_still_waits_for_the_rest_of_its_time(
    backend: Backend, calls: list[str], clock: ManualClock, away_s: float, left_s: float
) -> None:
    flow = waiting(calls, Backoff(10))
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock)

    def suspend() -> float:
        engine.suspend()
        return 0.0

    assert run_while_time_passes(engine, clock, suspend)[-1] == FlowState.SUSPENDED
    clock.passes(away_s)
    resumed = engines.load(flow, backend=backend, run_id="r", clock=clock)
    idle: list[float] = []

    def look() -> float:
        idle.append(clock.at)
        return left_s

    assert run_while_time_passes(resumed, clock, look)[-1] == FlowState.SUCCESS
    assert idle == ([1_000.0 + away_s] if left_s else [])


def test_a_suspend_is_heard_by_an_engine_that_only_waits(calls: list[str], clock: ManualClock) -> None:
    engine = engines.load(waiting(calls, Backoff(100)), clock=clock)
    waits = threading.Event()
    engine.atom_notifier.register("REVERTED", lambda notice: waits.set())
    thread = threading.Thread(target=engine.run)
    thread.start()
    assert waits.wait(30)
    engine.suspend()
    thread.join(30)
    assert not thread.is_alive()
    assert engine.state is FlowState.SUSPENDED
    assert calls == ["waiting task", "revert waiting task"]


def test_reverting_what_is_around_it_wins_over_a_round_that_waits(
    backend: Backend, calls: list[str], clock: ManualClock
) -> None:
    beside = LinearFlow("beside").add(Say("b", calls), Raise("c", calls))
    flow = LinearFlow("all").add(UnorderedFlow("f").add(waiting(calls, Backoff(10)), beside))
    engine = engines.load(flow, backend=backend, run_id="r", clock=clock)
    idle: list[float] = []
    run_while_time_passes(engine, clock, lambda: idle.append(clock.at) or 10.0)
    assert engine.state is FlowState.REVERTED
    assert not idle
    assert calls.count("waiting task") == 1
    stored = row(backend)
    assert "next_try_at" not in stored
    assert stored["state"] in ("REVERTED", "SUCCESS")


def test_a_round_around_it_begins_without_its_wait(calls: list[str], clock: ManualClock) -> None:
    beside = LinearFlow("beside").add(Say("b", calls), Flaky("c", calls))
    both = UnorderedFlow("f", retry=Times(2, "outer")).add(waiting(calls, Backoff(10)), beside)
    engine = engines.load(both, clock=clock)
    idle: list[float] = []
    run_while_time_passes(engine, clock, lambda: idle.append(clock.at) or 10.0)
    assert engine.state is FlowState.SUCCESS
    assert not idle
    assert calls.count("waiting task") == 2


class Own(Retry):
    """Always tries again, after whatever it is told to say."""

    def __init__(self, says: Any) -> None:
        super().__init__("own")
        self.says = says

    def execute(self, history: History) -> None: ...

    def on_failure(self, history: History) -> Decision:
        return Decision.RETRY

    def delay_s(self, history: History, chance: float) -> float:
        assert 0.0 <= chance < 1.0
        self.last = (len(history), chance)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says  # type: ignore[no-any-return]


def test_a_retry_of_a_user_says_how_long_it_waits(calls: list[str], clock: ManualClock) -> None:
    retry = Own(7)
    engine = engines.load(LinearFlow("f", retry=retry).add(Flaky("a", calls)), clock=clock)
    run_while_time_passes(engine, clock, lambda: 7.0)
    assert engine.state is FlowState.SUCCESS
    assert clock.at == 1_007.0
    assert retry.last[0] == 1


@pytest.mark.parametrize("says", [-1, float("nan"), float("inf"), "soon", None, True, 1e12])
def test_a_delay_that_is_no_time_fails_the_retry(calls: list[str], clock: ManualClock, says: Any) -> None:
    engine = engines.load(LinearFlow("f", retry=Own(says)).add(Raise("a", calls)), clock=clock)
    with pytest.raises(WrappedFailure):
        engine.run()
    failure = engine.storage.get_failures()["own"]
    assert failure.check(NotPossible)
    assert failure.exception_str == f"delay_s of 'own' returned {says!r}"
    assert engine.state is FlowState.REVERTED


def test_a_delay_that_raises_fails_the_retry(calls: list[str], clock: ManualClock) -> None:
    engine = engines.load(LinearFlow("f", retry=Own(OSError("no clock"))).add(Raise("a", calls)), clock=clock)
    with pytest.raises(WrappedFailure, match="no clock"):
        engine.run()
    assert engine.state is FlowState.REVERTED


def test_nobody_waits_after_the_last_attempt(calls: list[str], clock: ManualClock) -> None:
    flow = LinearFlow("f", retry=Times(2, "again", backoff=Backoff(10))).add(Raise("a", calls))
    engine = engines.load(flow, clock=clock)
    idle: list[float] = []
    run_while_time_passes(engine, clock, lambda: idle.append(clock.at) or 10.0)
    assert engine.state is FlowState.REVERTED
    assert idle == [1_000.0]


class Waits(Task):
    """Waits until it is told to go on."""

    def __init__(self, name: str, go_on: threading.Event) -> None:
        super().__init__(name)
        self.go_on = go_on

    def execute(self) -> None:
        assert self.go_on.wait(30)


def test_a_round_begins_while_others_run(calls: list[str]) -> None:
    go_on = threading.Event()
    flow = UnorderedFlow("f").add(waiting(calls, Backoff(0.01)), Waits("long", go_on))
    engine = engines.load(flow, engine="parallel", max_workers=2)
    engine.atom_notifier.register("SUCCESS", lambda notice: notice.atom == "waiting task" and go_on.set())
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert calls.count("waiting task") == 2
