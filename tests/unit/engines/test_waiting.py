"""Waiting for a run that somebody else works on: when it is continued, by whom, and what ends the wait before."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowbook import FlowState, LinearFlow, Task, engines
from flowbook.engines import Engine, waiting
from flowbook.exceptions import (
    Damaged,
    FactoryRefused,
    FlowOwned,
    NotFound,
    NotPossible,
    StorageError,
    StorageUnavailable,
)
from flowbook.persistence import Backend, fetch
from flowbook.persistence.backend import Claim, FlowSummary, Query
from flowbook.persistence.owners import Owner, current_owner
from flowbook.testing.backend_samples import stranger
from flowbook.testing.faults import Counting
from unit.engines.tasks import Raise, Say

KEY = "flow:r"
WITHIN_S = 30

done: list[str] = []
"""What the flow has done; it is made anew by its factory, so that nothing else could tell."""

_here = threading.Event()
_go = threading.Event()


class Held(Task):
    """Says that it is there, and waits until it is let go."""

    def execute(self) -> str:
        _here.set()
        assert _go.wait(WITHIN_S)
        done.append(self.name)
        return self.name


def steps(*, fails: bool = False) -> LinearFlow:
    last = (Raise if fails else Say)("c", done)
    return LinearFlow("steps").add(Say("a", done, provides="A"), Held("b", provides="B"), last)


@pytest.fixture(params=["memory", "sqlite", "dir"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    urls = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/runs.db", "dir": f"dir:{tmp_path}/runs"}
    with fetch(urls[request.param]) as backend:
        yield backend


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    done.clear()
    _here.clear()
    _go.clear()
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool
        _go.set()  # nobody is waited for by mistake


class Told:
    """Hears of the owners that are waited for."""

    def __init__(self) -> None:
        self.owners: list[str] = []
        self._heard = threading.Event()

    def __call__(self, owned: FlowOwned) -> None:
        self.owners.append(owned.owner)
        self._heard.set()

    def wait(self) -> None:
        assert self._heard.wait(WITHIN_S), "nobody was waited for"


def begun(backend: Backend, **how: Any) -> Engine:
    """Return the engine of a run that was suspended behind its first atom."""
    engine = engines.load_from_factory(steps, factory_kwargs=how, backend=backend, run_id="r")
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend() if notice.atom == "a" else None)
    engine.run()
    assert (engine.state, done) == (FlowState.SUSPENDED, ["a"])
    return engine


def wait(backend: Backend, **how: Any) -> dict[str, Any]:
    return engines.wait_and_resume(backend, "r", allow=[__name__], **how)


def held(backend: Backend, pool: ThreadPoolExecutor, engine: Engine) -> Future[None]:
    """Have a thread continue a run; return when its second atom waits to be let go."""
    owner = pool.submit(engine.run)
    assert _here.wait(WITHIN_S)
    return owner


def owner_of(backend: Backend) -> Owner | None:
    return backend.find(Query(flow="r"))[0].owner


# -- who is waited for, and how that ends --


def test_a_run_that_is_finished_is_returned_at_once_and_not_claimed(backend: Backend) -> None:
    begun(backend)
    _go.set()
    engines.resume(backend, "r", allow=[__name__])
    counting = Counting(backend)
    assert wait(counting, wait_s=0) == {"A": "a", "B": "b"}
    assert counting.calls["claim"] == 0
    assert done == ["a", "b", "c"]


def test_the_saved_failure_of_a_finished_run_is_raised(backend: Backend) -> None:
    begun(backend, fails=True)
    _go.set()
    for _ in range(2):
        with pytest.raises(Exception, match="c"):
            wait(backend)
    assert done.count("c") == 1


def test_a_run_that_nobody_owns_is_continued_at_once(backend: Backend) -> None:
    begun(backend)
    _go.set()
    told = Told()
    assert wait(backend, wait_s=0, on_owner=told) == {"A": "a", "B": "b"}
    assert told.owners == []
    assert done == ["a", "b", "c"]
    assert owner_of(backend) is None


def test_an_owner_that_finishes_is_waited_for_and_nothing_is_run(backend: Backend, pool: ThreadPoolExecutor) -> None:
    owner = held(backend, pool, begun(backend))
    told = Told()
    waiter = pool.submit(wait, backend, on_owner=told)
    told.wait()
    _go.set()
    owner.result(WITHIN_S)
    assert waiter.result(WITHIN_S) == {"A": "a", "B": "b"}
    assert done == ["a", "b", "c"]
    assert told.owners == [str(current_owner())]


def test_what_an_owner_gives_up_is_continued(backend: Backend, pool: ThreadPoolExecutor) -> None:
    engine = begun(backend)
    owner = held(backend, pool, engine)
    told = Told()
    waiter = pool.submit(wait, backend, on_owner=told)
    told.wait()
    engine.suspend()
    _go.set()
    owner.result(WITHIN_S)
    assert engine.state is FlowState.SUSPENDED
    assert waiter.result(WITHIN_S) == {"A": "a", "B": "b"}
    assert done == ["a", "b", "c"]


def test_the_lease_of_an_owner_elsewhere_is_waited_for(backend: Backend) -> None:
    begun(backend)
    claim = backend.claim(KEY, stranger(), lease_s=0.3)
    _go.set()
    told = Told()
    assert wait(backend, on_owner=told) == {"A": "a", "B": "b"}
    assert told.owners == [str(stranger())]
    with pytest.raises(StorageError, match="a newer owner has taken over"):
        backend.commit(claim, [])


def test_of_several_who_wait_one_continues_and_the_others_wait_for_it(
    backend: Backend, pool: ThreadPoolExecutor
) -> None:
    begun(backend)
    claim = backend.claim(KEY, stranger(), lease_s=1000)
    tolds = [Told() for _ in range(3)]
    waiters = [pool.submit(wait, backend, on_owner=told) for told in tolds]
    for told in tolds:
        told.wait()
    backend.renew(claim, lease_s=0)
    assert _here.wait(WITHIN_S)
    _go.set()
    assert [waiter.result(WITHIN_S) for waiter in waiters] == [{"A": "a", "B": "b"}] * 3
    assert done == ["a", "b", "c"]


def test_a_claim_that_this_process_could_not_give_up_is_no_owner(backend: Backend) -> None:
    begun(backend)
    backend.claim(KEY, current_owner(), lease_s=1000)
    _go.set()
    told = Told()
    assert wait(backend, on_owner=told) == {"A": "a", "B": "b"}
    assert told.owners == [str(current_owner())]  # an engine may just be about to renew it


def test_a_finished_run_is_run_again_when_its_owner_is_gone(backend: Backend, pool: ThreadPoolExecutor) -> None:
    owner = held(backend, pool, begun(backend))
    told = Told()
    waiter = pool.submit(wait, backend, rerun=True, on_owner=told)
    told.wait()
    _go.set()
    owner.result(WITHIN_S)
    assert waiter.result(WITHIN_S) == {"A": "a", "B": "b"}
    assert done == [*"abcabc"]


# -- what ends a wait --


@pytest.mark.parametrize("wait_s", [0, 0.1])
def test_a_wait_that_takes_too_long_names_the_owner_and_leaves_it_alone(wait_s: float, backend: Backend) -> None:
    begun(backend)
    claim = backend.claim(KEY, stranger(), lease_s=1000)
    with pytest.raises(FlowOwned) as raised:
        wait(backend, wait_s=wait_s)
    assert raised.value.owner == str(stranger())
    assert done == ["a"]
    backend.commit(claim, [])


def test_an_owner_in_this_process_is_never_overtaken(backend: Backend, pool: ThreadPoolExecutor) -> None:
    owner = held(backend, pool, begun(backend))
    with pytest.raises(FlowOwned) as raised:
        wait(backend, wait_s=0.2)
    assert raised.value.owner == str(current_owner())
    _go.set()
    owner.result(WITHIN_S)
    assert done == ["a", "b", "c"]


def test_what_is_wrong_is_told_before_the_wait(backend: Backend) -> None:
    begun(backend)
    backend.claim(KEY, stranger(), lease_s=1000)
    with pytest.raises(FactoryRefused):
        engines.wait_and_resume(backend, "r")
    with pytest.raises(NotFound):
        engines.wait_and_resume(backend, "unknown")
    with pytest.raises(NotPossible, match="waits for nobody"):
        wait(backend, take_over=True)
    for wait_s in (-1, float("nan"), float("inf"), True, "1"):
        with pytest.raises(NotPossible, match="wait_s is"):
            wait(backend, wait_s=wait_s)


def test_a_turn_that_is_not_used_is_given_up(backend: Backend) -> None:
    begun(backend)
    with waiting.turn(engines.load_from_run(backend, "r", allow=[__name__])):
        assert owner_of(backend) == current_owner()
    assert owner_of(backend) is None
    assert done == ["a"]


# -- what a look costs, and trouble with the storage --


class Looked(Counting):
    """Calls ``then`` before or after each look at a run, with the number of the look."""

    def __init__(self, inner: Backend, then: Callable[[int], None], when: str = "before") -> None:
        super().__init__(inner)
        self._then, self._when = then, when

    def find(self, query: Query) -> Sequence[FlowSummary]:
        look = self.count("find")
        if self._when == "before":
            self._then(look)
        found = self.inner.find(query)
        if self._when == "after":
            self._then(look)
        return found


def test_no_records_are_read_while_one_waits(backend: Backend) -> None:
    begun(backend)
    claim = backend.claim(KEY, stranger(), lease_s=1000)
    loads: list[int] = []

    def then(look: int) -> None:
        loads.append(looked.calls["load"])
        if look == 5:
            backend.renew(claim, lease_s=0)

    looked = Looked(backend, then)
    _go.set()
    assert wait(looked) == {"A": "a", "B": "b"}
    assert len(loads) >= 5
    assert set(loads) == {loads[0]}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_destroyed_meanwhile_is_not_found(when: str, backend: Backend) -> None:
    def then(look: int) -> None:
        if look == 3:
            backend.renew(claim, lease_s=0)
            backend.destroy("r")

    begun(backend)
    claim = backend.claim(KEY, stranger(), lease_s=1000)
    with pytest.raises(NotFound):
        wait(Looked(backend, then, when))
    assert backend.find(Query()) == []
    assert done == ["a"]


def test_a_storage_that_is_lost_for_a_while_is_waited_for(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    def then(look: int) -> None:
        if look <= 5:
            raise StorageUnavailable("the storage", "nobody answers")

    begun(backend)
    _go.set()
    with caplog.at_level(logging.WARNING):
        assert wait(Looked(backend, then)) == {"A": "a", "B": "b"}
    assert [record.message for record in caplog.records if "nobody answers" in record.message] == [
        "waiting for run 'r': the storage cannot be reached or written: nobody answers"
    ]


def test_trouble_that_lasts_for_a_lease_is_raised_and_damage_at_once(backend: Backend) -> None:
    looks: list[int] = []

    def is_lost(look: int) -> None:
        looks.append(look)
        raise StorageUnavailable("the storage", "nobody answers")

    def is_damaged(look: int) -> None:
        raise Damaged("the storage", "look 1" if look == 1 else "another look")

    begun(backend)
    with pytest.raises(StorageUnavailable) as raised:
        wait(Looked(backend, is_lost), lease_s=0.2)
    assert raised.value.why == "nobody answers"
    assert len(looks) > 2
    with pytest.raises(Damaged) as damaged:
        wait(Looked(backend, is_damaged))
    assert damaged.value.why == "look 1"
    assert done == ["a"]


def test_a_claim_that_cannot_be_given_up_hides_no_other_error(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(Counting):
        def renew(self, claim: Claim, *, lease_s: float) -> Any:
            raise StorageUnavailable("the storage", "nobody answers")

    begun(backend)
    made = engines.load_from_run(Lost(backend), "r", allow=[__name__])
    with pytest.raises(KeyError, match="the caller's"), waiting.turn(made):
        raise KeyError("the caller's")
    assert "could not be given up" in caplog.text
