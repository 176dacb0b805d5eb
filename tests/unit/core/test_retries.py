"""The core's rules for retries: who is asked, what a round resets, and which decision wins."""

from __future__ import annotations

import pytest

from flowbook.atoms.retry import Decision
from flowbook.engines.core.messages import Suspend
from flowbook.flows import Depth, Flow, GraphFlow, LinearFlow, UnorderedFlow
from unit.core.logbook import Asked, Logbook, atom, linear

RETRY, REVERT, REVERT_ALL = Decision.RETRY, Decision.REVERT, Decision.REVERT_ALL


def retried(name: str, *children: str | Flow) -> LinearFlow:
    flow = LinearFlow(f"flow of {name}", retry=Asked(name))
    return flow.add(*(atom(child) if isinstance(child, str) else child for child in children))


def nested() -> LinearFlow:
    """O governs x, the flow of I with y in it, and z."""
    return retried("O", "x", retried("I", "y"), "z")


def entered(flow: Flow, window: int = 1, *, up_to: str) -> Logbook:
    """Return the logbook of a run in which all went well until ``up_to`` was started."""
    book = Logbook(flow, window)
    book.enter()
    while up_to not in book.in_flight:
        book.end(next(iter(book.in_flight)))
    return book


def test_a_retry_runs_before_its_flow_and_opens_its_history() -> None:
    book = Logbook(retried("R", "a"))
    assert book.enter() == ["R"]
    assert book.end("R") == ["a"]
    assert [row["result"].live for row in book.history["R"]] == ["result of R"]


def test_the_failure_stands_in_the_history_before_the_retry_is_asked() -> None:
    book = entered(retried("R", "a"), up_to="a")
    assert book.end("a", fails=True) == []
    assert book.asked == "R"
    assert book.history["R"][-1]["atom"] == "a"
    assert book.history["R"][-1]["failure"].live == "failure of a"


def test_a_round_reverts_the_flow_but_not_its_retry_and_runs_it_again() -> None:
    book = entered(retried("R", "a", "b"), up_to="b")
    book.end("b", fails=True)
    assert book.answer(RETRY) == ["-b"]
    assert book.play() == ["-a", "R", "a", "b"]
    assert book.flow["state"] == "SUCCESS"
    assert [row["round"] for name, row in book.attempts if name == "a"] == [0, 0, 1]
    assert "R REVERT 1 SUCCESS" not in book.outcomes


def test_what_failed_in_an_earlier_round_is_forgotten() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(RETRY)
    book.play()
    assert book.atoms["a"].keys().isdisjoint({"failure", "revert_attempt"})
    assert not book.run.failure


def test_the_events_of_a_round_tell_of_resets_in_the_order_of_the_flow() -> None:
    book = entered(retried("R", "a", "b"), up_to="b")
    book.run.listening = True
    book.end("b", fails=True)
    book.answer(RETRY)
    book.play()
    told = [
        (book.plan.names[event.node], str(event.state))
        for decision in book.decisions
        for event in (*decision.endings, *decision.startings)
        if event.node is not None
    ]
    begin = told.index(("R", "RETRYING"))
    assert told[begin - 1] == ("a", "REVERTED")
    assert told[begin : begin + 4] == [("R", "RETRYING"), ("a", "PENDING"), ("b", "PENDING"), ("R", "RUNNING")]


def test_revert_without_a_retry_around_reverts_its_own_flow_only() -> None:
    book = entered(LinearFlow("f").add(atom("x"), retried("I", "y"), atom("z")), up_to="y")
    book.end("y", fails=True)
    assert book.answer(REVERT) == ["-y"]
    assert book.play() == ["-I"]
    assert book.states == {"x": "SUCCESS", "I": "REVERTED", "y": "REVERTED"}
    assert book.flow["state"] == "REVERTED"


def test_revert_is_handed_on_until_all_is_reverted_when_reverts_are_deferred() -> None:
    book = Logbook(LinearFlow("f").add(atom("x"), retried("I", "y"), atom("z")))
    book.defer_reverts = True
    book.enter()
    book.end("x")
    book.end("I")
    book.end("y", fails=True)
    assert book.answer(REVERT) == ["-y"]
    assert book.play() == ["-I", "-x"]


