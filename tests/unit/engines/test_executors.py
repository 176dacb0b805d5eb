"""Where attempts run, and what an engine refuses and tells."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import flowbook
from flowbook import FlowState, LinearFlow, Notice, Task, UnorderedFlow, WrappedFailure, engines, task
from flowbook.exceptions import (
    CompilationFailure,
    InvalidState,
    NotPossible,
    UnknownPlugin,
    WrongType,
)
from flowbook.persistence import Backend
from unit.engines.tasks import Meet, Raise, Say


def test_threads_run_side_by_side() -> None:
    barrier = threading.Barrier(4)
    engine = engines.load(
        UnorderedFlow("f").add(*[Meet(f"m{i}", barrier) for i in range(4)]), engine="parallel", max_workers=4
    )
    engine.run()
    assert engine.state is FlowState.SUCCESS


def test_a_pool_that_the_engine_made_ends_at_once_and_leaves_no_thread() -> None:
    barrier = threading.Barrier(8)
    before = set(threading.enumerate())
    began = time.monotonic()
    for _ in range(5):  # each would wait for a second in a plain shutdown
        flow = UnorderedFlow("f").add(*[Meet(f"m{i}", barrier) for i in range(8)])
        engines.run(flow, engine="parallel", max_workers=8)
    assert set(threading.enumerate()) <= before
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("atoms", [1, 3])
def test_a_pool_that_was_hardly_used_leaves_no_thread_either(atoms: int, calls: list[str]) -> None:
    before = set(threading.enumerate())
    flow = UnorderedFlow("f").add(*[Say(f"s{i}", calls) for i in range(atoms)])
    engines.run(flow, engine="parallel", max_workers=8)
    assert set(threading.enumerate()) <= before


def test_a_pool_that_was_not_used_at_all_ends(calls: list[str]) -> None:
    before = set(threading.enumerate())
    engines.run(LinearFlow("empty"), engine="parallel", max_workers=8)
    assert set(threading.enumerate()) <= before


def test_an_executor_that_takes_no_work_is_named_and_the_run_can_go_on(backend: Backend, calls: list[str]) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(NotPossible, match="takes no work: cannot schedule new futures"):
        engines.run(Say("a", calls), backend=backend, run_id="r", engine="parallel", executor=pool)
    engines.run(Say("a", calls), backend=backend, run_id="r")
    assert calls == ["a"]


def test_what_submit_gives_has_to_be_a_future() -> None:
    class Odd:
        def submit(self, *args: Any) -> int:
            return 3

    with pytest.raises(NotPossible, match="gives 3, which is no future"):
        engines.run(Say("a", []), engine="parallel", executor=Odd())


def test_an_atom_that_has_nothing_to_revert_needs_no_executor_for_it() -> None:
    submitted: list[str] = []

    class Noting(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            submitted.append(args[0].name)
            return super().submit(fn, *args, **kwargs)

    @task
    def plain() -> None: ...

    with Noting(1) as pool, pytest.raises(ValueError, match="bad"):
        engines.run(LinearFlow("f").add(plain, Raise("bad", [])), engine="parallel", executor=pool)
    assert submitted == ["plain", "bad", "bad"]


def test_the_time_that_an_attempt_took_does_not_include_its_wait_for_a_worker(backend: Backend) -> None:
    ends: list[float] = []

    class Note(Task):
        def execute(self) -> None:
            ends.append(time.time())

    flow = UnorderedFlow("f").add(*[Note(f"s{i}") for i in range(6)])
    engines.run(flow, backend=backend, run_id="r", engine="parallel", max_workers=1)
    starts = sorted(row["started_at"] for rows in backend.load("r").appended["attempt"].values() for row in rows)
    assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))


def test_an_executor_of_the_users_is_used_and_left_open(calls: list[str]) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:

        @task(provides="where")
        def where() -> str:
            return threading.current_thread().name

        result = engines.run(where, engine="parallel", executor=pool)
        assert str(result["where"]).startswith("mine")
        assert pool.submit(lambda: 1).result() == 1


def test_what_cannot_execute_is_refused() -> None:
    with pytest.raises(UnknownPlugin, match=r"'fibers'; installed are .*serial, threads"):
        engines.run(Say("a", []), engine="parallel", executor="fibers")
    with pytest.raises(UnknownPlugin, match="parallel, serial"):
        engines.load(Say("a", []), engine="paralel")
    with pytest.raises(NotPossible, match="has no submit"):
        engines.run(Say("a", []), engine="parallel", executor=3)
    with pytest.raises(NotPossible, match="no option 'max_worker'"):
        engines.load(Say("a", []), max_worker=3)
    with pytest.raises(NotPossible, match="one worker, not 3"):
        engines.run(Say("a", []), max_workers=3)
    with pytest.raises(NotPossible, match="takes no executor 'threads'"):
        engines.run(Say("a", []), executor="threads")


@pytest.mark.parametrize(
    "options",
    [{"max_workers": 0}, {"max_workers": "8"}, {"lease_s": 0}, {"lease_s": "long"}, {"lease_s": float("nan")}],
)
def test_a_number_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NotPossible, match=next(iter(options))):
        engines.load(Say("a", []), engine="parallel", **options)


def test_a_store_that_is_none_is_refused() -> None:
    wrong: Any
    for wrong in ([1], {1: 2}):
        with pytest.raises(WrongType, match="store"):
            engines.load(Say("a", []), wrong)


def test_every_wiring_error_is_told_at_once() -> None:
    @task(provides="total")
    def add(x: int, y: int) -> int:
        return x + y

    flow = LinearFlow("f").add(add, add.atom(name="second", rebind={"x": "totl"}))
    with pytest.raises(CompilationFailure) as raised:
        engines.load(flow, {"x": 1})
    text = str(raised.value)
    assert len(raised.value.problems) == 3
    assert "did you mean 'total'?" in text
    assert f"{Path(__file__).name}:" in text


def test_a_task_knows_its_attempt_and_keeps_its_idempotency_key() -> None:
    seen: list[flowbook.engines.context.Context] = []

    @task
    def look() -> None:
        seen.append(flowbook.current())

    engines.run(look, run_id="r")
    engines.run(look, run_id="r")
    assert (seen[0].run, seen[0].atom, seen[0].attempt) == ("r", "look", 1)
    assert seen[0].idempotency_key == seen[1].idempotency_key
    with pytest.raises(InvalidState, match="no task runs"):
        flowbook.current()


@pytest.mark.parametrize("engine", ["serial", "parallel"])
def test_progress_is_in_the_logbook_while_the_task_still_runs(backend: Backend, engine: str) -> None:
    found: list[float] = []

    @task
    def work() -> None:
        flowbook.current().update_progress(0.25)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not found:
            row = backend.load("r").kind("atom")["work"]
            found.extend([row["metadata"]["progress"]] if "metadata" in row else [])

    engines.run(work, backend=backend, run_id="r", engine=engine)
    assert found == [0.25]


def test_a_listener_that_raises_harms_nothing(calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    def broken(notice: Notice) -> None:
        raise RuntimeError("a broken listener")

    engine = engines.load(Say("a", calls))
    engine.atom_notifier.register("SUCCESS", broken)
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert "a broken listener" in caplog.text


def test_hello_in_a_fresh_process_says_nothing_on_stderr(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        from flowbook import LinearFlow, engines, task
        @task(provides="total")
        def add(x: int, y: int) -> int:
            return x + y
        print(engines.run(LinearFlow("hello").add(add), store={"x": 1, "y": 2}, backend="sqlite:///runs.db"))
    """)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'x': 1, 'y': 2, 'total': 3}\n", "")


def test_an_attempt_that_somebody_else_cancels_fails_and_the_engine_does_not_wait_for_it() -> None:
    class Refusing(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.cancel()
            return future

    engine = engines.load(Say("a", []), engine="parallel", executor=Refusing())
    with pytest.raises(WrappedFailure, match="CancelledError"):
        engine.run()
    assert engine.state is FlowState.FAILURE  # its revert is cancelled as well


def test_what_is_no_backend_is_refused_with_a_hint(tmp_path: Path) -> None:
    wrong: Any
    for wrong in (tmp_path / "x.db", 3, object()):
        with pytest.raises(WrongType):
            engines.load(Say("a", []), backend=wrong)
