"""Awaiting a run: the caller's event loop goes on, and coroutines of atoms run on it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import flowbook
from flowbook import (
    AtomState,
    FlowState,
    LinearFlow,
    Notice,
    Task,
    UnorderedFlow,
    WrappedFailure,
    engines,
    persistence,
    task,
)
from flowbook.engines.engine import Engine
from flowbook.exceptions import CompilationFailure, InvalidState
from flowbook.persistence import Backend
from flowbook.persistence.backend import Claim
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import Owner
from unit.engines.tasks import Raise, Say

ASYNC: Mapping[str, Any] = {"engine": "parallel", "executor": "async"}


@task(provides="total")
def add(x: int, y: int) -> int:
    return x + y


@task
def leave() -> None:
    raise SystemExit(3)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Give an event that threads wait for, and which is set at the end, so that none of them waits for ever."""
    event = threading.Event()
    yield event
    event.set()


async def beat(times: int, then: Callable[[], None]) -> None:
    """Go on for some turns of the loop, each of which takes a while, then call something."""
    for _ in range(times):
        await asyncio.sleep(0.001)
    then()


async def until(event: threading.Event) -> None:
    """Wait for an event of threads without keeping the loop."""
    assert await asyncio.to_thread(event.wait, 10)


@pytest.mark.parametrize(
    "options",
    [{}, {"engine": "parallel"}, ASYNC, {"engine": "parallel", "executor": "serial"}],
    ids=["serial", "threads", "async", "a parallel engine, serial"],
)
def test_the_loop_goes_on_while_an_atom_keeps_its_thread(gate: threading.Event, options: dict[str, Any]) -> None:
    @task(provides="opened")
    def wait() -> bool:
        return gate.wait(10)  # for the heart of the loop, which beats meanwhile

    async def main() -> dict[str, Any]:
        heart = asyncio.create_task(beat(10, gate.set))
        found = await engines.arun(wait, **options)
        await heart
        return found

    assert asyncio.run(main()) == {"opened": True}


def test_coroutines_run_on_the_loop_of_the_caller_and_can_use_what_is_bound_to_it() -> None:
    async def main() -> None:
        loop, asked, answered = asyncio.get_running_loop(), asyncio.Queue[int](), asyncio.Queue[int]()

        async def serve() -> None:
            await answered.put(2 * await asked.get())

        @task(provides="answer")
        async def ask(number: int) -> int:
            assert asyncio.get_running_loop() is loop
            await asked.put(number)
            return await answered.get()

        @task(provides="more")
        def add_one(answer: int) -> int:
            assert threading.current_thread() is not threading.main_thread()
            return answer + 1

        served = asyncio.create_task(serve())
        engine = engines.load(LinearFlow("f").add(ask, add_one), {"number": 4}, **ASYNC)
        await engine.arun()
        await served
        assert engine.storage.fetch_all() == {"number": 4, "answer": 8, "more": 9}
        assert loop.is_running()

    asyncio.run(main())


def test_a_run_that_is_not_awaited_has_a_loop_of_its_own_in_a_coroutine_too() -> None:
    @task
    async def meet() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @task(provides="inner")
    async def nest() -> bool:
        inner = engines.load(meet.atom(provides="loop"), **ASYNC)
        await asyncio.to_thread(inner.run)
        return inner.storage.fetch("loop") is not asyncio.get_running_loop()

    assert asyncio.run(engines.arun(nest, **ASYNC)) == {"inner": True}


def test_results_and_records_are_those_of_run(backend: Backend) -> None:
    found = asyncio.run(engines.arun(add, {"x": 1, "y": 2}, backend=backend, run_id="r"))
    assert found == engines.run(add, {"x": 1, "y": 2}, backend=backend, run_id="r") == {"x": 1, "y": 2, "total": 3}


def test_a_backend_by_its_url_is_opened_and_closed_in_threads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    for _ in range(2):
        assert asyncio.run(engines.arun(add, {"x": 1, "y": 2}, backend=url, run_id="r"))["total"] == 3


def test_what_run_raises_is_raised(calls: list[str]) -> None:
    with pytest.raises(ValueError, match="bad"):
        asyncio.run(engines.arun(Raise("bad", calls)))
    with pytest.raises(CompilationFailure):
        asyncio.run(engines.arun(add))
    with pytest.raises(SystemExit):
        asyncio.run(engines.arun(leave))


def test_an_engine_that_runs_is_not_run_again(gate: threading.Event) -> None:
    @task
    def wait() -> None:
        gate.wait(10)

    async def main() -> None:
        engine = engines.load(wait)
        first = asyncio.create_task(engine.arun())
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        engine.atom_notifier.register("RUNNING", lambda notice: loop.call_soon_threadsafe(begun.set))
        await begun.wait()
        with pytest.raises(InvalidState, match="it is running already"):
            await engine.arun()
        gate.set()
        await first

    asyncio.run(main())