def test_revert_asks_the_retry_around_about_the_inner_one() -> None:
    book = entered(nested(), up_to="y")
    book.end("y", fails=True)
    assert book.answer(REVERT) == []
    assert book.asked == "O"
    assert (book.history["O"][-1]["atom"], book.history["O"][-1]["failure"].live) == ("I", "failure of y")


def test_the_retry_around_may_begin_a_round_in_which_the_inner_one_begins_anew() -> None:
    book = entered(nested(), up_to="y")
    book.end("y", fails=True)
    book.answer(REVERT)
    assert book.answer(RETRY) == ["-y"]
    assert book.play() == ["-I", "-x", "O", "x", "I", "y", "z"]
    assert book.flow["state"] == "SUCCESS"
    assert len(book.history["O"]) == 3
    assert len(book.history["I"]) == 1


@pytest.mark.parametrize(("deferred", "left"), [(False, {"O": "SUCCESS", "x": "SUCCESS"}), (True, {})])
def test_revert_of_all_retries_reverts_the_innermost_flow_unless_deferred(deferred: bool, left: dict[str, str]) -> None:
    book = Logbook(nested())
    book.defer_reverts = deferred
    book.enter()
    for name in ("O", "x", "I"):
        book.end(name)
    book.end("y", fails=True)
    book.answer(REVERT)
    book.answer(REVERT)
    book.play()
    assert {name: state for name, state in book.states.items() if state != "REVERTED"} == left
    assert book.flow["state"] == "REVERTED"


def test_revert_all_reverts_everything_and_asks_nobody() -> None:
    book = entered(nested(), up_to="y")
    book.end("y", fails=True)
    assert book.answer(REVERT_ALL) == ["-y"]
    assert book.play() == ["-I", "-x", "-O"]
    assert not book.history


def test_a_retry_that_fails_is_judged_by_the_one_around_it() -> None:
    book = entered(nested(), up_to="I")
    book.end("I", fails=True)
    assert book.asked == "O"
    assert book.answer(RETRY) == ["-I"]
    assert book.play() == ["-x", "O", "x", "I", "y", "z"]


def test_a_retry_that_fails_alone_reverts_everything() -> None:
    book = Logbook(retried("R", "a"))
    book.enter()
    assert book.end("R", fails=True) == ["-R"]
    book.play()
    assert book.flow["state"] == "REVERTED"


def test_two_failures_of_a_round_are_asked_about_one_after_the_other() -> None:
    book = Logbook(UnorderedFlow("f", retry=Asked("R")).add(atom("a"), atom("b")), window=2)
    book.enter()
    book.end("R")
    book.take(book.ended("a", fails=True), book.ended("b", fails=True))
    assert [row["atom"] for row in book.history["R"][1:]] == ["a"]
    book.answer(RETRY)
    assert [row["atom"] for row in book.history["R"][1:]] == ["a", "b"]
    assert sorted(book.answer(RETRY)) == ["-a", "-b"]
    assert book.play() == ["R", "a", "b"]


@pytest.mark.parametrize(("first", "second"), [(RETRY, REVERT_ALL), (REVERT_ALL, RETRY)])
def test_revert_all_wins_over_a_round_whoever_comes_first(first: Decision, second: Decision) -> None:
    flow = UnorderedFlow("f").add(retried("A", "a"), retried("B", "b"))
    book = Logbook(flow, window=4)
    book.enter()
    book.take(book.ended("A"), book.ended("B"))
    book.take(book.ended("a", fails=True), book.ended("b", fails=True))
    book.answer(first)
    book.answer(second)
    book.play()
    assert book.states == dict.fromkeys(("A", "a", "B", "b"), "REVERTED")


def test_reverting_wins_over_a_round_of_the_same_flow() -> None:
    book = Logbook(UnorderedFlow("f", retry=Asked("R")).add(atom("a"), atom("b")), window=2)
    book.enter()
    book.end("R")
    book.take(book.ended("a", fails=True), book.ended("b", fails=True))
    book.answer(RETRY)
    book.answer(REVERT)
    book.play()
    assert book.states == dict.fromkeys(("R", "a", "b"), "REVERTED")


