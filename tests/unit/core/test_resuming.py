"""Suspends and deaths: what is written, and how the next owner goes on from it."""

from __future__ import annotations

import pytest

from flowbook.atoms.retry import Decision
from flowbook.engines.core.messages import Annotate
from flowbook.flows import Depth, GraphFlow, LinearFlow, UnorderedFlow
from unit.core.logbook import Asked, Logbook, atom, linear, unordered


def test_a_suspended_flow_starts_nothing_and_lets_what_runs_end() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    assert book.suspend() == []
    assert book.flow["state"] == "SUSPENDING"
    assert book.end("a") == []
    assert (book.flow["state"], book.states) == ("SUSPENDED", {"a": "SUCCESS"})
    assert book.enter() == ["b"]


def test_a_suspended_flow_of_which_all_is_done_is_finished() -> None:
    book = Logbook(linear("a"))
    book.enter()
    book.suspend()
    book.end("a")
    assert book.flow["state"] == "SUCCESS"


def test_a_start_that_is_withdrawn_leaves_no_trace() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    assert book.suspend("a") == []
    assert (book.atoms, book.attempts, book.flow["state"]) == ({}, [], "SUSPENDED")
    assert book.enter() == ["a"]
    assert book.atoms["a"]["attempt"] == 1


def test_a_start_that_is_withdrawn_tells_nothing() -> None:
    book = Logbook(linear("a"))
    book.enter(listening=True)
    book.suspend("a")
    assert [(event.node, event.state) for event in book.decisions[-1].endings] == [
        (None, "SUSPENDING"),
        (None, "SUSPENDED"),
    ]


def test_a_withdrawn_start_keeps_what_was_noted_beside_the_atom() -> None:
    from flowbook.engines.core.messages import Annotate

    book = Logbook(linear("a"))
    book.enter()
    book.take(Annotate(book.plan.index["a"], {"progress": 0.0}))
    book.suspend("a")
    assert book.atoms["a"]["state"] == "PENDING"
    assert book.atoms["a"]["attempt"] == 0
    assert book.atoms["a"]["metadata"] == {"progress": 0.0}


@pytest.mark.parametrize("failed", [True, False])
def test_a_withdrawn_revert_is_again_what_it_was(failed: bool) -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.end("a")
    assert book.end("b", fails=True) == ["-b"]
    if not failed:
        assert book.end("b") == ["-a"]
    book.suspend("b" if failed else "a")
    assert book.states == ({"a": "SUCCESS", "b": "FAILURE"} if failed else {"a": "SUCCESS", "b": "REVERTED"})
    assert book.flow["state"] == "SUSPENDED"
    started = [*book.enter(), *book.play()]
    assert started == (["-b", "-a"] if failed else ["-a"])
    assert book.flow["state"] == "REVERTED"


def test_a_start_that_was_withdrawn_before_a_sibling_failed_is_still_made() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    book.suspend("b")
    assert book.end("a", fails=True) == []
    assert (book.flow["state"], book.states) == ("SUSPENDED", {"a": "FAILURE"})
    assert book.enter() == ["b", "-a"]


def test_a_start_that_was_withdrawn_after_a_sibling_failed_is_still_made() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.enter()
    assert book.end("a", fails=True) == ["-a"]
    book.suspend("b")
    book.end("a")
    assert (book.flow["state"], book.states) == ("SUSPENDED", {"a": "REVERTED"})
    assert [*book.enter(), *book.play()] == ["b", "-b"]
    assert book.flow["state"] == "REVERTED"


def test_reverting_goes_on_after_a_suspend() -> None:
    book = Logbook(linear("a", "b", "c"))
    book.enter()
    book.end("a")
    book.end("b")
    book.end("c", fails=True)
    book.suspend()
    book.end("c")
    assert book.flow["state"] == "SUSPENDED"
    assert [*book.enter(), *book.play()] == ["-b", "-a"]


# -- deaths --


def test_an_interrupted_attempt_is_told_and_made_again() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    assert book.enter() == ["a"]
    assert book.outcomes == ["a EXECUTE 1 INTERRUPTED"]
    assert book.attempts[0][1]["ended_at"] is None
    assert book.atoms["a"]["attempt"] == 2
    book.play()
    assert book.outcomes == ["a EXECUTE 1 INTERRUPTED", "a EXECUTE 2 SUCCESS", "b EXECUTE 1 SUCCESS"]