def test_an_atom_that_fails_with_a_cancellation_does_not_cancel_who_awaits() -> None:
    @task
    async def give_up() -> None:
        raise asyncio.CancelledError("enough")

    async def main() -> None:
        with pytest.raises(WrappedFailure, match="CancelledError"):
            await engines.arun(give_up, **ASYNC)

    asyncio.run(main())


def test_variables_of_the_caller_are_seen_by_listeners_and_coroutines() -> None:
    user: ContextVar[str] = ContextVar("user")
    seen: list[str] = []

    @task
    async def look() -> None:
        seen.append(user.get())

    async def main() -> None:
        user.set("ann")
        engine = engines.load(look, **ASYNC)
        engine.notifier.register("SUCCESS", lambda notice: seen.append(user.get()))
        await engine.arun()

    asyncio.run(main())
    assert seen == ["ann", "ann"]


def test_no_thread_is_left() -> None:
    @task
    async def nothing() -> None: ...

    async def main() -> list[threading.Thread]:
        before = threading.enumerate()
        for options in ({}, ASYNC):
            engine = engines.load(nothing if options else add, {"x": 1, "y": 2}, **options)
            await engine.arun()
        return [thread for thread in threading.enumerate() if thread not in before]

    assert asyncio.run(main()) == []


# -- cancelling --


class Gated(Task):
    """A coroutine that tells that it has begun, and ends when its gate is open."""

    def __init__(self, name: str = "gated") -> None:
        super().__init__(name)
        self.begun, self.gate = threading.Event(), asyncio.Event()
        self.attempts: list[int] = []

    async def execute(self) -> None:
        self.attempts.append(flowbook.current().attempt)
        self.begun.set()
        await self.gate.wait()


def opening(engine: Engine, gated: Gated, loop: asyncio.AbstractEventLoop) -> None:
    """Have the gate opened as soon as the wish to suspend is recorded."""

    def open_gate(notice: Notice) -> None:
        loop.call_soon_threadsafe(gated.gate.set)

    engine.notifier.register(FlowState.SUSPENDING, open_gate)


def test_cancelling_suspends_the_flow_and_waits_until_it_is_suspended(backend: Backend, calls: list[str]) -> None:
    gated = Gated()
    flow = LinearFlow("f").add(gated, Say("then", calls))
    engine = engines.load(flow, backend=backend, run_id="r", **ASYNC)

    async def main() -> None:
        opening(engine, gated, asyncio.get_running_loop())
        run = asyncio.create_task(engine.arun())
        await until(gated.begun)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert engine.state is FlowState.SUSPENDED
        assert engine.storage.get_atom_state("gated") is AtomState.SUCCESS
        assert calls == []
        await engine.arun()

    asyncio.run(main())
    assert (engine.state, calls, gated.attempts) == (FlowState.SUCCESS, ["then"], [1])


def test_a_time_limit_suspends_the_flow() -> None:
    gated = Gated()
    engine = engines.load(gated, **ASYNC)

    async def main() -> None:
        opening(engine, gated, asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await engine.arun()

    asyncio.run(main())
    assert engine.state in (FlowState.SUSPENDED, FlowState.SUCCESS)  # of which its only atom may be the last


def test_cancelling_twice_stops_at_once_and_the_atom_runs_again_later(backend: Backend) -> None:
    gated = Gated()
    engine = engines.load(gated, backend=backend, run_id="r", **ASYNC)

    async def main() -> None:
        run = asyncio.create_task(engine.arun())
        await until(gated.begun)
        run.cancel()
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert backend.load("r").kind("atom")["gated"]["state"] == AtomState.RUNNING
        gated.gate.set()
        await engine.arun()

    asyncio.run(main())
    assert (engine.state, gated.attempts) == (FlowState.SUCCESS, [1, 2])


@pytest.mark.parametrize("awaits", [False, True])
def test_a_loop_that_ends_and_cancels_all_its_tasks_interrupts_the_atoms(backend: Backend, awaits: bool) -> None:
    gated, calls = Gated(), list[str]()
    flow = LinearFlow("f").add(gated, Say("then", calls))
    engine = engines.load(flow, backend=backend, run_id="r", **ASYNC)

    async def main() -> None:
        run = asyncio.create_task(engine.arun())
        await until(gated.begun)
        if awaits:
            for each in asyncio.all_tasks() - {asyncio.current_task()}:
                each.cancel()
            await run

    if awaits:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())
    else:
        asyncio.run(main())
    assert backend.load("r").kind("atom")["gated"]["state"] == AtomState.RUNNING
    gated.gate = asyncio.Event()
    gated.gate.set()
    engine.run()
    assert (engine.state, gated.attempts, calls) == (FlowState.SUCCESS, [1, 2], ["then"])


