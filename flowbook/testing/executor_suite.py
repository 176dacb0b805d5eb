"""The suite that every `Executor` passes, ours and yours: subclass it and give it an ``executor`` fixture.

::

    class TestMine(ExecutorContract):
        @pytest.fixture
        def executor(self):
            return "mine"

What the fixture gives is what the option ``executor`` of an engine takes: a name, or an object with ``submit`` that is
closed by the fixture. Say in ``workers`` how many attempts it runs side by side. Where what a task tells of itself has
no way back to the engine, subclass the other contracts one by one, and leave `TellingContract` out.
"""

# ruff: noqa: D102 - names of tests are sentences

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flowbook import AtomState, Flow, FlowState, LinearFlow, Notice, Task, Times, UnorderedFlow, engines
from flowbook.engines import executors
from flowbook.engines.context import Outcome
from flowbook.engines.engine import Engine
from flowbook.engines.executors.base import Executor, Handed
from flowbook.exceptions import NotPossible
from flowbook.persistence import Backend, fetch
from flowbook.testing import executor_coroutines, executor_tasks
from flowbook.testing.executor_tasks import EXCEPTIONS, noted, wait_until


class _Contract:
    engine: ClassVar[str] = "parallel"
    workers: ClassVar[int] = 2
    tasks: ClassVar[Any] = executor_tasks  # a module with tasks of these names

    @pytest.fixture
    def executor(self) -> Any:  # a name, or any object with submit()
        """Return what the option ``executor`` takes."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        """Give a logbook that keeps what a logbook can keep."""
        with fetch("memory:?strict=true&value_limit_bytes=100000000") as backend:
            yield backend

    def load(self, flow: Flow | Task, executor: object, backend: Backend | None = None, **options: Any) -> Engine:
        """Return an engine that runs ``flow`` on the executor."""
        options = {"run_id": "r", "max_workers": self.workers, **options}
        return engines.load(flow, backend=backend, engine=self.engine, executor=executor, **options)

    def make(self, executor: object) -> Executor:
        """Return what an engine makes of ``executor``."""
        return executors.make(executor, self.workers)

    @contextmanager
    def running(self, engine: Engine) -> Iterator[list[BaseException]]:
        """Run an engine in another thread, and wait for its end; give what it has raised by then."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                engine.run()
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield raised
        finally:
            thread.join()


