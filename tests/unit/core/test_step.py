"""The core's rules for executing: what starts when, what is written, and what is discarded."""

from __future__ import annotations

import pytest

from flowbook.engines.core.messages import Annotate, Ended, Start
from flowbook.flows import GraphFlow, LinearFlow, UnorderedFlow
from flowbook.persistence.changes import Inline
from flowbook.states import Direction
from unit.core.logbook import Logbook, atom, linear, unordered


def test_atoms_of_a_linear_flow_start_one_after_the_other() -> None:
    book = Logbook(linear("a", "b", "c"), window=9)
    assert book.enter() == ["a"]
    assert book.end("a") == ["b"]
    assert book.end("b") == ["c"]
    assert book.end("c") == []
    assert (book.flow["state"], book.run.in_flight) == ("SUCCESS", set())


def test_an_atom_starts_when_all_before_it_have_succeeded() -> None:
    book = Logbook(LinearFlow("f").add(unordered("a", "b"), atom("c")), window=9)
    assert book.enter() == ["a", "b"]
    assert book.end("b") == []
    assert book.end("a") == ["c"]


def test_no_more_than_the_window_are_in_flight() -> None:
    book = Logbook(unordered("a", "b", "c", "d"), window=2)
    assert book.enter() == ["a", "b"]
    assert book.end("b") == ["c"]
    assert book.take(book.ended("a"), book.ended("c")) == ["d"]


def test_a_flow_without_atoms_succeeds_at_once() -> None:
    book = Logbook(LinearFlow("f").add(UnorderedFlow("g"), GraphFlow("h")))
    assert book.enter() == []
    assert book.flow["state"] == "SUCCESS"


def test_a_chain_of_n_atoms_takes_n_and_one_decisions() -> None:
    book = Logbook(linear(*"abcdefgh"))
    book.enter()
    book.play()
    assert len(book.decisions) == 9
    assert all(decision.changes for decision in book.decisions)


def test_ends_that_wait_together_are_one_decision() -> None:
    book = Logbook(unordered("a", "b", "c"), window=3)
    book.enter()
    book.take(*[book.ended(name) for name in "abc"])
    assert len(book.decisions) == 2
    assert book.flow["state"] == "SUCCESS"


def test_higher_priorities_start_first_else_those_added_first() -> None:
    fan = UnorderedFlow("f").add(atom("low", -1), atom("a"), atom("high", 5), atom("b"), atom("higher", 6))
    book = Logbook(fan)
    assert [*book.enter(), *book.play()] == ["higher", "high", "a", "b", "low"]


def test_priorities_count_among_those_that_become_ready_together() -> None:
    flow = LinearFlow("f").add(atom("first"), UnorderedFlow("fan").add(atom("a"), atom("b", 1)))
    book = Logbook(flow, window=2)
    book.enter()
    assert book.end("first") == ["b", "a"]


def test_what_starts_is_recorded_before_it_is_started() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    assert book.atoms == {"a": {"state": "RUNNING", "attempt": 1, "started_at": 1.0, "wave": 0, "owner": "owner"}}
    book.end("a")
    assert book.atoms["b"]["state"] == "RUNNING"
    assert book.attempts == [
        (
            "a",
            {
                "round": 0,
                "attempt": 1,
                "direction": "EXECUTE",
                "owner": "owner",
                "started_at": 1.0,
                "ended_at": 2.0,
                "outcome": "SUCCESS",
            },
        )
    ]


def test_what_was_committed_is_never_changed() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    committed = [*book.decisions[0].changes]
    before = repr(committed)
    book.take(Annotate(book.plan.index["a"], {"progress": 0.5}))
    noted = repr(book.decisions[1].changes)
    book.take(Annotate(book.plan.index["a"], {"progress": 0.7}))
    book.end("a", fails=True)
    book.play()
    assert repr(committed) == before
    assert repr(book.decisions[1].changes) == noted


# -- late and double ends --


def test_a_second_copy_of_an_end_changes_nothing() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    ended = book.ended("a")
    book.take(ended)
    before = (repr(book.atoms), book.flow, book.attempts.copy())
    assert book.take(ended) == []
    assert book.decisions[-1].changes == []
    assert (repr(book.atoms), book.flow, book.attempts) == before


def test_two_copies_of_an_end_in_one_step_count_once() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    ended = book.ended("a")
    assert book.take(ended, ended) == ["b"]
    assert book.run.left == 1


def test_the_end_of_an_old_attempt_is_discarded() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    late = book.ended("a")
    assert book.enter() == ["a"]
    assert book.take(late) == []
    assert book.states == {"a": "RUNNING"}
    assert book.end("a") == ["b"]


def test_the_end_of_an_attempt_that_is_to_be_made_again_is_discarded() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    late = book.ended("b")
    book.window = 1
    assert book.enter() == ["a"]
    assert book.take(late) == []
    assert book.end("a") == ["b"]
    assert book.atoms["b"]["attempt"] == 2


@pytest.mark.parametrize(("round_", "attempt"), [(1, 1), (0, 2), (0, 0)])
def test_the_end_of_another_round_or_attempt_is_discarded(round_: int, attempt: int) -> None:
    book = Logbook(linear("a"))
    book.enter()
    other = Start(book.plan.index["a"], Direction.EXECUTE, round_, attempt)
    assert book.take(Ended(other, 9.0, Inline("late"))) == []
    assert book.states == {"a": "RUNNING"}
    assert "result" not in book.atoms["a"]


def test_the_end_of_an_execute_does_not_end_a_revert() -> None:
    book = Logbook(linear("a"))
    book.enter()
    start = book.in_flight["a"]
    assert book.end("a", fails=True) == ["-a"]
    assert book.take(Ended(start, 9.0, Inline("late"))) == []
    assert book.states == {"a": "REVERTING"}


# -- annotations and events --


def test_an_annotation_is_kept_beside_the_atom() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    node = book.plan.index["a"]
    book.take(Annotate(node, {"progress": 0.5}), Annotate(node, {"note": "half"}))
    assert book.atoms["a"]["metadata"] == {"progress": 0.5, "note": "half"}
    book.end("a")
    assert book.atoms["a"]["metadata"] == {"progress": 0.5, "note": "half"}
    book.enter()
    assert book.run.row_of(node) == book.atoms["a"]


def test_an_annotation_of_an_atom_that_waits_does_not_start_it() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    assert book.take(Annotate(book.plan.index["b"], {"note": "later"})) == []
    assert book.atoms["b"] == {
        "state": "PENDING",
        "attempt": 0,
        "started_at": 0.0,
        "wave": -1,
        "metadata": {"note": "later"},
    }


def test_nothing_is_told_while_nobody_listens() -> None:
    book = Logbook(linear("a"))
    book.enter()
    book.play()
    assert [(decision.endings, decision.startings) for decision in book.decisions] == [([], [])] * 2


def test_each_change_of_state_is_told_once() -> None:
    book = Logbook(linear("a"))
    book.enter(listening=True)
    book.play("a")
    told = [
        (event.node, event.old, event.state)
        for decision in book.decisions
        for event in (*decision.endings, *decision.startings)
    ]
    assert told == [
        (None, "PENDING", "RUNNING"),
        (0, "PENDING", "RUNNING"),
        (0, "RUNNING", "FAILURE"),
        (0, "FAILURE", "REVERTING"),
        (0, "REVERTING", "REVERTED"),
        (None, "RUNNING", "REVERTED"),
    ]
