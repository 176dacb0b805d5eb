"""The pool of threads: each of its threads takes attempts until the end, and none outlives what it is for."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, Future

import pytest

from flowbook.engines.context import Outcome
from flowbook.engines.executors import threads
from flowbook.engines.executors.threads import ThreadsExecutor


def here() -> Outcome:
    return Outcome(threading.current_thread())


def thread_of(executor: ThreadsExecutor) -> threading.Thread:
    """Return a thread of the pool."""
    found = executor.submit(here).result().value
    assert isinstance(found, threading.Thread)
    return found


class Slow:
    """A call that tells that it has begun, and ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> Outcome:
        self.begun.set()
        self.may_end.wait()
        return Outcome("done")


def test_no_more_threads_than_workers_are_made() -> None:
    executor = ThreadsExecutor(2)
    assert len({executor.submit(here).result().value for _ in range(20)}) <= 2
    executor.shutdown()


def test_what_runs_is_waited_for_however_long_and_what_is_queued_is_cancelled() -> None:
    executor = ThreadsExecutor(1)
    slow = Slow()
    running, queued = executor.submit(slow), executor.submit(here)
    slow.begun.wait()
    queued.add_done_callback(lambda _: slow.may_end.set())  # it is cancelled while the first one runs
    executor.shutdown()
    assert running.result().value == "done"
    assert queued.cancelled()


def test_a_cancelled_call_is_not_made() -> None:
    executor = ThreadsExecutor(1)
    slow = Slow()
    called: list[int] = []
    executor.submit(slow)
    slow.begun.wait()
    queued = executor.submit(lambda: Outcome(called.append(1)))
    assert queued.cancel()
    slow.may_end.set()
    executor.submit(here).result()  # behind it
    assert called == []
    executor.shutdown()


def test_a_call_says_how_far_it_is_and_tells_each_who_listens_once() -> None:
    executor = ThreadsExecutor(1)
    slow = Slow()
    heard: list[tuple[str, Future[Outcome]]] = []
    call, queued = executor.submit(slow), executor.submit(here)
    for name in ("first", "second"):
        call.add_done_callback(lambda ended, name=name: heard.append((name, ended)))
    slow.begun.wait()
    assert (call.running(), call.done(), call.cancel(), call.cancelled()) == (True, False, False, False)
    assert (queued.running(), queued.done(), repr(queued)) == (False, False, "<_Call queued>")
    with pytest.raises(TimeoutError):
        call.result(timeout=0)
    slow.may_end.set()
    assert (call.result(60).value, call.exception()) == ("done", None)
    assert (call.running(), call.done(), call.cancel()) == (False, True, False)
    queued.result()  # behind it: by now all have been told
    call.add_done_callback(lambda ended: heard.append(("late", ended)))
    assert heard == [("first", call), ("second", call), ("late", call)]
    executor.shutdown()


def test_a_call_that_was_cancelled_stays_so() -> None:
    executor = ThreadsExecutor(1)
    slow = Slow()
    executor.submit(slow)
    slow.begun.wait()
    queued = executor.submit(here)
    heard: list[Future[Outcome]] = []
    queued.add_done_callback(heard.append)
    assert queued.cancel()
    assert queued.cancel()
    assert (queued.cancelled(), queued.done(), queued.running(), heard) == (True, True, False, [queued])
    with pytest.raises(CancelledError):
        queued.result()
    slow.may_end.set()
    executor.shutdown()
    assert queued.cancelled()


def test_an_error_of_a_call_is_told_and_its_thread_goes_on() -> None:
    executor = ThreadsExecutor(1)

    def leave() -> Outcome:
        raise SystemExit(3)

    thread = thread_of(executor)
    with pytest.raises(SystemExit):
        executor.submit(leave).result()
    assert thread_of(executor) is thread
    executor.shutdown()


def test_no_thread_waits_for_the_work_of_an_executor_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_IDLE_S", 0.01)
    executor = ThreadsExecutor(1)
    thread_of(executor)
    (worker,) = executor._workers
    del executor
    gc.collect()
    assert worker.result(60) is None


@pytest.mark.slow
def test_a_program_ends_although_it_did_not_shut_its_pool_down() -> None:
    program = (
        "from flowbook.engines.context import Outcome\n"
        "from flowbook.engines.executors.threads import ThreadsExecutor\n"
        "executor = ThreadsExecutor(2)\n"
        "executor.submit(Outcome).result()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