class RunningContract(_Contract):
    """Attempts get what they need, and what they give comes back."""

    @pytest.mark.parametrize("value", [None, 3, "text", b"bytes", (1, [2, {"three": 3.5}]), {1, 2}], ids=str)
    def test_a_result_comes_back_as_it_was(self, executor: Any, value: object) -> None:
        engine = self.load(self.tasks.Give("give", value, provides="given"), executor)
        engine.run()
        assert engine.storage.fetch("given") == value

    def test_large_values_go_and_come(self, executor: Any, backend: Backend) -> None:
        data = bytes(range(256)) * 20_000
        flow = LinearFlow("f").add(
            self.tasks.Turn("turn", provides="turned"), self.tasks.Turn("again", rebind=["turned"], provides="same")
        )
        engine = self.load(flow, executor, backend, store={"data": data})
        engine.run()
        assert engine.storage.fetch("turned") == data[::-1]
        assert engine.storage.fetch("same") == data

    def test_what_depends_starts_when_its_provider_is_committed(
        self, executor: Any, backend: Backend, tmp_path: Path
    ) -> None:
        engine = self.load(LinearFlow("f").add(*[self.tasks.Say(name, tmp_path) for name in "abc"]), executor, backend)
        committed: list[tuple[str, list[str]]] = []
        engine.atom_notifier.register("SUCCESS", lambda notice: committed.append((notice.atom, noted(tmp_path))))
        engine.run()
        assert committed == [("a", ["a"]), ("b", ["a", "b"]), ("c", ["a", "b", "c"])]

    def test_many_atoms_run_once_each(self, executor: Any, tmp_path: Path) -> None:
        names = [f"s{i}" for i in range(300)]
        engine = self.load(UnorderedFlow("f").add(*[self.tasks.Say(name, tmp_path) for name in names]), executor)
        engine.run()
        assert sorted(noted(tmp_path)) == sorted(names)

    def test_as_many_run_side_by_side_as_there_are_workers(self, executor: Any, tmp_path: Path) -> None:
        flow = UnorderedFlow("f").add(*[self.tasks.Meet(f"m{i}", tmp_path, self.workers) for i in range(self.workers)])
        engine = self.load(flow, executor)
        engine.run()
        assert engine.state is FlowState.SUCCESS

    def test_no_more_are_handed_over_than_the_window_takes(self, executor: Any, tmp_path: Path) -> None:
        engine = self.load(UnorderedFlow("f").add(*[self.tasks.Say(f"s{i}", tmp_path) for i in range(60)]), executor)
        made = self.make(executor)
        in_flight, most = 0, 0

        def listen(notice: Notice) -> None:
            nonlocal in_flight, most
            in_flight += 1 if notice.state == "RUNNING" else -1
            most = max(most, in_flight)

        engine.atom_notifier.register("*", listen)
        engine.run()
        made.shutdown()
        assert in_flight == 0
        assert 1 <= most <= made.window

    def test_an_attempt_knows_what_it_knows_in_the_engines_own_thread(self, executor: Any) -> None:
        engine = self.load(self.tasks.Know("know", provides="known"), executor)
        engine.run()
        serial = engines.run(executor_tasks.Know("know", provides="known"), run_id="r")
        assert engine.storage.fetch("known") == serial["known"]

    def test_a_revert_knows_its_attempt_too(self, executor: Any, tmp_path: Path) -> None:
        last = self.tasks.FailAtFirst("last", tmp_path, "ValueError")
        engine = self.load(LinearFlow("f").add(self.tasks.KnowUndoing("know", tmp_path), last), executor)
        with pytest.raises(ValueError, match="bad"):
            engine.run()
        assert noted(tmp_path)[-1] == "r know REVERT 1"

    def test_hooks_are_called_around_their_method(self, executor: Any, tmp_path: Path) -> None:
        hooked = [
            self.tasks.Hooked("one", tmp_path, "ValueError", times=0),
            self.tasks.Hooked("two", tmp_path, "ValueError"),
        ]
        with pytest.raises(ValueError, match="bad"):
            self.load(LinearFlow("f").add(*hooked), executor).run()
        executed = ["before one", "one", "after one", "before two", "two", "after two"]
        undone = ["before revert two", "revert two", "after revert two"]
        undone += ["before revert one", "revert one", "after revert one"]
        assert noted(tmp_path) == executed + undone

    def test_an_async_atom_runs_or_is_refused_before_anything_has_begun(self, executor: Any, tmp_path: Path) -> None:
        flow = LinearFlow("f").add(self.tasks.Say("a", tmp_path), executor_coroutines.Say("b", tmp_path))
        engine = self.load(flow, executor)
        with self.running(engine) as raised:
            pass
        if raised:
            assert [str(error).partition(", ")[0] for error in raised] == ["execute of 'b' is async"]
            assert (noted(tmp_path), engine.state) == ([], FlowState.SUSPENDED)
        else:
            assert (noted(tmp_path), engine.state) == (["a", "b"], FlowState.SUCCESS)

    def test_a_run_that_is_done_again_gets_what_it_needs_again(self, executor: Any, tmp_path: Path) -> None:
        flow = UnorderedFlow("f").add(*[self.tasks.Say(f"s{i}", tmp_path) for i in range(4)])
        engine = self.load(flow, executor, rerun=True)
        engine.run()
        engine.run()
        assert sorted(noted(tmp_path)) == sorted([f"s{i}" for i in range(4)] * 2)

    def test_two_engines_run_at_once(self, executor: Any, tmp_path: Path) -> None:
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        flows = [UnorderedFlow("f").add(*[self.tasks.Say(f"s{i}", folder) for i in range(20)]) for folder in folders]
        one, two = (self.load(flow, executor) for flow in flows)
        with self.running(one) as raised, self.running(two) as raised_too:
            pass
        assert raised + raised_too == []
        assert [len(noted(folder)) for folder in folders] == [20, 20]


class TellingContract(_Contract):
    """What a task tells of itself reaches the engine."""

    def test_what_a_task_tells_is_heard_while_it_runs(self, executor: Any, backend: Backend, tmp_path: Path) -> None:
        told: list[float | None] = []

        def open_gate(notice: Notice) -> None:
            told.append(notice.progress)
            (tmp_path / "gate").touch()

        engine = self.load(self.tasks.Tell("tell", tmp_path), executor, backend)
        engine.atom_notifier.register("PROGRESS", open_gate)
        engine.run()
        assert told[0] == 0.5
        assert engine.storage.get_metadata("tell")["page"] == 3
        assert engine.storage.get_metadata("tell")["words"] == ["a", "b"]


