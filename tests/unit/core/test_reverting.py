"""The core's rules for failures: what is still executed, what is reverted, and in which order."""

from __future__ import annotations

import sys

from flowbook.atoms.retry import Decision
from flowbook.flows import Flow, LinearFlow, UnorderedFlow
from unit.core.logbook import Asked, Logbook, atom, linear, unordered


def test_the_failed_atom_is_reverted_first_then_those_before_it_in_reverse() -> None:
    book = Logbook(linear("a", "b", "c", "d"))
    book.enter()
    assert book.play("c") == ["b", "c", "-c", "-b", "-a"]
    assert book.states == {"a": "REVERTED", "b": "REVERTED", "c": "REVERTED"}
    assert book.flow["state"] == "REVERTED"


def test_atoms_that_were_never_run_stay_as_they_are() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.play("a")
    assert "b" not in book.atoms


def test_a_sibling_that_runs_is_finished_then_reverted() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    assert book.end("a", fails=True) == ["-a"]
    assert book.end("a") == []
    assert book.flow["state"] == "RUNNING"
    assert book.end("b") == ["-b"]
    assert book.end("b") == []
    assert book.flow["state"] == "REVERTED"


def test_a_sibling_that_fails_as_well_is_reverted_once() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    assert book.take(book.ended("a", fails=True), book.ended("b", fails=True)) == ["-a", "-b"]
    assert book.play() == []
    assert book.outcomes.count("b REVERT 1 SUCCESS") == 1


def test_atoms_that_were_ready_are_still_executed_then_reverted() -> None:
    book = Logbook(unordered("a", "b", "c"))
    book.enter()
    started = book.play("a")
    assert started[:2] == ["b", "c"]
    assert sorted(started[2:]) == ["-a", "-b", "-c"]


def test_nothing_becomes_ready_any_more_after_a_failure() -> None:
    book = Logbook(UnorderedFlow("f").add(linear("a", "b"), atom("x")), window=2)
    book.enter()
    assert book.end("x", fails=True) == ["-x"]
    assert book.end("a") == ["-a"]
    book.play()
    assert "b" not in book.atoms


def test_an_atom_is_reverted_when_all_behind_it_are() -> None:
    book = Logbook(LinearFlow("f").add(atom("a"), unordered("b", "c"), atom("d")), window=9)
    book.enter()
    book.end("a")
    book.end("b")
    book.end("c")
    assert book.end("d", fails=True) == ["-d"]
    assert book.end("d") == ["-c", "-b"]
    assert book.end("c") == []
    assert book.end("b") == ["-a"]


def test_an_atom_waits_for_all_behind_it_through_a_mark() -> None:
    book = Logbook(LinearFlow("f").add(unordered("a", "b"), unordered("c", "d")), window=9)
    book.enter()
    book.take(book.ended("a"), book.ended("b"))
    assert None in book.plan.atoms
    book.take(book.ended("c"), book.ended("d", fails=True))
    assert book.end("c") == []
    assert sorted(book.end("d")) == ["-a", "-b"]


def test_higher_priorities_are_reverted_first_among_those_that_become_free_together() -> None:
    flow = LinearFlow("f").add(UnorderedFlow("fan").add(atom("a"), atom("b", 2), atom("c", 1)), atom("d"))
    book = Logbook(flow)
    book.enter()
    assert book.play("d")[-3:] == ["-b", "-c", "-a"]


def test_a_failing_revert_ends_the_flow_as_failure_and_starts_nothing_more() -> None:
    book = Logbook(linear("a", "b", "c"))
    book.enter()
    assert book.play("c", "-b") == ["b", "c", "-c", "-b"]
    assert book.states == {"a": "SUCCESS", "b": "REVERT_FAILURE", "c": "REVERTED"}
    assert book.flow["state"] == "FAILURE"
    assert book.atoms["b"]["revert_failure"].live == "failure of b"
    assert book.atoms["c"]["failure"].live == "failure of c"