def test_an_interrupted_attempt_is_made_again_before_what_became_ready_after_it() -> None:
    branches = UnorderedFlow("two").add(linear("a1", "a2"), linear("b1", "b2"))
    book = Logbook(branches)
    assert book.enter() == ["a1"]
    assert book.end("a1") == ["b1"]  # a2 is ready as well, and waits for its turn
    assert book.enter() == ["b1"]
    assert book.end("b1") == ["a2"]


def test_an_interrupted_revert_is_told_and_made_again() -> None:
    book = Logbook(linear("a"))
    book.enter()
    book.end("a", fails=True)
    assert book.enter() == ["-a"]
    assert book.outcomes == ["a EXECUTE 1 FAILURE", "a REVERT 1 INTERRUPTED"]
    book.play()
    assert (book.outcomes[-1], book.flow["state"]) == ("a REVERT 2 SUCCESS", "REVERTED")


def test_a_saved_atom_is_not_run_again() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.end("a")
    assert [*book.enter(), *book.play()] == ["b"]


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDING", "RESUMING"])
def test_a_flow_that_is_found_under_way_is_recovered(state: str) -> None:
    book = Logbook(linear("a"))
    book.flow["state"] = state
    book.enter(listening=True)
    assert [event.state for event in book.decisions[0].endings] == ["RESUMING", "SUSPENDED", "RUNNING"]


def test_what_was_ready_at_a_failure_is_executed_by_the_next_owner() -> None:
    book = Logbook(unordered("a", "b", "c"))
    book.enter()
    book.end("a", fails=True)
    started = [*book.enter(), *book.play()]
    assert started[:2] == ["b", "c"]
    assert book.flow["state"] == "REVERTED"


def test_a_failure_without_an_intention_is_reverted() -> None:
    """A record may be written by hand, or by somebody who died in between."""
    book = Logbook(linear("a", "b"))
    book.atoms["a"] = {"state": "FAILURE", "attempt": 1}
    assert book.enter() == ["-a"]
    assert book.flow["intention"] == "REVERT"


def test_a_failed_revert_and_a_death_leave_nothing_interrupted() -> None:
    book = Logbook(unordered("a", "b", "c"), window=3)
    book.enter()
    book.take(book.ended("a", fails=True), book.ended("b"))
    assert book.end("a", fails=True) == []
    assert book.states == {"a": "REVERT_FAILURE", "b": "REVERTING", "c": "RUNNING"}
    book.window = 1
    assert [*book.enter(), *book.play()] == ["c", "-b"]
    assert book.states == {"a": "REVERT_FAILURE", "b": "REVERTED", "c": "SUCCESS"}
    assert book.flow["state"] == "FAILURE"


def test_a_broken_flow_that_is_suspended_with_interrupted_attempts_can_go_on() -> None:
    book = Logbook(unordered("a", "b", "c"), window=3)
    book.enter()
    book.end("a", fails=True)
    book.end("a", fails=True)
    book.window = 1
    assert book.enter() == ["b"]
    book.suspend()
    book.end("b")
    assert (book.flow["state"], book.states["c"]) == ("SUSPENDED", "RUNNING")
    assert [*book.enter(), *book.play()] == ["c"]
    assert book.flow["state"] == "FAILURE"


def test_what_is_behind_an_ignored_atom_is_of_one_wave_with_what_was_ready_at_the_entry() -> None:
    p, x, z, y = map(atom, "pxzy")
    flow = GraphFlow("g").add(p, x, z, y).link(p, x).link(p, z, decider=lambda history: True).link(z, y)
    book = Logbook(flow)
    book.enter()
    book.end("p")
    assert book.asked == "z"
    book.enter()
    assert book.answer(Depth.ATOM) == ["x"]
    assert book.end("x", fails=True) == ["y"]
    assert book.play() == ["-x", "-y", "-p"]


