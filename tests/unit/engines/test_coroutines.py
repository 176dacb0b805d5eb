"""The executor of coroutines: what they see, what of them is bounded, and how they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import flowbook
from flowbook import AtomState, FlowState, LinearFlow, Task, UnorderedFlow, engines, task
from flowbook.clock import SystemClock
from flowbook.engines import executors
from flowbook.engines.context import Context, Outcome
from flowbook.engines.executors.base import attempt
from flowbook.engines.executors.coroutines import AsyncExecutor
from flowbook.engines.executors.loops import LoopLeft, LoopWatch, awaited_by
from flowbook.engines.executors.routing import RoutingExecutor, executor_for
from flowbook.engines.options import Options
from flowbook.exceptions import NotPossible
from flowbook.persistence import Backend
from flowbook.states import Direction
from unit.engines.tasks import Say


def run(flow: Any, **options: Any) -> dict[str, Any]:
    return engines.run(flow, engine="parallel", executor="async", **options)


@task
async def later() -> None: ...


class Hold(Task):
    """Tells that it has begun, and never ends by itself."""

    def __init__(self, name: str = "hold") -> None:
        super().__init__(name)
        self.begun, self.ended = threading.Event(), threading.Event()

    async def execute(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({}, "the serial executor"),
        ({"engine": "parallel"}, "an executor of threads"),
        ({"engine": "parallel", "executor": "pool"}, "a pool"),
        ({"engine": "parallel", "executor": "processes"}, "an executor of processes"),
    ],
    ids=["serial", "threads", "pool", "processes"],
)
def test_where_no_coroutine_can_run_async_atoms_are_refused_before_anything_has_begun(
    calls: list[str], backend: Backend, options: dict[str, Any], who: str
) -> None:
    flow = LinearFlow("f").add(Say("first", calls), later)
    with ThreadPoolExecutor(1) as pool:
        options = {**options, "executor": pool} if options.get("executor") == "pool" else options
        engine = engines.load(flow, backend=backend, run_id="r", **options)
        with pytest.raises(NotPossible, match=f"execute of 'later' is async, and {who} cannot run it") as raised:
            engine.run()
    assert "test_coroutines.py:" in raised.value.where
    assert 'executor="async"' in raised.value.todo
    assert (calls, engine.state) == ([], FlowState.SUSPENDED)
    run(flow, backend=backend, run_id="r")
    assert calls == ["first"]


def test_coroutines_share_one_loop_and_what_is_not_async_runs_beside_it() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    both = threading.Barrier(2)

    @task(provides="where")
    async def notes_its_loop() -> int:
        loops.append(asyncio.get_running_loop())
        return threading.get_ident()

    @task(provides="sync")
    def meets() -> int:
        both.wait(10)
        return threading.get_ident()

    async_atoms = [notes_its_loop.atom(f"a{i}", provides=f"a{i}") for i in range(3)]
    sync_atoms = [meets.atom(f"s{i}", provides=f"s{i}") for i in range(2)]
    found = run(UnorderedFlow("f").add(*async_atoms, *sync_atoms), max_workers=2)
    assert len(set(loops)) == 1
    assert loops[0].is_closed()
    in_loop, in_threads = {found[f"a{i}"] for i in range(3)}, {found[f"s{i}"] for i in range(2)}
    assert (len(in_loop), len(in_threads), in_loop & in_threads) == (1, 2, set())
    assert threading.get_ident() not in in_loop | in_threads


def test_each_coroutine_knows_its_own_attempt_and_so_do_the_tasks_that_it_begins() -> None:
    meeting: dict[str, asyncio.Event] = {}

    async def name() -> str:
        await asyncio.sleep(0)
        return flowbook.current().atom

    @task
    async def know() -> list[str]:
        atom = flowbook.current().atom
        event = meeting.setdefault(atom, asyncio.Event())
        while len(meeting) < 3:
            await asyncio.sleep(0)
        for other in meeting.values():
            other.set()
        await event.wait()
        begun = asyncio.create_task(name())
        in_thread = await asyncio.to_thread(lambda: flowbook.current().atom)
        return [flowbook.current().atom, await name(), await begun, in_thread]

    found = run(UnorderedFlow("f").add(*[know.atom(f"k{i}", provides=f"k{i}") for i in range(3)]))
    assert found == {f"k{i}": [f"k{i}"] * 4 for i in range(3)}


def test_what_is_async_in_one_direction_runs_as_it_is_in_the_other() -> None:
    places: dict[str, bool] = {}

    def note(what: str) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            places[what] = False
        else:
            places[what] = True

    class Forth(Task):
        async def execute(self) -> None:
            note("forth")

        def revert(self) -> None:
            note("forth back")

    class Back(Task):
        def execute(self) -> None:
            note("back")

        async def revert(self) -> None:
            note("back back")

    @task
    async def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run(LinearFlow("f").add(Forth("forth"), Back("back"), fail))
    assert places == {"forth": True, "forth back": False, "back": False, "back back": True}


def test_no_more_are_in_flight_than_asked_for() -> None:
    running, most = 0, 0

    @task
    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1

    flow = UnorderedFlow("f").add(*[count.atom(f"c{i}") for i in range(30)])
    run(flow, max_in_flight=3)
    assert most == 3


def test_hundreds_are_in_flight_at_once_if_they_may() -> None:
    begun = 0
    all_in = asyncio.Event()

    @task
    async def meet() -> None:
        nonlocal begun
        begun += 1
        if begun == 500:
            all_in.set()
        await all_in.wait()

    engine = engines.load(
        UnorderedFlow("f").add(*[meet.atom(f"m{i}") for i in range(500)]), engine="parallel", executor="async"
    )
    engine.run()
    assert engine.state is FlowState.SUCCESS


def test_a_cancellation_that_an_atom_raises_is_its_failure() -> None:
    @task
    async def give_up() -> None:
        raise asyncio.CancelledError("enough")

    @task
    async def cancel_itself() -> None:
        me = asyncio.current_task()
        assert me is not None
        me.cancel()
        await asyncio.sleep(0)

    for atom in (give_up, cancel_itself):
        engine = engines.load(atom, engine="parallel", executor="async")
        with pytest.raises(asyncio.CancelledError):
            engine.run()
        assert engine.state is FlowState.REVERTED


def test_what_runs_is_cancelled_when_the_run_is_broken_off_and_runs_again_later(backend: Backend) -> None:
    hold = Hold()

    @task
    async def break_off() -> None:
        while not hold.begun.is_set():
            await asyncio.sleep(0.001)
        raise KeyboardInterrupt

    engine = engines.load(
        UnorderedFlow("f").add(hold, break_off), backend=backend, run_id="r", engine="parallel", executor="async"
    )
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert hold.ended.is_set()
    assert backend.load("r").kind("atom")["hold"]["state"] == AtomState.RUNNING
    attempts: list[int] = []

    @task(name="hold")
    async def held() -> None:
        attempts.append(flowbook.current().attempt)

    @task(name=break_off.name)
    async def go_on() -> None: ...

    run(UnorderedFlow("f").add(held, go_on), backend=backend, run_id="r")
    assert attempts == [2]


def test_what_a_coroutine_leaves_behind_is_cancelled_and_an_exit_in_it_harms_nobody() -> None:
    ended: list[str] = []
    kept: list[asyncio.Task[None]] = []

    async def stay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("stayed")

    async def leave() -> None:
        raise SystemExit(3)

    @task
    async def begin() -> None:
        kept.append(asyncio.create_task(stay()))
        left = asyncio.create_task(leave())
        await asyncio.wait([left])
        assert isinstance(left.exception(), SystemExit)

    @task
    async def follow() -> None:
        ended.append("followed")

    before = threading.enumerate()
    run(LinearFlow("f").add(begin, follow))
    assert ended == ["followed", "stayed"]
    assert threading.enumerate() == before


# -- the executor by itself --


@pytest.fixture
def executor() -> Iterator[AsyncExecutor]:
    executor = AsyncExecutor(1)
    yield executor
    executor.shutdown()


def submit(executor: AsyncExecutor, atom: Task) -> Future[Outcome]:
    at = Context("r", atom.name, Direction.EXECUTE, 0, 1)
    return executor.submit(attempt, atom, {}, at, SystemClock())


def failed_as(future: Future[Outcome]) -> type[BaseException]:
    failure = future.result(10).failure
    assert failure is not None
    return type(failure.exception)


def test_a_coroutine_can_be_stopped(executor: AsyncExecutor) -> None:
    hold, other = Hold(), Hold("other")
    future, others = submit(executor, hold), submit(executor, other)
    assert hold.begun.wait(10)
    assert other.begun.wait(10)
    assert executor.stop(future)
    assert failed_as(future) is asyncio.CancelledError
    assert hold.ended.is_set()
    assert not other.ended.is_set()
    assert not executor.stop(future)  # it has ended
    assert executor.stop(others)
    assert failed_as(others) is asyncio.CancelledError


def test_a_coroutine_can_be_stopped_where_atoms_name_their_executors() -> None:
    hold = Hold()
    hold.executor = "async"
    made = executor_for([hold], Options("r", max_workers=1))
    future = made.submit(attempt, hold, {}, Context("r", "hold", Direction.EXECUTE, 0, 1), SystemClock())
    assert isinstance(made, RoutingExecutor)
    assert isinstance(future, Future)
    assert hold.begun.wait(10)
    assert made.stop(future)
    assert failed_as(future) is asyncio.CancelledError
    assert not made.stop(future)
    made.shutdown()


def test_what_runs_in_a_thread_cannot_be_stopped(executor: AsyncExecutor) -> None:
    begun, go = threading.Event(), threading.Event()

    @task
    def wait() -> bool:
        begun.set()
        return go.wait(10)

    future = submit(executor, wait)
    assert begun.wait(10)
    assert not executor.stop(future)
    go.set()
    assert future.result(10).value is True


def test_what_has_not_begun_is_stopped_too(executor: AsyncExecutor) -> None:
    begun, go = threading.Event(), threading.Event()

    @task
    async def keep_the_loop() -> None:
        begun.set()
        go.wait(10)

    hold = Hold()
    first, second = submit(executor, keep_the_loop), submit(executor, hold)
    assert begun.wait(10)
    third = submit(executor, Hold("third"))
    assert executor.stop(second)
    assert third.cancel()
    go.set()
    assert first.result(10).failure is None
    if not second.cancelled():  # it was a task of the loop by then
        assert failed_as(second) is asyncio.CancelledError
    assert third.cancelled()


def test_shutdown_cancels_what_runs_and_waits_for_it() -> None:
    executor, hold = AsyncExecutor(), Hold()
    future = submit(executor, hold)
    assert hold.begun.wait(10)
    executor.shutdown()
    assert hold.ended.is_set()
    assert failed_as(future) is asyncio.CancelledError


def left_on(loop: asyncio.AbstractEventLoop) -> tuple[AsyncExecutor, Future[Outcome]]:
    """Return an executor on a loop that runs no more, and what will become of the coroutine that is in the middle."""
    loop.set_exception_handler(lambda *_: None)  # it would tell of the task that is left
    with awaited_by(loop):
        executor = AsyncExecutor()
    hold = Hold()
    future = submit(executor, hold)
    loop.call_soon(loop.call_soon, loop.call_soon, loop.stop)
    loop.run_forever()
    assert hold.begun.is_set()
    return executor, future


def test_one_whose_loop_was_closed_takes_no_work_and_leaves_no_future_open() -> None:
    loop = asyncio.new_event_loop()
    executor, future = left_on(loop)
    loop.close()
    assert not executor.stop(future)
    with pytest.raises(NotPossible, match="the event loop is closed"):
        submit(executor, Hold("late"))
    executor.shutdown()
    assert failed_as(future) is asyncio.CancelledError


class Called(asyncio.SelectorEventLoop):
    """A loop that says when somebody has called something in it."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()

    def call_soon_threadsafe(self, *args: Any, **options: Any) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(*args, **options)
        self.called.set()
        return handle


