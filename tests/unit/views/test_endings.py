"""Endings tell what became of a run, and what took long."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flowbook.atoms import Task, Times, task
from flowbook.engines import Engine, load
from flowbook.flows import LinearFlow, UnorderedFlow
from flowbook.persistence import Backend, fetch
from flowbook.views.endings import critical_path, ending_of, recorded_ending, timing_of

DIAMOND = [("a", "mark"), ("mark", "b"), ("mark", "c"), ("b", "d"), ("c", "d")]


class Stuck(Task):
    def execute(self) -> int:
        return 1

    def revert(self, result: object) -> None:
        raise OSError("cannot undo")


class Flaky(Task):
    calls = 0

    def execute(self) -> None:
        Flaky.calls += 1
        if Flaky.calls % 2:
            raise ValueError("no luck")


@task
def charge() -> None:
    raise ValueError("no money")


@task
def quick() -> None: ...


@pytest.fixture
def backend() -> Backend:
    return fetch("memory:?strict=true")


def ran(engine: Engine) -> Engine:
    for _ in engine.run_iter():
        pass
    return engine


def executed(started_at: float, took_s: float | None, direction: str = "EXECUTE") -> dict[str, Any]:
    ended_at = None if took_s is None else started_at + took_s
    return {"direction": direction, "started_at": started_at, "ended_at": ended_at, "outcome": "SUCCESS"}


def test_the_critical_path_is_the_chain_that_took_longest() -> None:
    assert critical_path({"a": 1.0, "b": 5.0, "c": 2.0, "d": 1.0}, DIAMOND) == (("a", "b", "d"), 7.0)
    assert critical_path({"a": 1.0, "b": 1.0, "c": 2.0, "d": 1.0}, DIAMOND) == (("a", "c", "d"), 4.0)


def test_an_atom_that_waits_for_none_may_be_the_critical_path_alone() -> None:
    assert critical_path({"a": 1.0, "d": 1.0, "alone": 9.0}, DIAMOND) == (("alone",), 9.0)


def test_what_did_not_run_is_on_no_path() -> None:
    assert critical_path({"a": 1.0, "d": 1.0}, DIAMOND) == (("a", "d"), 2.0)
    assert critical_path({}, DIAMOND) == ((), 0.0)


@pytest.mark.slow
def test_the_critical_path_of_a_long_chain_is_found_edge_by_edge() -> None:
    count = 100_000
    edges = [(str(number), str(number + 1)) for number in range(count)]
    began = time.process_time()
    path, path_s = critical_path(dict.fromkeys(map(str, range(count + 1)), 1.0), edges)
    assert (len(path), path_s) == (count + 1, count + 1.0)
    assert time.process_time() - began < 5.0


def test_times_are_summed_from_a_moment_on_and_the_slowest_come_first() -> None:
    attempts = {
        "a": [executed(0.0, 50.0), executed(100.0, 1.0), executed(102.0, 2.0)],
        "b": [executed(104.0, 3.0), executed(107.0, 9.0, "REVERT")],
        "c": [executed(108.0, None)],
        "d": [executed(10.0, 4.0)],
        "e": [executed(104.0, 0.5)],
    }
    timing = timing_of(attempts, [("a", "b")], since=100.0)
    assert timing.attempts_s == 1.0 + 2.0 + 3.0 + 9.0 + 0.5
    assert timing.retried == 1
    assert (timing.path, timing.path_s) == (("a", "b"), 5.0)
    assert timing.slowest == (("d", 4.0), ("b", 3.0), ("a", 2.0))
    assert timing_of(attempts, [], since=100.0, retries={"a"}).retried == 0


def test_an_ending_tells_the_same_from_the_engine_and_from_the_logbook(backend: Backend) -> None:
    inner = LinearFlow("inner", retry=Times(2)).add(Flaky("flaky"))
    began = time.time()
    engine = ran(load(LinearFlow("all").add(quick, inner), backend=backend, run_id="r1"))
    names = {"quick", "flaky", "inner_retry"}
    ours, recorded = ending_of(engine, names, began), recorded_ending(backend, "r1", names)
    assert ours.counts == recorded.counts == {"done now": 3}
    assert ours.timing == recorded.timing
    assert ours.timing.retried == 1
    assert ours.timing.path == ("quick", "inner_retry", "flaky")
    assert (ours.run, ours.flow, ours.state) == (recorded.run, recorded.flow, recorded.state)
    assert recorded.took_s <= ours.took_s


def test_both_errors_are_told_when_a_revert_failed_too(backend: Backend) -> None:
    engine = ran(load(LinearFlow("stay").add(Stuck("stuck"), charge), backend=backend, run_id="r1"))
    for ending in (ending_of(engine, set(), 0.0), recorded_ending(backend, "r1")):
        assert ending.counts == {"failed": 2}
        assert [(one.atom, one.reverting, str(one.failure)) for one in ending.failed] == [
            ("charge", False, "ValueError: no money"),
            ("stuck", True, "OSError: cannot undo"),
        ]
        assert all("test_endings.py:" in one.place for one in ending.failed)


def test_atoms_that_were_done_before_are_counted_apart(backend: Backend) -> None:
    flow = UnorderedFlow("some").add(*(quick.atom(name=str(number)) for number in range(3)))
    ran(load(flow, backend=backend, run_id="r1"))
    assert recorded_ending(backend, "r1", {"1"}).counts == {"done now": 1, "saved earlier": 2}


def test_without_a_beginning_nothing_is_told_of_times(backend: Backend) -> None:
    engine = ran(load(LinearFlow("one").add(quick), backend=backend, run_id="r1"))
    ending = ending_of(engine, {"quick"})
    assert (ending.took_s, ending.timing.slowest) == (0.0, ())