def test_an_interrupted_atom_is_of_the_wave_that_it_was_begun_in_when_a_failure_was_left_unjudged() -> None:
    tried = LinearFlow("tried", retry=Asked("R")).add(atom("x"))
    book = Logbook(UnorderedFlow("f").add(tried, atom("m"), linear("a", "later")), window=2)
    assert book.enter() == ["R", "m"]
    assert book.end("R") == ["a"]
    assert book.end("a") == ["x"]
    book.end("x", fails=True)
    book.window = 1
    assert (book.enter(), book.asked) == ([], "R")
    assert book.answer(Decision.RETRY) == ["m"]
    started = [*book.end("m", fails=True), *book.play()]
    assert sorted(started) == ["-R", "-a", "-m", "-x"]
    assert book.flow["state"] == "REVERTED"


# -- withdrawn starts of what an earlier owner had begun --


@pytest.mark.parametrize("dies", [False, True])
def test_what_an_earlier_owner_began_is_reverted_though_its_restart_was_withdrawn_before_a_cancel(dies: bool) -> None:
    book = Logbook(unordered("a", "b", "c"), window=2)
    assert book.enter() == ["a", "b"]
    assert book.enter() == ["a", "b"]
    book.suspend("b")
    assert book.cancel() == []
    if not dies:
        book.end("a")
        assert book.flow["state"] == "SUSPENDED"
    started = [*book.enter(), *book.play()]
    assert sorted(started) == (["-a", "-b", "a", "b"] if dies else ["-a", "-b", "b"])
    assert book.states == {"a": "REVERTED", "b": "REVERTED"}
    assert book.flow["state"] == "REVERTED"


def test_a_cancel_that_resolves_nothing_ends_what_an_earlier_owner_began_and_whose_restart_was_withdrawn() -> None:
    book = Logbook(unordered("a", "b"), window=2)
    book.never_resolve = True
    book.enter()
    book.enter()
    book.suspend("b")
    book.cancel()
    assert [*book.enter(), *book.play()] == ["a", "b"]
    assert (book.flow["state"], book.states) == ("FAILURE", {"a": "SUCCESS", "b": "SUCCESS"})


def test_what_an_earlier_owner_began_is_reverted_though_it_became_ready_after_the_failure() -> None:
    book = Logbook(UnorderedFlow("f").add(atom("x"), linear("a", "b", "c")), window=2)
    book.enter()
    book.end("a")
    book.end("b")
    book.end("x", fails=True)
    assert sorted(book.enter()) == ["-x", "c"]
    book.suspend("c")
    book.end("x")
    assert (book.flow["state"], book.atoms["c"]["state"]) == ("SUSPENDED", "PENDING")
    assert [*book.enter(), *book.play()] == ["c", "-c", "-b", "-a"]
    assert book.flow["state"] == "REVERTED"


def test_what_an_earlier_owner_began_is_not_decided_about_though_its_restart_was_withdrawn() -> None:
    a, b = atom("a"), atom("b")
    book = Logbook(GraphFlow("g").add(a, b).link(a, b, decider=lambda history: True))
    book.enter()
    book.end("a")
    assert book.answer() == ["b"]
    assert book.enter() == ["b"]
    book.suspend("b")
    assert (book.enter(), book.asked) == (["b"], "")


def test_what_an_earlier_owner_began_is_reverted_though_withdrawn_and_put_behind_an_atom_that_fails() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.end("a")
    assert book.enter() == ["b"]
    book.suspend("b")
    book.change_flow(linear("a", "new", "b"))
    assert book.enter() == ["new"]
    assert book.play("new") == ["b", "-b", "-new", "-a"]
    assert book.flow["state"] == "REVERTED"


def test_what_an_earlier_owner_began_is_not_ignored_though_withdrawn_and_put_behind_an_atom_that_is() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.end("a")
    assert book.enter() == ["b"]
    book.suspend("b")
    a, new, b = map(atom, ("a", "new", "b"))
    book.change_flow(GraphFlow("g").add(a, new, b).link(a, new, decider=lambda history: True).link(new, b))
    assert (book.enter(), book.asked) == ([], "new")
    assert book.answer(Depth.ALL) == ["b"]
    book.end("b")
    assert (book.flow["state"], book.states) == ("SUCCESS", {"a": "SUCCESS", "new": "IGNORE", "b": "SUCCESS"})


# -- a flow that was changed meanwhile --