def test_another_branch_goes_on_while_a_flow_is_retried() -> None:
    book = Logbook(UnorderedFlow("f").add(retried("R", "a"), LinearFlow("l").add(atom("x"), atom("y"))), window=2)
    book.enter()
    book.end("R")
    book.end("a", fails=True)
    book.answer(RETRY)
    assert book.end("x") == ["y"]
    book.play()
    assert book.flow["state"] == "SUCCESS"
    assert book.outcomes.count("x EXECUTE 1 SUCCESS") == 1


def test_what_waits_for_two_branches_waits_again_in_the_next_round() -> None:
    fan = UnorderedFlow("fan", retry=Asked("R")).add(atom("a"), atom("b"))
    book = Logbook(LinearFlow("f").add(fan, atom("c")), window=2)
    book.enter()
    book.end("R")
    book.end("a")
    book.end("b", fails=True)
    assert sorted(book.answer(RETRY)) == ["-a", "-b"]
    assert book.end("a") == []
    assert book.end("b") == ["R"]
    assert book.end("R") == ["a", "b"]
    assert book.end("a") == []
    assert book.end("b") == ["c"]


def test_a_hook_that_raises_reverts_everything_and_its_failure_is_kept() -> None:
    book = entered(nested(), up_to="y")
    book.end("y", fails=True)
    assert book.answer(raises=True) == ["-y"]
    book.play()
    assert book.atoms["I"]["hook_failure"].live == "what the hook raised"
    assert book.flow["state"] == "REVERTED"


def test_a_failed_revert_of_a_round_ends_the_flow() -> None:
    book = entered(retried("R", "a", "b"), up_to="b")
    book.end("b", fails=True)
    book.answer(RETRY)
    assert book.end("b", fails=True) == []
    assert book.flow["state"] == "FAILURE"
    assert book.states == {"R": "SUCCESS", "a": "SUCCESS", "b": "REVERT_FAILURE"}


def test_nothing_is_asked_or_reverted_where_failures_are_never_resolved() -> None:
    book = Logbook(retried("R", "a", "b"))
    book.never_resolve = True
    book.enter()
    book.end("R")
    assert book.end("a", fails=True) == []
    assert book.asked == ""
    assert (book.flow["state"], book.states) == ("FAILURE", {"R": "SUCCESS", "a": "FAILURE"})


# -- after a crash ---------------------------------------------------------------------------------------------


def test_a_failure_without_an_answer_is_asked_about_again() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    assert book.enter() == []
    assert book.asked == "R"
    assert len(book.history["R"]) == 2
    assert book.answer(RETRY) == ["-a"]


def test_an_answer_that_is_recorded_is_not_asked_for_again() -> None:
    book = entered(retried("R", "a", "b"), up_to="b")
    book.end("b", fails=True)
    book.answer(RETRY)
    assert book.enter() == ["-b"]
    assert book.asked == ""
    assert book.play() == ["-a", "R", "a", "b"]
    assert book.outcomes[-1] == "b EXECUTE 1 SUCCESS"


def test_a_round_that_was_to_begin_begins() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(RETRY)
    book._take([book.ended("a")])
    assert book.decisions[-1].goes_on
    assert book.enter() == ["R"]
    assert book.play() == ["a"]


def test_a_retry_that_was_interrupted_is_run_again() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(RETRY)
    book.end("a")
    assert book.enter() == ["R"]
    assert book.play() == ["a"]
    assert "R EXECUTE 1 INTERRUPTED" in book.outcomes


def test_a_retry_left_in_the_middle_of_beginning_a_round_begins_it_wholly() -> None:
    book = entered(retried("R", "a", "b"), up_to="b")
    book.atoms["R"]["state"], book.atoms["b"]["state"] = "RETRYING", "REVERTED"
    assert book.enter() == ["R"]
    assert book.states == {"R": "RUNNING"}
    assert book.play() == ["a", "b"]
    assert book.flow["state"] == "SUCCESS"


def test_a_suspend_holds_back_the_next_round() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(RETRY)
    book.suspend()
    assert book.end("a") == []
    assert book.flow["state"] == "SUSPENDED"
    assert book.states == {"R": "SUCCESS", "a": "REVERTED"}
    assert book.enter() == ["R"]