@pytest.mark.slow
def test_one_whose_loop_is_closed_while_it_is_shut_down_leaves_no_future_open() -> None:
    loop = Called()
    executor, future = left_on(loop)
    loop.called.clear()
    ending = threading.Thread(target=executor.shutdown, daemon=True)
    ending.start()
    assert loop.called.wait(30)  # it is to cancel the task, and will not
    loop.close()
    ending.join(30)
    assert not ending.is_alive()
    assert failed_as(future) is LoopLeft


@pytest.mark.slow
def test_a_loop_that_has_ended_is_told_of_at_each_look() -> None:
    loop, told = asyncio.new_event_loop(), threading.Semaphore(0)
    loop.close()
    watch = LoopWatch(loop, told.release)
    assert told.acquire(timeout=30)
    assert told.acquire(timeout=30)
    watch.leave()


def test_the_window_is_that_of_the_executor_unless_another_is_asked_for(tmp_path: Path) -> None:
    made = executors.make("async")
    made.shutdown()
    assert made.window == 10_000
    for name in ("async", "threads"):
        engine = engines.load(later, engine="parallel", executor=name, max_in_flight=3)
        made = engine.make_executor()
        made.shutdown()
        assert made.window == 3
    with pytest.raises(NotPossible, match="one atom at a time"):
        engines.load(later, max_in_flight=3)
    with pytest.raises(NotPossible, match="max_in_flight is 0"):
        engines.load(later, engine="parallel", max_in_flight=0)
