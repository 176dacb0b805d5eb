"""The core's rules for deciders: when they are asked, and how far a no reaches."""

from __future__ import annotations

import pytest

from flowbook.atoms.retry import Decision
from flowbook.flows import Depth, Flow, GraphFlow, LinearFlow
from unit.core.logbook import Asked, Logbook, atom


def never(history: object) -> bool:
    raise AssertionError("the tests answer for it")


def chain(depth: Depth = Depth.ALL) -> LinearFlow:
    """a, b, c, d in a row, with a decider on the link to b; then e, outside of their flow."""
    a, b, c, d = map(atom, "abcd")
    inner = GraphFlow("inner").add(a, b, c, d).link(a, b, decider=never, decider_depth=depth)
    return LinearFlow("outer").add(inner.link(b, c).link(c, d), atom("e"))


def asked(flow: Flow) -> Logbook:
    book = Logbook(flow)
    book.enter()
    book.end("a")
    return book


def test_the_deciders_are_asked_when_the_atom_is_ready() -> None:
    book = asked(chain())
    assert book.asked == "b"
    assert book.answer() == ["b"]
    assert book.play() == ["c", "d", "e"]


@pytest.mark.parametrize(
    ("depth", "runs"),
    [(Depth.ALL, []), (Depth.FLOW, ["e"]), (Depth.NEIGHBORS, ["d", "e"]), (Depth.ATOM, ["c", "d", "e"])],
)
def test_a_no_reaches_as_far_as_its_depth_says(depth: Depth, runs: list[str]) -> None:
    book = asked(chain(depth))
    assert book.answer(depth) + book.play() == runs
    assert {name for name, state in book.states.items() if state == "IGNORE"} == set("bcde") - set(runs)
    assert book.flow["state"] == "SUCCESS"


def test_flow_depth_does_not_go_through_a_nested_flow() -> None:
    a, b, c = map(atom, "abc")
    nested = LinearFlow("nested").add(atom("n"))
    flow = GraphFlow("f").add(a, b, c, nested).link(a, b, decider=never, decider_depth=Depth.FLOW)
    book = asked(flow.link(b, nested).link(nested, c))
    assert book.answer(Depth.FLOW) + book.play() == ["n", "c"]


def test_a_decider_on_a_link_to_a_flow_decides_about_each_atom_it_begins_with() -> None:
    a, x, y = map(atom, "axy")
    flow = GraphFlow("f").add(a, inner := GraphFlow("inner").add(x, y)).link(a, inner, decider=never)
    book = asked(flow)
    assert book.asked == "x"
    book.answer()
    assert book.asked == "y"
    book.answer(Depth.ATOM)
    book.play()
    assert book.states == {"a": "SUCCESS", "x": "SUCCESS", "y": "IGNORE"}


def test_a_decider_on_a_link_to_a_flow_with_a_retry_decides_about_the_retry() -> None:
    a = atom("a")
    inner = LinearFlow("inner", retry=Asked("R")).add(atom("x"))
    book = asked(GraphFlow("f").add(a, inner).link(a, inner, decider=never))
    assert book.asked == "R"
    book.answer(Depth.ALL)
    assert book.states == {"a": "SUCCESS", "R": "IGNORE", "x": "IGNORE"}
    assert book.flow["state"] == "SUCCESS"


def test_an_ignored_source_has_no_vote() -> None:
    a, b, c = map(atom, "abc")
    flow = GraphFlow("f").add(a, b, c).link(a, b, decider=never).link(b, c, decider=never)
    book = asked(flow)
    assert book.answer(Depth.ATOM) == ["c"]
    assert book.asked == ""


def test_an_atom_that_waits_for_another_branch_too_is_ignored_at_once_and_passed_later() -> None:
    a, b, x, join, end = (atom(name) for name in ("a", "b", "x", "join", "end"))
    flow = GraphFlow("f").add(a, b, x, join, end).link(a, b, decider=never, decider_depth=Depth.NEIGHBORS)
    book = Logbook(flow.link(b, join).link(x, join).link(join, end), window=2)
    book.enter()
    book.end("a")
    assert book.answer(Depth.NEIGHBORS) == []
    assert book.states == {"a": "SUCCESS", "x": "RUNNING", "b": "IGNORE", "join": "IGNORE"}
    assert book.end("x") == ["end"]


def test_a_decider_that_raises_fails_the_atom() -> None:
    book = asked(chain())
    assert book.answer(raises=True) == ["-b"]
    book.play()
    assert book.states == {"a": "REVERTED", "b": "REVERTED"}
    assert "b EXECUTE 1 FAILURE" in book.outcomes


def test_ignored_atoms_are_passed_by_reverting_and_stay_as_they_are() -> None:
    book = asked(chain(Depth.ATOM))
    book.answer(Depth.ATOM)
    assert book.end("c", fails=True) == ["-c"]
    assert book.play() == ["-a"]
    assert book.states == {"a": "REVERTED", "b": "IGNORE", "c": "REVERTED"}


def test_a_new_round_asks_the_deciders_again() -> None:
    a, b, c = map(atom, "abc")
    flow = GraphFlow("f", retry=Asked("R")).add(a, b, c).link(a, b, decider=never, decider_depth=Depth.ATOM)
    book = Logbook(flow.link(b, c))
    book.enter()
    book.end("R")
    book.end("a")
    book.answer(Depth.ATOM)
    book.end("c", fails=True)
    book.answer(Decision.RETRY)
    assert book.play() == ["-a", "R", "a"]
    assert book.asked == "b"
    assert book.states == {"R": "SUCCESS", "a": "SUCCESS"}
    assert book.answer() == ["b"]


def test_a_flow_whose_retry_was_ignored_has_nobody_to_ask() -> None:
    a = atom("a")
    inner = LinearFlow("inner", retry=Asked("R")).add(atom("x"))
    book = asked(GraphFlow("f").add(a, inner).link(a, inner, decider=never, decider_depth=Depth.ATOM))
    assert book.answer(Depth.ATOM) == ["x"]
    assert book.end("x", fails=True) == ["-x"]
    assert book.play() == ["-a"]


def test_deciders_are_asked_again_when_their_answer_was_not_acted_on() -> None:
    book = asked(chain())
    assert book.answer() == ["b"]
    book.suspend("b")
    assert book.flow["state"] == "SUSPENDED"
    book.enter()
    assert book.asked == "b"
