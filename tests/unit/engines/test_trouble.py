"""What goes wrong around the tasks: storage, executors, interrupts, values that cannot be read; nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import futurist
import futurist.rejection
import pytest

import flowbook
from flowbook import FlowState, LinearFlow, Task, UnorderedFlow, engines, task
from flowbook.engines.context import Context
from flowbook.engines.inbox import Inbox, Item
from flowbook.exceptions import Damaged, InvalidState, NotPossible, StorageFull
from flowbook.persistence import Backend, fetch
from flowbook.persistence.backend import Claim, Request
from flowbook.persistence.changes import Put
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import Owner, current_owner
from flowbook.states import Direction
from flowbook.testing.faults import CrashAtCommit
from unit.engines.tasks import Raise, Say

FOREIGN = Owner(host="elsewhere", boot="another boot", namespace="another", pid=1, started=1, lock=1)


def full() -> None:
    raise StorageFull("the disk", "no space left")


def chain(calls: list[str], *names: str) -> LinearFlow:
    return LinearFlow("chain").add(*[Say(name, calls) for name in names])


@pytest.mark.parametrize("at", [2, 3, 4])
def test_what_was_not_committed_has_not_happened(backend: Backend, calls: list[str], at: int) -> None:
    engine = engines.load(chain(calls, "a", "b"), backend=CrashAtCommit(backend, at=at, crash=full), run_id="r")
    with pytest.raises(StorageFull):
        engine.run()
    assert engine.state == backend.load("r").kind("flow")["r"]["state"]
    assert engine.state not in (FlowState.SUCCESS, FlowState.REVERTED)
    with pytest.raises(InvalidState):
        engine.storage.fetch_all()
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert backend.load("r").kind("flow")["r"]["state"] == "SUCCESS"


def test_an_ending_that_an_interrupt_swallowed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Swallowing(Inbox):
        swallowed = False

        def take_all(self, timeout_s: float | None = None, in_flight: int = 1) -> list[Item]:
            items = super().take_all(timeout_s, in_flight)
            if not Swallowing.swallowed:
                Swallowing.swallowed = True
                raise KeyboardInterrupt
            return items

    monkeypatch.setattr("flowbook.engines.engine.Inbox", Swallowing)
    engine = engines.load(chain([], "a", "b"), engine="parallel", max_workers=2)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    assert engine.state is FlowState.SUSPENDED
    assert engine.storage.get_atom_state("a") == "SUCCESS"


def test_an_argument_that_cannot_be_read_suspends_the_run_until_it_can(calls: list[str]) -> None:
    @task(provides="x")
    def give() -> int:
        return 1

    @task
    def take(x: int) -> None:
        calls.append(f"take {x}")

    with fetch({"connection": "memory:", "strict": True}) as backend:
        engine = engines.load(LinearFlow("f").add(give, take), backend=backend, run_id="r")
        engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
        engine.run()
        claim = backend.claim("flow:r", current_owner(), lease_s=10)
        good = backend.load("r").kind("atom")["give"]
        claim = backend.commit(claim, [Put("atom", "give", {**good, "result": {"!no such tag": 1}})])
        for _ in range(2):
            with pytest.raises(Damaged):
                engines.run(LinearFlow("f").add(give, take), backend=backend, run_id="r")
            assert backend.load("r").kind("flow")["r"]["state"] == "SUSPENDED"
        claim = backend.claim("flow:r", current_owner(), lease_s=10)
        backend.commit(claim, [Put("atom", "give", good)])
        engines.run(LinearFlow("f").add(give, take), backend=backend, run_id="r")
    assert calls == ["take 1"]


def test_nothing_of_a_run_starts_on_the_users_executor_after_it_was_given_up(calls: list[str]) -> None:
    with ThreadPoolExecutor(1) as pool, fetch("memory:") as backend:
        flow = UnorderedFlow("f").add(*[Say(f"s{i}", calls) for i in range(12)])
        with pytest.raises(StorageFull):
            engines.run(
                flow, backend=CrashAtCommit(backend, at=3, crash=full), run_id="r", engine="parallel", executor=pool
            )
        ran = len(calls)
        pool.submit(lambda: None).result()
        assert len(calls) == ran


def test_an_executor_that_rejects_work_holds_a_run_up_and_loses_nothing(backend: Backend, calls: list[str]) -> None:
    pool = futurist.ThreadPoolExecutor(1, check_and_reject=futurist.rejection.reject_when_reached(2))
    try:
        for _ in range(20):
            flow = UnorderedFlow("f").add(*[Say(f"s{i}", calls) for i in range(8)])
            engine = engines.load(flow, backend=backend, run_id="r", engine="parallel", executor=pool)
            try:
                engine.run()
                break
            except NotPossible:
                assert engine.state is FlowState.SUSPENDED
    finally:
        pool.shutdown()
    assert engine.state is FlowState.SUCCESS
    assert sorted(calls) == [f"s{i}" for i in range(8)]


def test_a_claim_that_cannot_be_kept_is_given_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            engines.run(chain([], "a"), backend=backend, run_id="r")
    backend.claim("flow:r", FOREIGN, lease_s=10)


class Odd(MemoryBackend):
    """Fails in ways that no backend should."""

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        if lease_s == 0:
            raise ValueError("an odd error")
        return super().renew(claim, lease_s=lease_s)


def test_trouble_in_giving_the_claim_up_hides_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StorageFull):
        engines.run(chain([], "a"), backend=CrashAtCommit(Odd(), at=2, crash=full), run_id="r")
    assert "could not be given up: an odd error" in caplog.text


def test_a_result_that_cannot_be_indexed_lacks_its_parts(calls: list[str]) -> None:
    class Touchy:
        def __getitem__(self, index: int) -> int:
            raise ValueError("do not touch")

    @task(provides=("one", "two"))
    def give() -> Touchy:
        return Touchy()

    assert "one" not in engines.run(LinearFlow("f").add(give))


def test_progress_is_a_number_and_anything_else_is_the_tasks_own_error(backend: Backend) -> None:
    @task
    def tell() -> None:
        flowbook.current().update_progress(Fraction(1, 2))  # type: ignore[arg-type]

    @task
    def tell_nonsense() -> None:
        flowbook.current().update_progress("half")  # type: ignore[arg-type]

    engines.run(tell, backend=backend, run_id="r")
    assert backend.load("r").kind("atom")["tell"]["metadata"] == {"progress": 0.5}
    with pytest.raises(ValueError, match="could not convert"):
        engines.run(tell_nonsense, backend=backend)


def test_a_value_that_was_refused_in_one_round_is_not_given_to_reverts_of_the_next() -> None:
    given: list[Any] = []
    results: list[object] = [threading.Lock(), "second"]

    class Give(Task):
        def execute(self) -> object:
            return results.pop(0)

        def revert(self, result: object) -> None:
            given.append(result)

    with fetch({"connection": "memory:", "strict": True}) as backend:
        flow = LinearFlow("f").add(Give("give"), Raise("raise", []))
        engine = engines.load(flow, backend=backend, run_id="r", rerun=True)
        for _ in range(2):
            with pytest.raises(Exception, match=r"cannot store|raise"):
                engine.run()
    assert given[1] == "second"


def test_idempotency_keys_of_different_atoms_differ_whatever_their_names() -> None:
    keys = [
        Context(run, atom, Direction.EXECUTE, 0, 1).idempotency_key
        for run, atom in [("a\0b", "c"), ("a", "b\0c"), ("a", "c\udcff"), ("a\udcff", "c")]
    ]
    assert len(set(keys)) == 4


def test_many_failures_are_told_to_every_revert() -> None:
    told: list[int] = []

    class Fail(Task):
        def execute(self) -> None:
            raise ValueError(self.name)

        def revert(self, flow_failures: dict[str, object]) -> None:
            told.append(len(flow_failures))
            flow_failures.clear()

    with pytest.raises(flowbook.WrappedFailure):
        engines.run(UnorderedFlow("f").add(*[Fail(f"f{i}") for i in range(5)]))
    assert told == [5] * 5


def test_what_was_not_committed_when_an_iterator_is_closed_has_not_happened(backend: Backend, calls: list[str]) -> None:
    engine = engines.load(chain(calls, "a"), backend=CrashAtCommit(backend, at=3, crash=full), run_id="r")
    iterator = engine.run_iter()
    assert isinstance(iterator, Generator)
    assert [next(iterator), next(iterator)] == ["SCHEDULING", "WAITING"]
    with pytest.raises(StorageFull):
        iterator.close()
    assert engine.state is FlowState.RUNNING
    assert backend.load("r").kind("flow")["r"]["state"] == "RUNNING"
    engine.run()
    assert backend.load("r").kind("flow")["r"]["state"] == "SUCCESS"


@pytest.mark.parametrize("url", ["memory:", "sqlite:///runs.db", "dir:runs"])
def test_a_program_that_leaves_a_run_half_done_ends(url: str, tmp_path: Path) -> None:
    program = f"""
from flowbook import LinearFlow, engines, task

@task
def a():
    return 1

steps = engines.load(LinearFlow("f").add(a), backend={url!r}, run_id="r").run_iter()
print(next(steps))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, timeout=60, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "SCHEDULING\n", "")
