"""TaskFlow's engines, where its own tests leave something open: other processes, other backends, and trouble."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flowbook.exceptions import StorageUnavailable
from flowbook.persistence.memory import MemoryBackend as NativeMemory
from flowbook.taskflow import engines, exceptions, retry, states, task
from flowbook.taskflow.engines.action_engine.engine import ParallelActionEngine, SerialActionEngine
from flowbook.taskflow.patterns import graph_flow, linear_flow, unordered_flow
from flowbook.taskflow.persistence import backends, base
from flowbook.taskflow.persistence.connection import AdaptedBackend
from flowbook.taskflow.persistence.models import FlowDetail, LogBook
from flowbook.taskflow.types.notifier import Notifier
from flowbook.taskflow.utils import persistence_utils


class Give(task.Task):
    def execute(self, **kwargs: Any) -> Any:
        return {"from": self.name}


class Add(task.Task):
    def execute(self, number: int, more: int = 0) -> int:
        return number + more


class Fail(task.Task):
    def execute(self, **kwargs: Any) -> None:
        raise ValueError(f"{self.name} failed")


class FailBelow(task.Task):
    """Fails until its retry gives a number that is high enough."""

    def execute(self, number: int, needed: int) -> int:
        if number < needed:
            raise ValueError(f"{number} is below {needed}")
        return number


class NeverUndone(task.Task):
    def execute(self) -> None:
        """Do nothing."""

    def revert(self, **kwargs: Any) -> None:
        raise KeyError("cannot undo")


def told_by(engine: Any) -> list[str]:
    """Return a list that grows with every state that the engine tells."""
    told: list[str] = []
    engine.notifier.register(Notifier.ANY, lambda state, details: told.append(f"flow {state}"))
    engine.atom_notifier.register(
        Notifier.ANY,
        lambda state, details: told.append(f"{details.get('task_name') or details.get('retry_name')} {state}"),
    )
    return told


def suspend_on(engine: Any, name: str, state: str) -> None:
    def suspend(event: str, details: dict[str, Any]) -> None:
        if name in (details.get("task_name"), details.get("retry_name")):
            engine.suspend()

    engine.atom_notifier.register(state, suspend)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], base.Backend]]:
    """Give a function that opens the same file again, as another process would."""
    made: list[base.Backend] = []

    def open_file() -> base.Backend:
        made.append(backends.fetch({"connection": f"sqlite:///{tmp_path}/books.db"}))
        with closing(made[-1].get_connection()) as connection:
            connection.upgrade()
        return made[-1]

    yield open_file
    for backend in made:
        backend.close()


def read_again(opened: Callable[[], base.Backend], uuid: str) -> tuple[FlowDetail, base.Backend]:
    backend = opened()
    with closing(backend.get_connection()) as connection:
        return connection.get_flow_details(uuid), backend


def test_reverting_goes_on_in_another_process_where_it_was_suspended(opened: Callable[[], base.Backend]) -> None:
    def flow() -> linear_flow.Flow:
        return linear_flow.Flow("f").add(Give("a"), Give("b"), Fail("c"))

    engine = engines.load(flow(), backend=opened())
    suspend_on(engine, "b", states.REVERTED)
    engine.run()
    assert engine.storage.get_flow_state() == states.SUSPENDED

    detail, backend = read_again(opened, engine.storage.flow_uuid)
    again = engines.load(flow(), flow_detail=detail, backend=backend)
    told = told_by(again)
    with pytest.raises(exceptions.WrappedFailure, match="c failed"):
        again.run()
    assert told == ["flow RUNNING", "a REVERTING", "a REVERTED", "flow REVERTED"]
    assert read_again(opened, engine.storage.flow_uuid)[0].state == states.REVERTED


def test_a_retry_that_is_resumed_from_its_logbook_does_not_try_a_value_twice(
    opened: Callable[[], base.Backend],
) -> None:
    """TaskFlow reads the failures of a round as what the retry gave, and begins with the first value again."""

    def flow() -> linear_flow.Flow:
        each = retry.ForEach([1, 2, 3], "each", provides="number")
        return linear_flow.Flow("f", each).add(FailBelow("a", inject={"needed": 3}))

    engine = engines.load(flow(), backend=opened())
    suspend_on(engine, "a", states.REVERTED)
    engine.run()
    detail, backend = read_again(opened, engine.storage.flow_uuid)
    again = engines.load(flow(), flow_detail=detail, backend=backend)
    given: list[Any] = []
    again.atom_notifier.register(
        states.SUCCESS, lambda state, details: given.append(details["result"]) if "retry_name" in details else None
    )
    again.run()
    assert given == [2, 3]
    assert [result for result, _ in again.storage.get_retry_history("each")] == [1, 2, 3]


def test_a_result_that_cannot_be_kept_is_the_failure_of_its_task(opened: Callable[[], base.Backend]) -> None:
    """TaskFlow waits ten seconds, and leaves the task RUNNING and nothing reverted."""

    class GiveLock(task.Task):
        def execute(self) -> Any:
            return threading.Lock()

    engine = engines.load(linear_flow.Flow("f").add(Give("a"), GiveLock("b")), backend=opened())
    told = told_by(engine)
    with pytest.raises(TypeError, match="cannot store"):
        engine.run()
    assert told[-5:] == ["b REVERTING", "b REVERTED", "a REVERTING", "a REVERTED", "flow REVERTED"]


def test_trouble_of_the_backend_is_a_storage_failure_and_the_next_run_goes_on() -> None:
    class Shaky(NativeMemory):
        is_down = False

        def commit(self, *args: Any, **kwargs: Any) -> Any:
            if self.is_down:
                raise StorageUnavailable(self.url, "the cable is out")
            return super().commit(*args, **kwargs)

    class Cut(task.Task):
        def execute(self) -> str:
            native.is_down = not was_cut
            was_cut.append(True)
            return "done"

    native, was_cut = Shaky(), list[bool]()
    engine = engines.load(linear_flow.Flow("f").add(Give("a"), Cut("b")), backend=AdaptedBackend(None, native))
    told = told_by(engine)
    with pytest.raises(exceptions.StorageFailure):
        engine.run()
    assert told[-1] == "flow FAILURE"
    native.is_down = False
    engine.run()
    assert told[-4:] == ["flow FAILURE", "flow RUNNING", "b SUCCESS", "flow SUCCESS"]
    assert told.count("a RUNNING") == 1


class Elsewhere(base.Backend):
    """A backend that somebody wrote against TaskFlow's base class; ``log`` is what it was told to write."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def get_connection(self) -> Any:
        return ElsewhereConnection(self.log)

    def close(self) -> None:
        """Do nothing."""