def test_an_atom_that_is_put_before_a_saved_one_runs_and_the_saved_one_does_not() -> None:
    book = Logbook(linear("a", "b", "c"))
    book.enter()
    book.end("a")
    book.end("b")
    book.change_flow(linear("a", "new", "b", "c"))
    assert [*book.enter(), *book.play()] == ["new", "c"]
    assert (book.flow["state"], book.atoms["c"]["attempt"]) == ("SUCCESS", 2)


def test_an_interrupted_atom_waits_for_one_that_is_put_before_it() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.end("a")
    book.change_flow(linear("a", "new", "b"))
    assert [*book.enter(), *book.play()] == ["new", "b"]


def test_an_interrupted_atom_is_reverted_when_one_that_is_put_before_it_fails() -> None:
    book = Logbook(linear("a", "b"))
    book.enter()
    book.end("a")
    book.change_flow(linear("a", "new", "b"))
    assert book.enter() == ["new"]
    assert book.play("new") == ["b", "-b", "-new", "-a"]
    assert book.flow["state"] == "REVERTED"


def test_an_interrupted_atom_is_reverted_though_one_that_is_put_before_it_never_runs() -> None:
    book = Logbook(UnorderedFlow("f").add(linear("a", "b"), atom("x")), window=2)
    book.enter()
    book.end("a")
    book.end("x", fails=True)
    book.change_flow(UnorderedFlow("f").add(linear("a", "new", "b"), atom("x")))
    book.enter()
    book.play()
    assert book.states == {"a": "REVERTED", "b": "REVERTED", "x": "REVERTED"}
    assert book.flow["state"] == "REVERTED"


def test_order_counts_across_an_atom_that_is_put_in_between() -> None:
    book = Logbook(LinearFlow("f").add(atom("a"), unordered("b", "x")), window=2)
    book.enter()
    book.end("a")
    book.end("b")
    book.end("x", fails=True)
    book.change_flow(LinearFlow("f").add(atom("a"), atom("new"), unordered("b", "x")))
    assert sorted(book.enter()) == ["-b", "-x"]
    book.end("x")
    assert book.end("b") == ["-a"]
    book.play()
    assert book.flow["state"] == "REVERTED"


def test_atoms_that_the_flow_no_longer_has_are_left_alone() -> None:
    book = Logbook(linear("a", "b", "c"))
    book.enter()
    book.end("a")
    book.end("b")
    book.change_flow(linear("b", "c"))
    assert [*book.enter(), *book.play()] == ["c"]
    assert (book.flow["state"], book.atoms["a"]["state"]) == ("SUCCESS", "SUCCESS")


def test_a_new_atom_before_what_is_being_reverted_changes_nothing_about_that() -> None:
    inner = LinearFlow("inner", retry=Asked("R")).add(atom("a"), atom("bad"))
    book = Logbook(LinearFlow("f").add(inner))
    book.enter()
    book.end("R")
    book.end("a")
    book.end("bad", fails=True)
    book.answer(Decision.RETRY)
    book.end("bad")
    inner = LinearFlow("inner", retry=Asked("R")).add(atom("a"), atom("bad"))
    book.change_flow(LinearFlow("f").add(atom("new"), inner))
    book.enter()
    book.play()
    assert (book.flow["state"], set(book.states.values())) == ("SUCCESS", {"SUCCESS"})


def test_what_a_late_thread_of_an_earlier_round_tells_is_not_kept() -> None:
    book = Logbook(LinearFlow("f", retry=Asked("R")).add(atom("a")))
    book.enter()
    book.end("R")
    late = book.in_flight["a"]
    book.end("a", fails=True)
    book.answer(Decision.RETRY)
    book.end("a")
    book.end("R")
    book.take(Annotate(late.node, {"progress": 0.9}, late))
    assert "metadata" not in book.atoms["a"]
    book.take(Annotate(late.node, {"progress": 0.5}, book.in_flight["a"]))
    assert book.atoms["a"]["metadata"] == {"progress": 0.5}


def test_progress_is_forgotten_in_the_next_round_and_the_rest_is_not() -> None:
    book = Logbook(LinearFlow("f", retry=Asked("R")).add(atom("a")))
    book.enter()
    book.end("R")
    book.take(Annotate(book.in_flight["a"].node, {"progress": 0.9, "kept": 1}))
    book.end("a", fails=True)
    book.answer(Decision.RETRY)
    book.end("a")
    assert book.atoms["a"]["metadata"] == {"kept": 1}
