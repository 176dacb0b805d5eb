"""Suspending: from listeners, other threads, the iterator and other processes; and who owns a run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from flowbook import FlowState, LinearFlow, Notice, Task, UnorderedFlow, WrappedFailure, engines, task
from flowbook.exceptions import (
    InvalidState,
    OwnershipLost,
)
from flowbook.persistence import Backend, fetch
from unit.engines.tasks import Raise, Say


def test_a_listener_may_suspend_and_the_next_start_is_withdrawn(backend: Backend, calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls), Say("c", calls))
    engine = engines.load(flow, backend=backend, run_id="r")
    told: list[tuple[str, str]] = []

    def listen(notice: Notice) -> None:
        told.append((notice.atom, notice.state))
        if (notice.atom, notice.state) == ("b", "SUCCESS"):
            engine.suspend()

    engine.atom_notifier.register("*", listen)
    engine.run()
    assert engine.state is FlowState.SUSPENDED
    assert told == [("a", "RUNNING"), ("a", "SUCCESS"), ("b", "RUNNING"), ("b", "SUCCESS")]
    assert "c" not in backend.load("r").kind("atom")
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert calls == ["a", "b", "c"]
    assert [row["attempt"] for row in backend.load("r").appended["attempt"]["c"]] == [1]


def test_reverting_can_be_suspended_and_is_finished_by_the_next_run(backend: Backend, calls: list[str]) -> None:
    flow = LinearFlow("f").add(Say("a", calls), Say("b", calls), Raise("c", calls))
    engine = engines.load(flow, backend=backend, run_id="r")

    def listen(notice: Notice) -> None:
        if notice.atom == "b":
            engine.suspend()

    engine.atom_notifier.register("REVERTED", listen)
    engine.run()
    assert engine.state is FlowState.SUSPENDED
    assert backend.load("r").kind("atom")["a"]["state"] == "SUCCESS"
    with pytest.raises((ValueError, WrappedFailure), match="c"):
        engines.run(flow, backend=backend, run_id="r")
    assert calls == ["a", "b", "c", "revert c", "revert b", "revert a"]


def test_what_is_queued_on_threads_is_cancelled_by_a_suspend_and_what_runs_is_saved(calls: list[str]) -> None:
    both, go = threading.Barrier(3), threading.Event()

    class Hold(Task):
        def execute(self) -> None:
            both.wait(10)
            go.wait(10)

    flow = UnorderedFlow("f").add(Hold("h1"), Hold("h2"), *[Say(f"s{i}", calls) for i in range(50)])
    engine = engines.load(flow, engine="parallel", max_workers=2)

    def suspend() -> None:
        both.wait(10)
        engine.suspend()
        go.set()

    other = threading.Thread(target=suspend)
    other.start()
    engine.run()
    other.join()
    assert engine.state is FlowState.SUSPENDED
    done = 2 + len(calls)
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert engine.resumed is not None
    assert engine.resumed.saved == done
    assert engine.resumed.interrupted == 0


def test_closing_the_iterator_suspends(backend: Backend, calls: list[str]) -> None:
    engine = engines.load(LinearFlow("f").add(Say("a", calls), Say("b", calls)), backend=backend, run_id="r")
    seen = []
    for state in (iterator := engine.run_iter()):
        seen.append(state)
        if seen[-2:] == ["ANALYZING", "SCHEDULING"]:
            iterator.close()
    assert engine.state is FlowState.SUSPENDED
    assert calls == ["a"]
    assert list(engine.run_iter())[-1] == "SUCCESS"
    assert calls == ["a", "b"]


def test_a_suspend_posted_from_elsewhere_is_heard_and_taken_off_the_list(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    waiting, engine_told = threading.Event(), threading.Event()

    class Wait(Task):
        def execute(self) -> None:
            waiting.set()
            engine_told.wait(10)

    engine = engines.load(LinearFlow("f").add(Wait("w"), Say("never", [])), backend=url, run_id="r")
    engine.notifier.register("SUSPENDING", lambda notice: engine_told.set())

    def post() -> None:
        waiting.wait(10)
        with fetch(url) as other:
            other.post("flow:r", {"do": "suspend"})

    poster = threading.Thread(target=post)
    poster.start()
    parallel = engines.load(
        LinearFlow("f").add(Wait("w"), Say("never", [])), backend=url, run_id="r", engine="parallel", max_workers=1
    )
    parallel.notifier.register("SUSPENDING", lambda notice: engine_told.set())
    parallel.run()
    poster.join()
    assert parallel.state is FlowState.SUSPENDED
    with fetch(url) as backend:
        assert not backend.load("r").kind("request")


def test_an_engine_that_runs_cannot_be_run_again() -> None:
    engine: engines.Engine | None = None

    @task
    def again() -> None:
        assert engine is not None
        engine.run()

    engine = engines.load(again)
    with pytest.raises(InvalidState, match="it is running already"):
        engine.run()


def test_a_newer_engine_in_this_process_supersedes_the_older(backend: Backend, calls: list[str]) -> None:
    @task
    def supersede() -> None:
        engines.run(LinearFlow("f").add(Say("supersede", calls), Say("b", calls)), backend=backend, run_id="r")

    with pytest.raises(OwnershipLost):
        engines.run(LinearFlow("f").add(supersede, Say("b", calls)), backend=backend, run_id="r")
    assert calls == ["supersede", "b"]


def test_a_suspend_that_an_earlier_owner_never_heard_does_not_stop_the_next(backend: Backend, calls: list[str]) -> None:
    engine = engines.load(LinearFlow("f").add(Say("a", calls), Say("b", calls)), backend=backend, run_id="r")
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    backend.post("flow:r", {"do": "suspend"})
    engines.run(LinearFlow("f").add(Say("a", calls), Say("b", calls)), backend=backend, run_id="r")
    assert calls == ["a", "b"]
    assert not backend.load("r").kind("request")


def test_an_interrupt_while_threads_run_lets_them_end_and_keeps_what_they_gave(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal, threading
        from flowbook import LinearFlow, engines, task
        go = threading.Event()

        @task
        def first() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            go.wait(10)

        @task
        def second() -> None: ...

        flow = LinearFlow("f").add(first, second)
        engine = engines.load(flow, backend="sqlite:///runs.db", run_id="r", engine="parallel", max_workers=2)
        engine.notifier.register("SUSPENDING", lambda notice: go.set())
        try:
            engine.run()
        except KeyboardInterrupt:
            print(engine.state, engine.storage.get_atom_state("first"), engine.storage.get_atom_state("second"))
        """)
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("SUSPENDED SUCCESS PENDING\n", "")
