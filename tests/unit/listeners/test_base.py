"""Listeners hear while their context is entered: in the engine's thread, or detached from it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Unpack

import pytest

from flowbook import FlowState, LinearFlow, Notice, engines
from flowbook.engines import Engine
from flowbook.exceptions import InvalidState, NotPossible
from flowbook.listeners import CaptureListener, Listener
from flowbook.listeners.base import Listening
from flowbook.persistence.backend import Claim, Request
from flowbook.persistence.memory import MemoryBackend
from unit.listeners.tasks import Give, loaded


class Call(Listener):
    """Calls ``function`` with each notice."""

    def __init__(self, engine: Engine, function: Any, **listening: Unpack[Listening]) -> None:
        super().__init__(engine, **listening)
        self.function = function

    def hear(self, notice: Notice) -> None:
        self.function(notice)


def told(notices: list[Notice]) -> list[str]:
    return [f"{notice.atom or notice.flow} {notice.state}" for notice in notices]


ALL = ["f RUNNING", "a RUNNING", "a SUCCESS", "f SUCCESS"]


def test_a_listener_hears_all_states_of_flow_and_atoms_inside_its_context_only() -> None:
    engine = loaded(Give("a"))
    with CaptureListener(engine) as listener:
        engine.run()
    assert told(listener.notices) == ALL
    assert not engine.notifier
    assert not engine.atom_notifier


def test_a_listener_hears_only_the_states_it_asked_for() -> None:
    engine = loaded(Give("a"))
    with CaptureListener(engine, flow_states=(), atom_states=("SUCCESS", "FAILURE")) as listener:
        engine.run()
    assert told(listener.notices) == ["a SUCCESS"]


def test_a_state_that_does_not_exist_is_refused_and_nothing_stays_registered() -> None:
    engine = loaded(Give("a"))
    listener = CaptureListener(engine, atom_states=("SUCCESS", "SUCESS"))
    with pytest.raises(NotPossible, match="SUCESS"), listener:
        pass
    assert not engine.notifier
    assert not engine.atom_notifier


def test_a_listener_can_be_entered_again_but_not_twice_at_once() -> None:
    engine = loaded(Give("a"))
    listener = CaptureListener(engine)
    with listener, pytest.raises(InvalidState, match="it listens already"), listener:
        pass
    with listener:
        engine.run()
    assert told(listener.notices) == ALL


def test_a_listener_hears_in_the_thread_of_the_engine_and_may_suspend_it() -> None:
    engine = loaded(Give("a"), Give("b"))
    threads: list[int] = []

    def suspend(notice: Notice) -> None:
        threads.append(threading.get_ident())
        if notice.state == "SUCCESS":
            engine.suspend()

    with Call(engine, suspend, flow_states=()):
        engine.run()
    assert engine.state is FlowState.SUSPENDED
    assert threads == [threading.get_ident()] * 2


@pytest.mark.parametrize("detached", [False, True])
def test_a_listener_that_raises_is_logged_and_harms_nothing(detached: bool, caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("a"))

    def refuse(notice: Notice) -> None:
        raise ValueError(notice.state)

    with CaptureListener(engine) as capture, Call(engine, refuse, detached=detached):
        engine.run()
    assert told(capture.notices) == ALL
    assert [record.getMessage() for record in caplog.records] == [
        "a listener failed on RUNNING of f",
        "a listener failed on RUNNING of a",
        "a listener failed on SUCCESS of a",
        "a listener failed on SUCCESS of f",
    ]
    assert all(record.exc_info is not None and record.levelno == logging.ERROR for record in caplog.records)


def test_a_detached_listener_outlives_even_an_exit(caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("a"))
    heard: list[Notice] = []

    def leave(notice: Notice) -> None:
        heard.append(notice)
        raise SystemExit

    with Call(engine, leave, detached=True, queue_size=10):
        engine.run()
    assert told(heard) == ALL
    assert len(caplog.records) == len(ALL)


def test_a_detached_listener_hears_in_a_thread_of_its_own_that_ends_with_its_context() -> None:
    engine = loaded(Give("a"))
    threads: set[threading.Thread] = set()
    with Call(engine, lambda notice: threads.add(threading.current_thread()), detached=True):
        engine.run()
    (thread,) = threads
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert not thread.is_alive()


def test_leaving_the_context_waits_until_all_that_is_queued_was_heard() -> None:
    engine = loaded(Give("a"))
    may_go_on = threading.Event()
    heard: list[Notice] = []

    def slow(notice: Notice) -> None:
        may_go_on.wait(10)
        heard.append(notice)

    with Call(engine, slow, detached=True) as listener:
        engine.run()  # ends although nothing was heard yet
        assert heard == []
        may_go_on.set()
    assert told(heard) == ALL
    assert listener.dropped == 0


def test_what_a_full_queue_has_no_room_for_is_dropped_and_counted_and_the_run_does_not_wait() -> None:
    engine = loaded(*(Give(f"t{number}") for number in range(10)))
    begun, may_go_on = threading.Event(), threading.Event()
    heard: list[Notice] = []

    def slow(notice: Notice) -> None:
        begun.set()
        may_go_on.wait(10)
        heard.append(notice)

    with Call(engine, slow, detached=True, queue_size=3) as listener:
        run = engine.run_iter()
        next(run)
        assert begun.wait(10)  # one notice is in the listener's hands, not in the queue
        states = list(run)
        assert states[-1] == FlowState.SUCCESS
        may_go_on.set()
    assert len(heard) == 4
    assert listener.dropped == 22 - 4  # of 2 for the flow and 2 for each atom


class Renewing(MemoryBackend):
    """Says when a claim was renewed."""

    renewed = threading.Event()

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        requests = super().renew(claim, lease_s=lease_s)
        self.renewed.set()
        return requests


def test_the_claim_is_renewed_while_a_listener_holds_up_the_run() -> None:
    backend = Renewing()
    engine = engines.load(LinearFlow("f").add(Give("a")), backend=backend, lease_s=0.03)
    renewed: list[bool] = []

    def wait(notice: Notice) -> None:
        backend.renewed.clear()
        renewed.append(backend.renewed.wait(10))

    with Call(engine, wait, flow_states=()):
        engine.run()
    assert renewed == [True, True]


def test_what_a_listener_hears_was_committed_before() -> None:
    backend = MemoryBackend()
    engine = engines.load(LinearFlow("f").add(Give("a"), Give("b")), backend=backend, run_id="r")
    kept: list[tuple[str, str]] = []

    def look(notice: Notice) -> None:
        kept.append((notice.state, backend.load("r").kind("atom")[notice.atom]["state"]))

    with Call(engine, look, flow_states=()):
        engine.run()
    assert kept == [("RUNNING", "RUNNING"), ("SUCCESS", "SUCCESS")] * 2


def test_a_listener_that_is_not_detached_drops_nothing() -> None:
    assert CaptureListener(loaded(Give("a"))).dropped == 0


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(NotPossible, match="a queue of 0 notices"):
        CaptureListener(loaded(Give("a")), detached=True, queue_size=0)