def test_a_task_that_an_atom_awaits_and_somebody_cancels_is_a_failure_of_the_atom() -> None:
    waits: list[asyncio.Task[None]] = []

    @task
    async def wait() -> None:
        waits.append(asyncio.create_task(asyncio.sleep(3600)))
        await waits[0]

    async def main() -> None:
        run = asyncio.create_task(engines.arun(wait, **ASYNC))
        while not waits:
            await asyncio.sleep(0.001)
        waits[0].cancel()
        with pytest.raises(WrappedFailure, match="CancelledError"):
            await run

    asyncio.run(main())


@pytest.mark.slow
def test_a_loop_that_is_closed_with_the_run_in_it_interrupts_the_atoms(backend: Backend) -> None:
    gated, calls = Gated(), list[str]()
    flow = UnorderedFlow("f").add(gated, LinearFlow("g").add(Gated("also"), Say("then", calls)))
    engine = engines.load(flow, backend=backend, run_id="closed", **ASYNC)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it would tell of the tasks that are left
    left = loop.create_task(engine.arun())
    loop.run_until_complete(until(gated.begun))
    (thread,) = (each for each in threading.enumerate() if each.name == "flowbook closed")
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    thread.join(30)
    assert not thread.is_alive()
    assert not left.done()
    assert backend.load("closed").kind("atom")["gated"]["state"] == AtomState.RUNNING
    again = UnorderedFlow("f").add(Say("gated", calls), LinearFlow("g").add(Say("also", calls), Say("then", calls)))
    engines.run(again, backend=backend, run_id="closed")  # nobody owns it any more
    assert sorted(calls) == ["also", "gated", "then"]


LEFT = """
import asyncio
from flowbook import engines, task

@task
async def wait():
    begun.set()
    await asyncio.Event().wait()

async def main():
    global begun, run
    begun = asyncio.Event()
    run = asyncio.create_task(
        engines.arun(wait, backend="sqlite:///runs.db", run_id="r", engine="parallel", executor="async")
    )
    await begun.wait()

loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)
loop.run_until_complete(main())
print("the program has ended")
"""


@pytest.mark.slow
def test_a_program_that_leaves_its_loop_with_a_run_in_it_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "the program has ended\n", "")
    with persistence.fetch(f"sqlite:///{tmp_path}/runs.db") as found:
        assert found.load("r").kind("atom")["wait"]["state"] == AtomState.RUNNING


class Slow(MemoryBackend):
    """Lets nobody claim until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.claiming, self.may = threading.Event(), threading.Event()

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        self.claiming.set()
        assert self.may.wait(10)
        return super().claim(key, owner, lease_s=lease_s, take_over=take_over)


@pytest.mark.parametrize("options", [{}, ASYNC], ids=["serial", "async"])
def test_cancelling_is_heard_also_before_the_run_is_entered(calls: list[str], options: dict[str, Any]) -> None:
    backend = Slow()
    engine = engines.load(LinearFlow("f").add(*[Say(name, calls) for name in "abc"]), backend=backend, **options)

    async def main() -> None:
        run = asyncio.create_task(engine.arun())
        await until(backend.claiming)
        run.cancel()
        await asyncio.sleep(0)
        backend.may.set()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(main())
    assert engine.state is FlowState.SUSPENDED
    assert len(calls) <= 1
    engine.run()
    assert calls == ["a", "b", "c"]


def test_of_several_runs_one_can_be_cancelled() -> None:
    first, second = Gated("first"), Gated("second")
    one, two = (engines.load(UnorderedFlow("f").add(each), **ASYNC) for each in (first, second))

    async def main() -> None:
        opening(one, first, asyncio.get_running_loop())
        runs = [asyncio.create_task(engine.arun()) for engine in (one, two)]
        await until(first.begun)
        await until(second.begun)
        runs[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await runs[0]
        assert not runs[1].done()
        second.gate.set()
        await runs[1]

    asyncio.run(main())
    assert two.state is FlowState.SUCCESS


INTERRUPTED = """
import asyncio, os, signal, sys
from flowbook import FlowState, LinearFlow, engines, task

def interrupt(notice=None):
    os.kill(os.getpid(), signal.SIGINT)

@task
async def first():
    interrupt()
    await gate.wait()

@task
def second():
    print("second")

async def main():
    global gate
    gate, loop = asyncio.Event(), asyncio.get_running_loop()
    then = interrupt if "twice" in sys.argv else lambda notice: loop.call_soon_threadsafe(gate.set)
    engine.notifier.register(FlowState.SUSPENDING, then)
    await engine.arun()

flow = LinearFlow("f").add(first, second)
engine = engines.load(flow, backend="sqlite:///runs.db", run_id="r", engine="parallel", executor="async")
try:
    asyncio.run(main())
except KeyboardInterrupt:
    again = engines.load(flow, backend="sqlite:///runs.db", run_id="r", engine="parallel", executor="async")
    print("interrupted", again.state)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("times", "state"), [("once", "SUSPENDED"), ("twice", "SUSPENDING")])
def test_an_interrupt_suspends_and_a_second_one_stops_at_once(tmp_path: Path, times: str, state: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, times]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == (f"interrupted {state}\n", "")
