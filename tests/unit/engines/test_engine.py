"""What an engine promises while it runs: order, listeners, suspending, executors, values that cannot be stored."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import flowbook
from flowbook import FlowState, LinearFlow, Notice, Retry, Task, UnorderedFlow, WrappedFailure, engines, task
from flowbook.atoms.retry import Decision
from flowbook.engines.core.arguments import NotProvided
from flowbook.exceptions import (
    CompilationFailure,
    EncodeError,
    InvalidState,
    NotFound,
    NotPossible,
    OwnershipLost,
    TooLarge,
    UnknownPlugin,
)
from flowbook.flows import GraphFlow
from flowbook.persistence import Backend, fetch


class Say(Task):
    """Returns its name; notes each call in ``calls``."""

    def __init__(self, name: str, calls: list[str], **options: Any) -> None:
        super().__init__(name, **options)
        self.calls = calls

    def execute(self) -> str:
        self.calls.append(self.name)
        return self.name

    def revert(self) -> None:
        self.calls.append(f"revert {self.name}")


class Raise(Say):
    def execute(self) -> str:
        self.calls.append(self.name)
        raise ValueError(self.name)


class Meet(Task):
    """Waits until as many others are there at the same time."""

    def __init__(self, name: str, barrier: threading.Barrier) -> None:
        super().__init__(name)
        self.barrier = barrier

    def execute(self) -> None:
        self.barrier.wait(10)


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture(params=["memory:", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with fetch("memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/runs.db") as backend:
        yield backend


# -- results -----------------------------------------------------------------------------------------------------


def test_inputs_flow_to_results() -> None:
    @task(provides=("quotient", "rest"))
    def divide(number: int, by: int = 10) -> tuple[int, int]:
        return divmod(number, by)

    assert engines.run(LinearFlow("f").add(divide), {"number": 42}) == {"number": 42, "quotient": 4, "rest": 2}
    assert engines.run(divide, {"number": 42, "by": 5})["quotient"] == 8


def test_a_short_result_fails_its_consumer_and_nobody_else(calls: list[str]) -> None:
    @task(provides=("one", "two"))
    def give() -> tuple[int]:
        return (1,)

    @task
    def take(two: int) -> None:
        raise AssertionError("it cannot be called")

    with pytest.raises(NotProvided, match="'take' needs 'two'"):
        engines.run(LinearFlow("f").add(give, Say("say", calls), take))
    assert calls == ["say", "revert say"]


def test_several_providers_of_a_symbol_come_back_as_a_list() -> None:
    flow = UnorderedFlow("f").add(*[task(provides="x")(lambda i=i: i).atom(name=f"t{i}") for i in range(3)])  # type: ignore[misc]
    assert engines.run(flow)["x"] == [0, 1, 2]


def test_the_results_are_read_by_name_and_by_symbol(calls: list[str]) -> None:
    engine = engines.load(LinearFlow("f").add(Say("a", calls, provides="x")), {"y": 1})
    with pytest.raises(InvalidState, match="the run has not begun"):
        engine.storage.fetch("x")
    engine.run()
    assert engine.storage.fetch("x") == engine.storage.get("a") == "a"
    with pytest.raises(NotFound, match="did you mean|no value of 'z'"):
        engine.storage.fetch("z")
    with pytest.raises(NotFound, match="no atom 'b'"):
        engine.storage.get_atom_state("b")


# -- failures ----------------------------------------------------------------------------------------------------


def test_the_exception_itself_is_raised_after_reverting_in_reverse_order(calls: list[str]) -> None:
    with pytest.raises(ValueError, match="^c$") as raised:
        engines.run(LinearFlow("f").add(Say("a", calls), Say("b", calls), Raise("c", calls), Say("d", calls)))
    assert calls == ["a", "b", "c", "revert c", "revert b", "revert a"]
    assert raised.traceback[-1].name == "execute"


def test_atoms_that_became_ready_together_are_all_started_although_one_fails(calls: list[str]) -> None:
    with pytest.raises(ValueError, match="bad"):
        engines.run(UnorderedFlow("f").add(Raise("bad", calls), Say("a", calls), Say("b", calls)))
    assert calls[:3] == ["bad", "a", "b"]
    assert sorted(calls[3:]) == ["revert a", "revert b", "revert bad"]


def test_several_failures_are_raised_together(calls: list[str]) -> None:
    with pytest.raises(WrappedFailure) as raised:
        engines.run(UnorderedFlow("f").add(Raise("one", calls), Raise("two", calls)))
    assert list(raised.value.failures) == ["one", "two"]


def test_a_failed_revert_shows_both_failures_and_stops_the_reverting(calls: list[str]) -> None:
    class Stuck(Say):
        def revert(self) -> None:
            raise RuntimeError("it cannot be undone")

    engine = engines.load(LinearFlow("f").add(Say("a", calls), Stuck("b", calls), Raise("c", calls)))
    with pytest.raises(WrappedFailure) as raised:
        engine.run()
    assert list(raised.value.failures) == ["c", "b (revert)"]
    assert engine.state is FlowState.FAILURE
    assert engine.storage.get_atom_state("a") == "SUCCESS"
    assert calls == ["a", "b", "c", "revert c"]


def test_revert_is_told_the_result_and_the_failures() -> None:
    told: list[Any] = []

    class Made(Task):
        def execute(self, x: int) -> int:
            return x + 1

        def revert(self, x: int, result: int, flow_failures: dict[str, Any]) -> None:
            told.append((x, result, [str(failure) for failure in flow_failures.values()]))

    with pytest.raises(ValueError, match="no"):
        engines.run(LinearFlow("f").add(Made("made"), Raise("no", [])), {"x": 1})
    assert told == [(1, 2, ["ValueError: no"])]


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit()])
def test_an_exception_that_is_no_error_fails_the_atom_like_any_other(error: BaseException) -> None:
    def leave() -> None:
        raise error

    engine = engines.load(task(leave), engine="parallel")
    with pytest.raises(type(error)):
        engine.run()
    assert engine.state is FlowState.REVERTED


def test_an_interrupt_in_a_task_stops_the_engine_and_the_run_can_be_continued(backend: Backend) -> None:
    @task
    def interrupted() -> None:
        raise KeyboardInterrupt

    flow = LinearFlow("f").add(Say("a", []), interrupted)
    with pytest.raises(KeyboardInterrupt):
        engines.run(flow, backend=backend, run_id="r")
    engine = engines.load(LinearFlow("f").add(Say("a", []), Say("interrupted", [])), backend=backend, run_id="r")
    engine.run()
    assert str(engine.resumed) == "1 saved, 1 interrupted, 0 to go"
    assert [row["outcome"] for row in backend.load("r").appended["attempt"]["interrupted"]] == ["INTERRUPTED", "SUCCESS"]


# -- values ------------------------------------------------------------------------------------------------------


def test_a_result_that_cannot_be_stored_fails_its_atom_and_names_the_part(tmp_path: Path, calls: list[str]) -> None:
    class Unstorable(Task):
        def execute(self) -> dict[str, object]:
            return {"rows": [1, threading.Lock()]}

        def revert(self, result: object) -> None:
            assert isinstance(result, dict)
            calls.append(f"reverted with {sorted(result)}")

    flow = LinearFlow("f").add(Unstorable("bad", provides="x"), Say("dependent", calls))
    with pytest.raises(EncodeError) as raised:
        engines.run(flow, backend=f"sqlite:///{tmp_path}/runs.db")
    assert "result of 'bad'" in raised.value.path
    assert "['rows'][1]" in raised.value.path
    assert calls == ["reverted with ['rows']"]


def test_an_input_that_cannot_be_stored_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(EncodeError, match="input 'x'"):
        engines.run(Say("a", []), {"x": threading.Lock()}, backend=url, run_id="r")
    with fetch(url) as backend, pytest.raises(NotFound):
        backend.load("r")


def test_a_result_over_the_limit_fails_its_atom_by_name() -> None:
    @task
    def big() -> str:
        return "x" * 1000

    with pytest.raises(TooLarge, match="result of 'big'"):
        engines.run(big, backend={"connection": "memory:", "strict": True, "value_limit_bytes": 900})


def test_a_failure_over_the_limit_is_stored_in_brief() -> None:
    @task
    def fail() -> None:
        raise ValueError("x" * 1000)

    with fetch({"connection": "memory:", "strict": True, "value_limit_bytes": 600}) as backend:
        with pytest.raises(ValueError, match="x{1000}"):
            engines.run(fail, backend=backend, run_id="r")
        with pytest.raises(WrappedFailure, match="fail: ValueError: x{300}…"):
            engines.run(fail, backend=backend, run_id="r")


# -- suspending --------------------------------------------------------------------------------------------------


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


# -- one engine, one owner ---------------------------------------------------------------------------------------


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


# -- executors ---------------------------------------------------------------------------------------------------


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


def test_an_executor_of_the_users_is_used_and_left_open(calls: list[str]) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="mine") as pool:

        @task(provides="where")
        def where() -> str:
            return threading.current_thread().name

        result = engines.run(where, engine="parallel", executor=pool)
        assert str(result["where"]).startswith("mine")
        assert pool.submit(lambda: 1).result() == 1


def test_what_cannot_execute_is_refused() -> None:
    with pytest.raises(UnknownPlugin, match="'fibers'; installed are .*serial, threads"):
        engines.run(Say("a", []), engine="parallel", executor="fibers")
    with pytest.raises(UnknownPlugin, match="parallel, serial"):
        engines.load(Say("a", []), engine="paralel")
    with pytest.raises(NotPossible, match="has no submit"):
        engines.run(Say("a", []), engine="parallel", executor=3)
    with pytest.raises(NotPossible, match="no option 'max_worker'"):
        engines.load(Say("a", []), max_worker=3)
    with pytest.raises(NotPossible, match="one worker, not 3"):
        engines.run(Say("a", []), max_workers=3)


# -- the rest ----------------------------------------------------------------------------------------------------


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


def test_retries_and_deciders_are_refused_until_they_are_run() -> None:
    class Once(Retry):
        def execute(self, history: object) -> None: ...

        def on_failure(self, history: object) -> Decision:
            return Decision.REVERT

    with pytest.raises(NotPossible, match="is a retry"):
        engines.load(LinearFlow("f", retry=Once()).add(Say("a", [])))
    a, b = Say("a", []), Say("b", [])
    graph = GraphFlow("g").add(a, b)
    graph.link(a, b, decider=lambda history: True)
    with pytest.raises(NotPossible, match="has a decider"):
        engines.load(graph)


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