def test_what_is_in_flight_when_a_revert_fails_still_ends() -> None:
    book = Logbook(unordered("a", "b", "c"), window=3)
    book.enter()
    book.take(book.ended("a", fails=True))
    assert book.end("a", fails=True) == []
    assert book.flow["state"] == "RUNNING"
    assert book.end("b") == []
    assert book.end("c", fails=True) == []
    assert book.states == {"a": "REVERT_FAILURE", "b": "SUCCESS", "c": "FAILURE"}
    assert book.flow["state"] == "FAILURE"


def test_the_end_of_a_flow_takes_the_wave_that_failed_off_its_record() -> None:
    book = Logbook(unordered("a", "b"))
    book.enter()
    book.end("a", fails=True)
    assert (book.flow["intention"], book.flow["last_wave"]) == ("REVERT", 0)
    book.play()
    assert "last_wave" not in book.flow


def test_marks_that_nest_deeper_than_python_calls_are_passed() -> None:
    flow: Flow = unordered("x", "y")
    depth = sys.getrecursionlimit() * 2
    for level in range(depth):
        flow = UnorderedFlow(f"f{level}").add(atom(f"a{level}"), flow)
    book = Logbook(LinearFlow("f").add(flow, atom("last")), window=depth + 9)
    book.enter()
    assert book.take(*[book.ended(name) for name in list(book.in_flight)]) == ["last"]
    book.end("last", fails=True)
    assert len(book.end("last")) == depth + 2


# -- waves: what became ready together -------------------------------------------------------------------------


def test_what_became_ready_after_the_failed_atom_did_is_not_started_any_more() -> None:
    book = Logbook(UnorderedFlow("f").add(linear("a", "b"), atom("x"), atom("y")))
    book.enter()
    book.end("a")
    assert book.end("x", fails=True) == ["y"]
    assert sorted(book.play()) == ["-a", "-x", "-y"]
    assert "b" not in book.atoms


def test_branches_advance_side_by_side_also_where_one_is_reverted() -> None:
    flow = UnorderedFlow("f").add(LinearFlow("l", retry=Asked("R")).add(atom("a")), linear("x", "y", "z"))
    book = Logbook(flow)
    book.enter()
    book.end("R")
    book.end("x")
    book.end("a", fails=True)
    assert book.answer(Decision.RETRY) == ["y"]
    assert book.play() == ["-a", "z", "R", "a"]


def test_reverts_that_were_free_together_with_the_failed_one_are_still_made() -> None:
    book = Logbook(LinearFlow("f").add(atom("first"), unordered("a", "b", "c"), atom("bad")))
    book.enter()
    book.play("bad", "-b")
    assert book.states == {
        "first": "SUCCESS",
        "a": "REVERTED",
        "b": "REVERT_FAILURE",
        "c": "REVERTED",
        "bad": "REVERTED",
    }
    assert book.flow["state"] == "FAILURE"


def test_a_failed_revert_and_a_death_change_nothing_about_that() -> None:
    book = Logbook(LinearFlow("f").add(atom("first"), unordered("a", "b", "c"), atom("bad")))
    book.enter()
    while book.states.get("c") != "REVERTING":
        book.end(next(iter(book.in_flight)), fails=book.states.get("bad") == "RUNNING")
    book.end("c", fails=True)
    book.enter()
    book.play()
    assert {name: state for name, state in book.states.items() if state != "REVERTED"} == {
        "first": "SUCCESS",
        "c": "REVERT_FAILURE",
    }


def test_a_failure_that_nobody_has_judged_and_a_death_start_no_more_than_without_the_death() -> None:
    flow = UnorderedFlow("f", retry=Asked("R")).add(linear("a", "b"), atom("x"), atom("y"))
    book = Logbook(flow)
    book.enter()
    book.end("R")
    book.end("a")
    book.end("x", fails=True)
    book.enter()
    assert book.answer(Decision.REVERT) == ["y"]
    book.play()
    assert "b" not in book.atoms
    assert book.outcomes.count("y EXECUTE 1 SUCCESS") == 1


def test_a_revert_that_was_withdrawn_before_another_failed_is_still_made() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    book.end("b")
    assert sorted(book.end("a", fails=True)) == ["-a", "-b"]
    book.suspend("b")
    book.end("a", fails=True)
    assert book.flow["state"] == "SUSPENDED"
    assert book.enter() == ["-b"]