class ElsewhereConnection:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def close(self) -> None:
        """Do nothing."""

    def save_logbook(self, book: LogBook) -> LogBook:
        return book

    def update_flow_details(self, detail: FlowDetail) -> FlowDetail:
        self._log.append(f"flow {detail.state}")
        return detail

    def update_atom_details(self, detail: Any) -> Any:
        self._log.append(f"{detail.name} {detail.state} {detail.results}")
        return detail


def test_an_attribute_of_a_task_that_is_called_executor_is_its_own_affair() -> None:
    class Holding(task.Task):
        def __init__(self, name: str, executor: object) -> None:
            super().__init__(name)
            self.executor = executor  # type: ignore[assignment]

        def execute(self) -> None: ...

    for kind in ("serial", "parallel"):
        flow = linear_flow.Flow("f").add(Holding("a", "somewhere"), Holding("b", 3))
        assert engines.run(flow, engine=kind) == {}


def test_a_backend_of_somebody_else_is_told_of_each_change() -> None:
    backend = Elsewhere()
    engine = engines.load(linear_flow.Flow("f").add(Add("a", provides="sum")), backend=backend, store={"number": 4})
    engine.run()
    assert backend.log[-4:] == ["a RUNNING None", "flow RUNNING", "a SUCCESS 4", "flow SUCCESS"]


def test_a_failure_that_a_later_round_made_good_is_not_raised_with_a_later_one() -> None:
    again = retry.Times(2, "again", provides="number")
    inner = linear_flow.Flow("inner", again).add(FailBelow("a", inject={"needed": 2}))
    engine = engines.load(linear_flow.Flow("f").add(inner, Fail("b")))
    with pytest.raises(ValueError, match=r"^b failed$"):
        engine.run()


def test_a_flow_whose_revert_failed_is_not_called_reverted_by_a_second_run() -> None:
    engine = engines.load(linear_flow.Flow("f").add(NeverUndone("a"), Fail("b")))
    for _ in range(2):
        with pytest.raises(KeyError, match="cannot undo"):
            engine.run()
        assert engine.storage.get_flow_state() == states.FAILURE
        assert engine.storage.get_atom_state("a") == states.REVERT_FAILURE