def test_a_retry_whose_start_was_withdrawn_keeps_its_history() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(RETRY)
    book.end("a")
    book.suspend("R")
    assert book.flow["state"] == "SUSPENDED"
    assert len(book.history["R"]) == 2
    assert book.enter() == ["R"]
    assert book.play() == ["a"]


# -- rounds and what happens beside them ------------------------------------------------------------------------


def test_a_round_that_is_withdrawn_is_still_to_begin() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(RETRY)
    book.end("a")
    book.suspend("R")
    assert book.states == {"R": "RETRYING"}
    assert book.enter() == ["R"]
    assert book.history["R"][-1]["atom"] == "a"


def test_no_round_begins_when_the_flow_fails_meanwhile() -> None:
    flow = UnorderedFlow("f").add(retried("A", "a"), retried("B", "b"))
    book = Logbook(flow)
    book.enter()
    book.end("A")
    book.end("B")
    book.end("a", fails=True)
    book.answer(RETRY)
    book.end("b", fails=True)
    book.answer(RETRY)
    assert book.end("a") == ["-b"]
    assert book.end("b", fails=True) == []
    assert book.flow["state"] == "FAILURE"
    assert book.states == {"A": "SUCCESS", "a": "REVERTED", "B": "SUCCESS", "b": "REVERT_FAILURE"}


def test_a_round_takes_back_what_its_deciders_had_ignored_behind_it() -> None:
    def never(history: object) -> bool:
        raise AssertionError("the test answers for it")

    x, y = atom("x"), atom("y")
    decided = GraphFlow("decided").add(x, y).link(x, y, decider=never)
    inner = UnorderedFlow("inner", retry=Asked("R")).add(decided, atom("bad"))
    book = Logbook(LinearFlow("f").add(inner, atom("z")))
    book.enter()
    book.end("R")
    book.end("x")
    book.answer(Depth.ALL)
    assert book.states["z"] == book.states["y"] == "IGNORE"
    book.end("bad", fails=True)
    book.answer(RETRY)
    while book.states.get("x") != "RUNNING":
        book.end(next(iter(book.in_flight)))
    book.end("x")
    assert book.asked == "y"
    assert "z" not in book.states
    book.answer()
    book.play()
    assert (book.states["z"], book.flow["state"]) == ("SUCCESS", "SUCCESS")


def test_a_withdrawn_revert_of_a_retry_whose_hook_raised_is_again_a_success() -> None:
    book = entered(retried("R", "a"), up_to="a")
    book.end("a", fails=True)
    book.answer(raises=True)
    assert book.end("a") == ["-R"]
    book.suspend("R")
    assert book.states == {"R": "SUCCESS", "a": "REVERTED"}
    assert [*book.enter(), *book.play()] == ["-R"]
    assert book.flow["state"] == "REVERTED"


def test_a_suspend_is_recorded_though_a_question_is_open() -> None:
    book = entered(retried("R", "a"), up_to="a")
    ended = book.ended("a", fails=True)
    book.take(ended, Suspend(book.at))
    assert book.asked == "R"
    assert book.flow["state"] == "SUSPENDING"


def test_a_round_that_is_ready_when_another_branch_fails_is_begun_then_reverted() -> None:
    book = Logbook(UnorderedFlow("f").add(retried("R", "a"), linear("x", "y", "z", "bad")))
    book.enter()
    while "bad" not in book.in_flight:
        name = next(iter(book.in_flight))
        executes = book.states[name] == "RUNNING"
        book.end(name, fails=name == "a" and executes)
        if book.asked:
            book.answer(RETRY)
    book.end("bad", fails=True)
    book.play()
    assert book.flow["state"] == "REVERTED"
    assert set(book.states.values()) == {"REVERTED"}


def test_a_failed_revert_holds_back_the_rounds_that_come_ready_after_it() -> None:
    flow = UnorderedFlow("f").add(retried("A", "a"), retried("B", "b"))
    book = Logbook(flow)
    book.enter()
    book.end("A")
    book.end("B")
    for name in ("a", "b"):
        book.end(name, fails=True)
        book.answer(RETRY)
    assert book.end("a", fails=True) == ["-b"]
    assert book.end("b") == []
    assert (book.flow["state"], book.states["B"]) == ("FAILURE", "SUCCESS")
