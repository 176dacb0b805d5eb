"""Where arguments come from: inputs first, then the nearest provider that has supplied the part."""

from __future__ import annotations

import pytest

from flowbook.engines.core.arguments import NotProvided, sources
from flowbook.flows import LinearFlow
from flowbook.states import Direction
from unit.core.logbook import Logbook, Step, atom, unordered


class Careful(Step):
    def execute(self, x: object = None, **values: object) -> None: ...


def found(book: Logbook, name: str, direction: Direction = Direction.EXECUTE) -> dict[str, tuple[object, object]]:
    return {a: (handle.live, index) for a, handle, index in sources(book.run, book.plan.index[name], direction)}


def test_the_nearest_earlier_atom_gives_the_value() -> None:
    flow = LinearFlow("f").add(atom("a", provides="x"), atom("b", provides="x"), atom("c", requires="x"))
    book = Logbook(flow)
    book.enter()
    book.end("a")
    book.end("b")
    assert found(book, "c") == {"x": ("result of b", None)}


def test_an_input_goes_before_every_provider() -> None:
    flow = LinearFlow("f").add(atom("a", provides="x"), atom("b", requires="x"))
    book = Logbook(flow, inputs={"x": "given"})
    book.enter()
    book.end("a")
    assert found(book, "b") == {"x": ("given", None)}


def test_a_provider_whose_result_lacks_the_part_is_passed_over() -> None:
    flow = LinearFlow("f").add(atom("a", provides="y"), atom("b", provides=("x", "y")), atom("c", requires=("x", "y")))
    book = Logbook(flow)
    book.enter()
    book.end("a")
    book.take(book.ended("b", absent=frozenset({1})))
    assert book.atoms["b"]["absent"] == [1]
    expected = {"x": ("result of b", 0), "y": ("result of a", None)}
    assert found(book, "c") == expected
    book.enter()
    assert found(book, "c") == expected


def test_a_value_that_nobody_supplies_is_named_with_the_atom() -> None:
    book = Logbook(LinearFlow("f").add(atom("a", provides=("x", "y")), atom("b", requires="y")))
    book.enter()
    book.take(book.ended("a", absent=frozenset({1})))
    with pytest.raises(NotProvided, match="'b' needs 'y', which its providers did not supply"):
        found(book, "b")


def test_an_optional_argument_that_nobody_supplies_is_left_out() -> None:
    book = Logbook(LinearFlow("f").add(Careful("a")))
    book.enter()
    assert found(book, "a") == {}


def test_siblings_of_an_unordered_flow_give_to_what_comes_later() -> None:
    fan = unordered("a").add(atom("b", provides="x"))
    book = Logbook(LinearFlow("f").add(fan, atom("c", requires="x")), window=2)
    book.enter()
    book.take(book.ended("a"), book.ended("b"))
    assert found(book, "c") == {"x": ("result of b", None)}


def test_a_revert_reads_what_is_not_reverted_yet() -> None:
    undo = Step("b", revert_requires="x")
    book = Logbook(LinearFlow("f").add(atom("a", provides="x"), undo))
    book.enter()
    book.end("a")
    assert book.end("b", fails=True) == ["-b"]
    assert found(book, "b", Direction.REVERT) == {"x": ("result of a", None)}
    assert book.end("b") == ["-a"]
    book.end("a")
    with pytest.raises(NotProvided):
        found(book, "b", Direction.REVERT)