def test_a_flow_that_failed_can_be_reset_and_runs_all_again() -> None:
    engine = engines.load(linear_flow.Flow("f").add(NeverUndone("a"), Fail("b")))
    with pytest.raises(KeyError):
        engine.run()
    told = told_by(engine)
    engine.reset()
    assert told == ["a PENDING", "b PENDING", "flow PENDING"]
    assert engine.storage.get_failures() == engine.storage.get_revert_failures() == {}
    with pytest.raises(KeyError):
        engine.run()
    assert told[3:5] == ["flow RUNNING", "a RUNNING"]


def test_what_a_hook_after_execute_raises_is_the_failure_of_the_task() -> None:
    class Untidy(task.Task):
        def execute(self) -> None:
            """Do nothing."""

        def post_execute(self) -> None:
            raise ValueError("not tidy")

    engine = engines.load(linear_flow.Flow("f").add(Give("a"), Untidy("b")))
    with pytest.raises(ValueError, match="not tidy"):
        engine.run()
    assert engine.storage.get_flow_state() == states.REVERTED


def test_a_serial_engine_can_be_read_and_suspended_while_a_task_runs() -> None:
    class Wait(task.Task):
        def execute(self) -> None:
            started.set()
            assert go_on.wait(30)

    started, go_on = threading.Event(), threading.Event()
    engine = engines.load(linear_flow.Flow("f").add(Wait("a"), Give("b")))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.run)
        assert started.wait(30)
        assert engine.storage.get_atom_state("a") == states.RUNNING
        with pytest.raises(exceptions.ExecutionFailure):
            engine.run()
        with pytest.raises(exceptions.InvalidState):
            engine.reset()
        engine.suspend()
        go_on.set()
        running.result(30)
    assert engine.storage.get_flow_state() == states.SUSPENDED
    assert engine.storage.get_atoms_states(["a", "b"]) == {
        "a": (states.SUCCESS, states.EXECUTE),
        "b": (states.PENDING, states.EXECUTE),
    }


def test_an_iterator_that_is_closed_suspends_the_flow() -> None:
    engine = engines.load(linear_flow.Flow("f").add(Give("a"), Give("b")))
    phases = engine.run_iter()
    assert next(phases) == states.RESUMING
    assert engine.storage.get_flow_state() == states.RUNNING
    phases.close()
    assert engine.storage.get_flow_state() == states.SUSPENDED
    engine.run()
    assert engine.storage.get_flow_state() == states.SUCCESS


def test_progress_of_a_task_is_kept_with_what_came_with_it_also_for_other_processes(
    opened: Callable[[], base.Backend],
) -> None:
    class Talk(task.Task):
        def execute(self) -> None:
            self.notifier.notify(task.EVENT_UPDATE_PROGRESS, {"progress": 0.5, "page": 7})

    engine = engines.load(linear_flow.Flow("f").add(Talk("a")), backend=opened())
    engine.run()
    (atom,) = read_again(opened, engine.storage.flow_uuid)[0]
    assert atom.meta == {"progress": 1.0, "progress_details": {"at_progress": 0.5, "details": {"page": 7}}}


def test_values_that_are_to_pass_are_given_to_atoms_and_not_written(opened: Callable[[], base.Backend]) -> None:
    engine = engines.load(linear_flow.Flow("f").add(Add("a", provides="sum")), backend=opened())
    engine.storage.inject({"number": 1}, transient=True)
    engine.storage.inject({"more": 2})
    engine.run()
    assert engine.storage.fetch("sum") == 3
    kept = {atom.name: atom.results for atom in read_again(opened, engine.storage.flow_uuid)[0]}
    assert kept == {engine.storage.injector_name: {"more": 2}, "a": 3}


def test_steps_out_of_order_are_refused() -> None:
    engine = engines.load(linear_flow.Flow("f").add(Give("a")))
    for step in (engine.prepare, engine.suspend, engine.validate, engine.reset):
        with pytest.raises(exceptions.InvalidState, match=r"compile\(\)"):
            step()
    engine.compile()
    for step in (engine.validate, engine.reset):
        with pytest.raises(exceptions.InvalidState, match=r"prepare\(\)"):
            step()


def test_what_is_missing_is_told_for_each_atom_and_the_flow() -> None:
    engine = engines.load(linear_flow.Flow("f").add(Add("a"), Add("b", rebind={"number": "x"})))
    with pytest.raises(exceptions.MissingDependencies) as raised:
        engine.run()
    assert raised.value.missing_requirements == ["number"]
    assert "Flow: f" in str(raised.value)
    assert "'execute' method" in str(raised.value.cause)
    assert raised.value.cause is not None
    engine.storage.inject({"number": 1, "x": 2})
    engine.run()


