"""Wiring errors: each kind names the atoms and their places, and all come at once."""

from __future__ import annotations

import re

import pytest

from flowbook.atoms import Task
from flowbook.exceptions import CompilationFailure, Problem
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow
from flowbook.flows.compilation import compile_flow

HERE = r"[^ ]*test_compile_errors\.py:\d+"


class Step(Task):
    def execute(self, **values: object) -> None: ...


class Reverting(Step):
    def revert(self, **values: object) -> None: ...


class Lenient(Task):
    def execute(self, x: object = None) -> None: ...


def problems_of(flow: Flow, inputs: frozenset[str] | None = None) -> list[Problem]:
    with pytest.raises(CompilationFailure) as caught:
        compile_flow(flow, inputs)
    return list(caught.value.problems)


def only_problem(flow: Flow, inputs: frozenset[str] | None = None) -> Problem:
    [problem] = problems_of(flow, inputs)
    assert all(re.fullmatch(HERE, place) for place in problem.places), problem.places
    return problem


def test_two_atoms_of_one_name_are_refused_with_both_places() -> None:
    problem = only_problem(LinearFlow("f").add(Step("a"), LinearFlow("g").add(Lenient("a"))))
    assert problem.what == "two atoms are called 'a'"
    assert len(set(problem.places)) == 2


def test_an_atom_in_two_places_is_refused() -> None:
    atom = Step("a")
    problem = only_problem(LinearFlow("f").add(atom, UnorderedFlow("g").add(atom)))
    assert problem.what == "<Step 'a' ()> stands in the flow twice"
    assert problem.hint == "make a second object with its own name"


@pytest.mark.parametrize("pattern", [LinearFlow, UnorderedFlow, GraphFlow])
def test_a_flow_in_two_places_is_told_once_whatever_is_in_it(pattern: type[Flow]) -> None:
    inner = LinearFlow("inner").add(Step("a"), Step("b"))
    problem = only_problem(pattern("f").add(pattern("g").add(inner), pattern("h").add(inner)))
    assert problem.what == "<LinearFlow 'inner': 2 children> stands in the flow twice"


@pytest.mark.parametrize("pattern", [LinearFlow, UnorderedFlow, GraphFlow])
def test_a_flow_inside_itself_is_refused(pattern: type[Flow]) -> None:
    outer, inner = pattern("outer"), pattern("inner")
    outer.add(inner)
    inner.add(Step("a"), outer)
    assert "stands in the flow twice" in only_problem(outer).what


def test_a_cycle_is_printed_link_by_link() -> None:
    a, b, c = Step("a"), Step("b"), Step("c")
    flow = GraphFlow("f").add(a, b, c, Step("d")).link(a, b).link(b, c).link(c, a)
    problem = only_problem(flow)
    assert problem.what in {
        f"the links of 'f' go in a circle: {circle}"
        for circle in ("'a' -> 'b' -> 'c' -> 'a'", "'b' -> 'c' -> 'a' -> 'b'", "'c' -> 'a' -> 'b' -> 'c'")
    }
    assert len(problem.places) == 3


def test_a_cycle_by_symbols_is_refused_and_what_hangs_on_it_is_not_named() -> None:
    flow = GraphFlow("f").add(Step("a", requires="y", provides="x"), Step("b", requires="x", provides="y"))
    flow.add(Step("c", requires="x"))
    assert re.search(r"circle: '[ab]' -> '[ab]' -> '[ab]'$", only_problem(flow).what)


def test_a_cycle_within_a_flow_makes_none_around_it() -> None:
    a, b = Step("a", requires="x", provides=("x", "y")), Step("b", requires="x")
    inner = GraphFlow("inner").add(a, b).link(a, b).link(b, a)
    flow = GraphFlow("outer").add(inner, Step("c", requires="y", provides="x"))
    assert "the links of 'inner' go in a circle" in only_problem(flow).what


