"""Progress is handed on, and the share of what is done is known."""

from __future__ import annotations

import pytest

from flowbook import LinearFlow, Notice, Task, current, engines
from flowbook.engines.core.messages import Event
from flowbook.engines.telling import Teller
from flowbook.events import PROGRESS
from flowbook.listeners import ProgressListener
from unit.listeners.tasks import Fail, Give, loaded


def test_an_atom_is_at_nothing_when_it_starts_and_at_all_when_it_succeeded() -> None:
    engine = loaded(Give("a"), Give("b"))
    shares: list[tuple[str, float, float]] = []
    with ProgressListener(engine, lambda atom, progress: shares.append((atom, progress, listener.share))) as listener:
        assert listener.share == 0.0
        engine.run()
    assert shares == [("a", 0.0, 0.0), ("a", 1.0, 0.5), ("b", 0.0, 0.5), ("b", 1.0, 1.0)]


def test_progress_that_was_committed_is_handed_on() -> None:
    engine = loaded(Give("a"))
    heard: list[tuple[str, float]] = []
    with ProgressListener(engine, lambda *told: heard.append(told)) as listener:
        engine.atom_notifier.notify(Notice("r", "f", "task", "a", PROGRESS, "RUNNING", 1.0, 1, 0.25))
        assert listener.share == 0.0
    assert heard == [("a", 0.25)]


def test_what_a_task_tells_of_its_progress_comes_to_the_listener() -> None:
    class Tell(Task):
        def execute(self) -> None:
            current().update_progress(0.25)
            current().update_progress(0.75)

    engine = loaded(Tell("a"))
    heard: list[tuple[str, float]] = []
    with ProgressListener(engine, lambda *told: heard.append(told)):
        engine.run()
    assert heard == [("a", 0.0), ("a", 0.25), ("a", 0.75), ("a", 1.0)]


def test_what_is_reverted_is_no_longer_done() -> None:
    engine = loaded(Give("a"), Fail("b"))
    heard: list[tuple[str, float]] = []
    with ProgressListener(engine, lambda *told: heard.append(told)) as listener:
        with pytest.raises(ValueError, match="b"):
            engine.run()
        assert listener.share == 0.0
    assert heard == [("a", 0.0), ("a", 1.0), ("b", 0.0)]


def test_what_an_earlier_entry_did_counts() -> None:
    engine = loaded(Give("a"), Give("b"))
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    with ProgressListener(engine, lambda atom, progress: shares.append(listener.share)) as listener:
        shares: list[float] = []
        engine.run()
    assert shares == [0.5, 1.0]


def test_a_flow_without_atoms_is_done() -> None:
    engine = engines.load(LinearFlow("f"))
    assert ProgressListener(engine, print).share == 1.0


def test_the_teller_says_how_far_a_node_is_where_an_event_is_about_progress() -> None:
    engine = loaded(Give("a"))
    teller = Teller("r", engine.compilation.plan)
    heard: list[Notice] = []
    for state in ("*", PROGRESS):
        teller.atom_notifier.register(state, heard.append)
    events = [Event(0, "RUNNING", "PENDING", 1), Event(0, PROGRESS, "RUNNING", 1)]
    teller.tell(events, 1.0, {0: {"progress": 0.5}})
    assert [(notice.state, notice.progress) for notice in heard] == [("RUNNING", None), (PROGRESS, 0.5)]
    assert str(heard[1]) == "r: task 'a' has come to 50%"