def test_kinds_and_options_come_by_name_or_by_url() -> None:
    flow = linear_flow.Flow("f").add(Give("a"))
    assert isinstance(engines.load(flow), SerialActionEngine)
    engine = engines.load(flow, engine="parallel://?max_workers=2&executor=thread", executor="threads")
    assert isinstance(engine, ParallelActionEngine)
    assert engine.options == {"max_workers": "2", "executor": "threads"}
    engine.run()
    for kind in ("nothing", "nothing://?x=1"):
        with pytest.raises(exceptions.NotFound, match="nothing"):
            engines.load(flow, engine=kind)


def test_an_executor_that_was_given_is_used_and_left_open() -> None:
    with ThreadPoolExecutor(2) as pool:
        flow = unordered_flow.Flow("f").add(Give("a", provides="x"), Give("b", provides="y"))
        found = engines.run(flow, engine="parallel", executor=pool)
        assert found == {"x": {"from": "a"}, "y": {"from": "b"}}
        assert pool.submit(int, "3").result() == 3


def a_flow(number: int, *, more: int = 0) -> linear_flow.Flow:
    return linear_flow.Flow("made").add(Add("a", provides="sum", inject={"number": number, "more": more}), Give("b"))


def test_a_flow_detail_knows_how_its_flow_is_made_again(opened: Callable[[], base.Backend]) -> None:
    engine = engines.load_from_factory(a_flow, [1], {"more": 2}, backend=opened())
    suspend_on(engine, "a", states.SUCCESS)
    engine.run()
    detail, backend = read_again(opened, engine.storage.flow_uuid)
    again = engines.load_from_detail(detail, backend=backend)
    told = told_by(again)
    again.run()
    assert told == ["flow RUNNING", "b RUNNING", "b SUCCESS", "flow SUCCESS"]
    assert again.storage.fetch_all() == {"sum": 3}


def test_numbers_of_the_run_are_kept() -> None:
    engine = engines.load(linear_flow.Flow("f").add(Give("a"), Fail("b")))
    assert engine.statistics == {}
    with pytest.raises(ValueError, match="b failed"):
        engine.run()
    numbers = engine.statistics
    assert (numbers["completed"], numbers["discarded_failures"]) == (4, 1)
    assert numbers["active_for"] > 0


def test_a_compiled_flow_can_be_looked_at() -> None:
    a, b = Give("a", provides="x"), Give("b", requires="x")
    again = retry.AlwaysRevert("again")
    inner = linear_flow.Flow("inner", again).add(b)
    engine = engines.load(graph_flow.Flow("f").add(a, inner))
    before = engine.compilation
    engine.compile()
    assert (before, engine.compilation is None) == (None, False)
    drawn = engine.compilation.execution_graph
    assert list(drawn.edges) == [(a, again), (again, b)]
    assert {item: data["kind"] for item, data in drawn.nodes(data=True)} == {a: "task", again: "retry", b: "task"}
    kinds = [(node.item, node.metadata["kind"]) for node in engine.compilation.hierarchy.dfs_iter(include_self=True)]
    assert {item: kind for item, kind in kinds if item in (inner, again)} == {inner: "flow", again: "retry"}
    engine.prepare()
    assert engine.storage.fetch_unsatisfied_args("b", b.rebind) == set()
    assert engine.storage.fetch_unsatisfied_args("a", {"x": "x"}) == {"x"}


def test_what_was_suspended_in_a_later_round_of_a_retry_goes_on_from_its_records(tmp_path: Path) -> None:
    class Picky(task.Task):
        def execute(self, host: str) -> None:
            if host != "c":
                raise OSError(host)

    def flow() -> Any:
        inner = linear_flow.Flow("f", retry=retry.ForEach(["a", "b", "c"], name="r", provides="host"))
        return inner.add(Give("pre"), Picky("picky"))

    with closing(backends.fetch({"connection": f"sqlite:///{tmp_path}/books.db"})) as backend:
        _, detail = persistence_utils.temporary_flow_detail(backend)
        engine = engines.load(flow(), flow_detail=detail, backend=backend)
        rounds = []

        def stop(state: str, details: Any) -> None:
            rounds.append(details.get("task_name"))
            if rounds.count("pre") == 2:
                engine.suspend()

        engine.atom_notifier.register(states.SUCCESS, stop)
        engine.run()
        assert engine.storage.get_flow_state() == states.SUSPENDED
        found = backend.get_connection().get_flow_details(detail.uuid)
        again = engines.load(flow(), flow_detail=found, backend=backend)
        again.run()
        assert again.storage.get_flow_state() == states.SUCCESS
        assert list(again.storage.get_retry_history("r").provided_iter()) == ["a", "b", "c"]