def test_two_providers_of_a_required_symbol_in_a_graph_are_refused() -> None:
    flow = GraphFlow("f").add(Step("a", provides="x"), Step("b", provides="x"), Step("c", requires="x"))
    problem = only_problem(flow)
    assert problem.what == "'c' needs 'x', which each of 'a', 'b' provides"
    assert len(problem.places) == 3
    assert "rename" in problem.hint


def test_two_providers_of_a_symbol_that_nobody_requires_are_no_error() -> None:
    compile_flow(GraphFlow("f").add(Step("a", provides="x"), Step("b", provides="x"), Lenient("c")))


# -- missing inputs --


def test_inputs_are_checked_only_when_they_are_known() -> None:
    flow = LinearFlow("f").add(Step("a", requires="x"))
    compile_flow(flow)
    compile_flow(flow, frozenset({"x"}))
    problem = only_problem(flow, frozenset())
    assert problem.what == "execute of 'a' needs 'x', which nothing provides"
    assert problem.hint == "give it as an input: store={'x': ...}"


def test_a_near_miss_is_shown_with_the_place_of_who_provides_it() -> None:
    flow = LinearFlow("f").add(Lenient("a", provides="reservation"), Step("b", requires="reservaton"))
    problem = only_problem(flow, frozenset())
    assert problem.hint == "did you mean 'reservation'?"
    assert len(problem.places) == 2


def test_an_input_may_be_the_near_miss() -> None:
    problem = only_problem(LinearFlow("f").add(Step("a", requires="order")), frozenset({"ordre"}))
    assert problem.hint == "did you mean 'ordre'?"


@pytest.mark.parametrize(
    "flow",
    [
        UnorderedFlow("f").add(Lenient("a", provides="x"), Step("b", requires="x")),
        LinearFlow("f").add(Step("b", requires="x"), Lenient("a", provides="x")),
        GraphFlow("f").add(Lenient("a", provides="x")).add(Step("b", requires="x"), resolve_requires=False),
    ],
    ids=["a sibling", "a later one", "one that is not linked"],
)
def test_a_provider_that_does_not_come_before_is_named(flow: Flow) -> None:
    problem = only_problem(flow, frozenset())
    assert problem.what == "execute of 'b' needs 'x'; 'a' provides it, but does not come before"
    assert len(problem.places) == 2


def test_an_atom_does_not_provide_for_itself() -> None:
    flow = LinearFlow("f").add(Step("a", requires="x", provides="x"))
    assert only_problem(flow, frozenset()).what.startswith("execute of 'a' needs 'x'")


def test_what_revert_needs_is_told_of_revert() -> None:
    flow = LinearFlow("f").add(Reverting("a", revert_requires="x"))
    assert only_problem(flow, frozenset()).what == "revert of 'a' needs 'x', which nothing provides"


def test_what_both_methods_need_is_told_once() -> None:
    flow = LinearFlow("f").add(Reverting("a", requires="x"))
    assert len(problems_of(flow, frozenset())) == 1


def test_an_optional_argument_may_be_missing() -> None:
    compile_flow(LinearFlow("f").add(Lenient("a")), frozenset())


def test_all_errors_come_at_once() -> None:
    a, b = Step("a"), Step("b")
    circle = GraphFlow("circle").add(a, b).link(a, b).link(b, a)
    two = GraphFlow("two").add(Step("p", provides="x"), Step("q", provides="x"), Step("r", requires="x"))
    flow = LinearFlow("f").add(circle, two, Step("a"), two.children[0], Step("late", requires="y"))
    problems = problems_of(flow, frozenset())
    whats = " | ".join(sorted(problem.what for problem in problems))
    assert len(problems) == 5, whats
    for part in ("circle", "each of 'p', 'q'", "two atoms are called 'a'", "'p' () -> x> stands", "needs 'y'"):
        assert part in whats
    with pytest.raises(CompilationFailure, match=r"flow 'f' has 5 wiring error\(s\):\n  - ") as caught:
        compile_flow(flow, frozenset())
    assert all(re.fullmatch(HERE, place) for place in caught.value.where.split(", "))
