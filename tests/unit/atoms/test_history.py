"""What a retry is told of the rounds before."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from flowbook.atoms import History
from flowbook.failure import Failure

REFUSED = Failure.from_exception(ConnectionRefusedError("db"))
WRONG = Failure.from_exception(ValueError("port"))
TWO = History([("first", {"connect": REFUSED}), ("second", {"connect": WRONG, "ping": REFUSED})])


def test_a_history_tells_what_was_given_and_what_failed_round_by_round() -> None:
    assert len(TWO) == 2
    assert TWO[0] == ("first", {"connect": REFUSED})
    assert [given for given, _ in TWO] == list(TWO.provided_iter()) == ["first", "second"]
    assert [TWO[-1]] == list(TWO[1:])


def test_a_history_without_rounds_is_empty() -> None:
    assert not History([])
    assert list(History([]).outcomes_iter()) == []
    assert History([]).failure is None


def test_failures_are_told_for_all_rounds_or_for_one() -> None:
    assert list(TWO.outcomes_iter()) == [("connect", REFUSED), ("connect", WRONG), ("ping", REFUSED)]
    assert list(TWO.outcomes_iter(0)) == [("connect", REFUSED)]
    assert list(TWO.outcomes_iter(index=-1)) == [("connect", WRONG), ("ping", REFUSED)]


def test_a_round_that_was_not_is_no_round_without_failures() -> None:
    with pytest.raises(IndexError):
        list(TWO.outcomes_iter(2))


@pytest.mark.parametrize("cause", [ValueError, "ValueError", OSError])
def test_a_history_says_whether_an_exception_was_a_cause(cause: Any) -> None:
    assert TWO.caused_by(cause)
    assert not TWO.caused_by(KeyError)


def test_a_history_says_whether_an_exception_was_a_cause_in_one_round() -> None:
    assert TWO.caused_by(ValueError, index=1)
    assert not TWO.caused_by(ValueError, index=0)


def test_the_failure_of_the_retry_itself_is_in_no_round() -> None:
    history = History([], failure=WRONG)
    assert history.failure is WRONG
    assert list(history.outcomes_iter()) == []
    assert not history.caused_by(ValueError)
    assert history.caused_by(ValueError, include_retry=True)
    assert not history.caused_by(KeyError, include_retry=True)


def test_a_history_cannot_be_changed() -> None:
    anyhow: Any = TWO
    with pytest.raises(AttributeError):
        anyhow.failure = WRONG
    with pytest.raises(TypeError):
        anyhow[0] = ("other", {})
    with pytest.raises(TypeError):
        anyhow[0][1]["other"] = WRONG


def test_a_history_does_not_follow_what_it_was_made_of() -> None:
    failures = {"connect": REFUSED}
    contents: list[tuple[object, dict[str, Failure]]] = [("first", failures)]
    history = History(contents)
    failures["ping"] = WRONG
    contents.append(("second", {}))
    assert list(history) == [("first", {"connect": REFUSED})]


def test_histories_are_equal_by_what_they_tell() -> None:
    assert History([(1, {})]) == History([(1, {})])
    assert History([(1, {})]) != History([(2, {})])
    assert History([], WRONG) != History([])
    assert History([]) != []


def test_a_history_can_be_copied_and_pickled() -> None:
    assert copy.deepcopy(TWO) == TWO
    assert pickle.loads(pickle.dumps(TWO)) == TWO


def test_the_repr_of_a_history_tells_which_value_failed_where() -> None:
    assert repr(TWO) == "<History of 2: 'first' -> connect, 'second' -> connect, ping>"
    assert repr(History([(1, {})])) == "<History of 1: 1 -> no failure>"
    assert repr(History([])) == "<History of 0>"