class FailingContract(_Contract):
    """What an attempt raises is its failure, the same one wherever it runs."""

    @pytest.mark.parametrize("kind", [kind for kind in EXCEPTIONS if kind != "KeyboardInterrupt"])
    def test_what_a_task_raises_is_the_failure_that_it_would_be_in_the_engines_own_thread(
        self, executor: Any, tmp_path: Path, kind: str
    ) -> None:
        told = []
        here = engines.load(executor_tasks.FailAtFirst("fail", tmp_path, kind), never_resolve=True)
        for engine in (here, self.load(self.tasks.FailAtFirst("fail", tmp_path, kind), executor, never_resolve=True)):
            *_, state = engine.run_iter()
            assert state == FlowState.FAILURE
            failure = engine.storage.get_failures()["fail"]
            assert "in execute" in failure.traceback_str
            told.append([(one.type_names, one.exception_str) for one in (failure, *failure.causes)])
        assert told[0] == told[1]

    def test_an_exception_is_raised_as_it_is(self, executor: Any, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="bad") as raised:
            self.load(self.tasks.FailAtFirst("fail", tmp_path, "ValueError"), executor).run()
        assert raised.value.args == ("bad", 3)

    @pytest.mark.parametrize("method", ["execute", "revert"])
    def test_a_coroutine_that_nobody_awaits_is_a_failure_of_who_returned_it(
        self, executor: Any, backend: Backend, tmp_path: Path, method: str
    ) -> None:
        last = self.tasks.FailAtFirst("last", tmp_path, "ValueError")
        engine = self.load(LinearFlow("f").add(self.tasks.Forget("forget", tmp_path, method), last), executor, backend)
        *_, state = engine.run_iter()
        stored = engine.storage
        failures = stored.get_failures() if method == "execute" else stored.get_revert_failures()
        failure = failures["forget"]
        assert failure.check(NotPossible)
        assert failure.exception_str.startswith(f"{method} of 'forget' returned a coroutine, which nobody awaits: ")
        assert state == (FlowState.REVERTED if method == "execute" else FlowState.FAILURE)
        assert noted(tmp_path).count("forget") == 1

    def test_an_interrupt_that_a_task_raises_leaves_run_and_the_run_goes_on_later(
        self, executor: Any, backend: Backend, tmp_path: Path
    ) -> None:
        flow = LinearFlow("f").add(
            self.tasks.Say("first", tmp_path), self.tasks.FailAtFirst("then", tmp_path, "KeyboardInterrupt", times=1)
        )
        with pytest.raises(KeyboardInterrupt):
            self.load(flow, executor, backend).run()
        engine = self.load(flow, executor, backend)
        engine.run()
        assert noted(tmp_path) == ["first", "then", "then"]

    def test_what_was_done_is_undone_in_the_opposite_order(self, executor: Any, tmp_path: Path) -> None:
        last = self.tasks.FailAtFirst("last", tmp_path, "ValueError")
        engine = self.load(
            LinearFlow("f").add(self.tasks.Say("a", tmp_path), self.tasks.Undo("b", tmp_path), last), executor
        )
        with pytest.raises(ValueError, match="bad"):
            engine.run()
        assert noted(tmp_path)[3:] == ["revert last", "revert b b ['last']", "revert a"]
        assert engine.state is FlowState.REVERTED

    def test_a_retry_runs_its_flow_again(self, executor: Any, backend: Backend, tmp_path: Path) -> None:
        flow = LinearFlow("f", retry=Times(3, name="thrice"))
        flow.add(self.tasks.Say("a", tmp_path), self.tasks.FailAtFirst("b", tmp_path, "ValueError", times=2))
        engine = self.load(flow, executor, backend)
        engine.run()
        assert engine.state is FlowState.SUCCESS
        assert noted(tmp_path) == ["a", "b", "revert b", "revert a"] * 2 + ["a", "b"]

    def test_siblings_that_fail_together_are_undone_each_after_it_was_done(
        self, executor: Any, backend: Backend, tmp_path: Path
    ) -> None:
        names = [f"f{i}" for i in range(6)]
        flow = UnorderedFlow("f").add(*[self.tasks.FailAtFirst(name, tmp_path, "ValueError") for name in names])
        *_, state = self.load(flow, executor, backend).run_iter()
        assert state == FlowState.REVERTED
        calls = noted(tmp_path)
        done = [name for name in names if name in calls]
        assert done
        assert sorted(calls) == sorted([*done, *(f"revert {name}" for name in done)])
        assert all(calls.index(name) < calls.index(f"revert {name}") for name in done)


