"""Notices are kept."""

from __future__ import annotations

from flowbook import Notice
from flowbook.listeners import CaptureListener
from unit.listeners.tasks import Give, loaded


def test_notices_are_added_to_the_list_that_is_given() -> None:
    engine = loaded(Give("a"))
    notices: list[Notice] = []
    with CaptureListener(engine, notices, flow_states=()):
        engine.run()
    assert [(notice.kind, notice.atom, notice.state) for notice in notices] == [
        ("task", "a", "RUNNING"),
        ("task", "a", "SUCCESS"),
    ]
