"""Words of the command line become values by annotations."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from flowbook.cli.parameters import arguments_for, converted, guessed, split
from flowbook.exceptions import NotPossible


def build(count: int, *, loud: bool = False, names: list[str] | None = None) -> None: ...


def test_values_are_converted_by_annotations() -> None:
    values = {"count": "3", "loud": "yes", "names": "a, b"}
    assert arguments_for(build, values) == {"count": 3, "loud": True, "names": ["a", "b"]}


@pytest.mark.parametrize(
    ("value", "hint", "result"),
    [
        ("3", int, 3),
        ("3", float, 3.0),
        ("3", str, "3"),
        ("off", bool, False),
        ("", list[int], []),
        ("1,2", list[int], [1, 2]),
        ("[1, 2]", list[int], [1, 2]),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ("none", int | None, None),
        ("3", int | None, 3),
        ("3", str | int, 3),
        ("x", str | int, "x"),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2], 2),
        ("[1]", Any, [1]),
        ("x=y", Any, "x=y"),
    ],
)
def test_a_word_becomes_a_value(value: str, hint: Any, result: object) -> None:
    assert converted(value, hint) == result


@pytest.mark.parametrize(
    ("value", "hint"),
    [("x", int), ("maybe", bool), ("a,b", list[int]), ("[1]", dict), ("[1", list), ("c", Literal["a", "b"])],
)
def test_a_word_that_does_not_fit_is_refused(value: str, hint: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its text, the caller names the parameter
        converted(value, hint)


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(NotPossible, match="has no parameter 'cuont'") as caught:
        arguments_for(build, {"cuont": "3"})
    assert caught.value.todo == "did you mean 'count'?"
    assert "test_parameters.py:" in caught.value.where


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(NotPossible, match="build needs count") as caught:
        arguments_for(build, {})
    assert caught.value.todo == "give --param count=..."


def test_inputs_are_json_or_text() -> None:
    assert guessed({"a": "1", "b": "x", "c": '"1"'}) == {"a": 1, "b": "x", "c": "1"}


@pytest.mark.parametrize("words", [["a"], ["=1"], ["a=1", "a=2"]])
def test_words_that_are_no_pairs_are_refused(words: list[str]) -> None:
    with pytest.raises(NotPossible):
        split(words, "--param")