class StoppingContract(_Contract):
    """A run can be suspended, and what an executor made is given back."""

    def test_what_runs_ends_and_what_is_queued_is_taken_back_when_the_flow_is_suspended(
        self, executor: Any, backend: Backend, tmp_path: Path
    ) -> None:
        names = [f"w{i}" for i in range(12)]
        flow = UnorderedFlow("f").add(*[self.tasks.Wait(name, tmp_path) for name in names])
        engine = self.load(flow, executor, backend)
        with self.running(engine) as raised:
            wait_until(lambda: len(noted(tmp_path)) == self.workers)
            engine.suspend()
            wait_until(lambda: len(_running(backend)) == self.workers)  # the others are recorded as withdrawn
            (tmp_path / "gate").touch()
        assert raised == []
        assert engine.state is FlowState.SUSPENDED
        begun = noted(tmp_path)
        assert len(begun) == self.workers
        states = {name: engine.storage.get_atom_state(name) for name in names}
        assert {name for name in names if states[name] is AtomState.SUCCESS} == set(begun)
        assert {states[name] for name in set(names) - set(begun)} == {AtomState.PENDING}
        again = self.load(flow, executor, backend)
        again.run()
        assert again.state is FlowState.SUCCESS
        assert sorted(noted(tmp_path)) == sorted(names)

    def test_nothing_is_left_of_a_run(self, executor: Any, tmp_path: Path) -> None:
        flow = UnorderedFlow("f").add(*[self.tasks.Say(f"s{i}", tmp_path) for i in range(2 * self.workers)])
        meeting = [self.tasks.Meet(f"m{i}", tmp_path, self.workers) for i in range(self.workers)]
        self.load(UnorderedFlow("f").add(*meeting), executor).run()  # what is made once is made
        gc.collect()
        before = _left()
        for _ in range(3):
            self.load(flow, executor).run()
        gc.collect()
        threads, processes, descriptors = _left()
        assert threads <= before[0]
        assert processes <= before[1]
        assert descriptors <= before[2]

    def test_one_that_is_not_used_ends(self, executor: Any) -> None:
        before = threading.enumerate()
        for _ in range(3):
            self.make(executor).shutdown()
        assert threading.enumerate() == before

    def test_what_is_handed_over_ends_with_what_the_call_gave(self, executor: Any) -> None:
        made = self.make(executor)
        try:
            handed = [made.submit(Outcome, number, None, None) for number in range(8)]
            assert [_outcome(each).value for each in handed] == list(range(8))
        finally:
            made.shutdown()

    def test_what_is_told_to_stop_ends_what_it_began_and_leaves_no_future_open(
        self, executor: Any, tmp_path: Path
    ) -> None:
        made = self.make(executor)
        (tmp_path / "gate").touch()
        handed = [made.submit(_waited, tmp_path) for _ in range(4)]
        made.shutdown()
        for each in handed:
            assert (isinstance(each, Future) and each.cancelled()) or _outcome(each).value == "done"


class ExecutorContract(RunningContract, TellingContract, FailingContract, StoppingContract):
    """Every executor passes this."""


def _running(backend: Backend) -> list[str]:
    return [name for name, row in backend.load("r").kind("atom").items() if row["state"] == "RUNNING"]


def _outcome(handed: Handed) -> Outcome:
    return handed.result(30) if isinstance(handed, Future) else handed


def _waited(folder: Path) -> Outcome:
    wait_until(lambda: (folder / "gate").exists())
    return Outcome("done")


def _left() -> tuple[set[threading.Thread], set[int | None], int]:
    """Return the threads and child processes that there are, and how many descriptors are open."""
    processes = {child.pid for child in multiprocessing.active_children()}
    return set(threading.enumerate()), processes, len(os.listdir("/dev/fd"))
