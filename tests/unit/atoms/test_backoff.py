"""The pauses that retries make, and what is refused as one."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook import Backoff, ForEach, ParameterizedForEach, Retry, Times
from flowbook.atoms import History
from flowbook.exceptions import NotPossible, WrongType


def history(failed: int) -> History:
    return History([(number, {}) for number in range(failed)])


def test_a_pause_grows_by_its_factor_up_to_the_maximum() -> None:
    backoff = Backoff(0.5, factor=3, maximum=10)
    assert [backoff.pause_s(failed, chance=0.9) for failed in (1, 2, 3, 4, 5)] == [0.5, 1.5, 4.5, 10, 10]


def test_a_pause_of_a_factor_of_one_stays_as_it_is() -> None:
    assert [Backoff(2, factor=1).pause_s(failed, chance=0.0) for failed in (1, 9)] == [2, 2]


def test_the_maximum_holds_however_many_rounds_have_failed() -> None:
    assert Backoff(1, factor=1e300, maximum=60).pause_s(10_000, chance=0.0) == 60


@pytest.mark.parametrize(("chance", "pause_s"), [(0.0, 10), (0.5, 8), (1.0, 6)])
def test_jitter_takes_a_share_off_by_chance(chance: float, pause_s: float) -> None:
    assert Backoff(10, jitter=0.4).pause_s(1, chance) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"initial": -1}, "initial of a Backoff is -1"),
        ({"initial": float("nan")}, "initial of a Backoff is nan"),
        ({"initial": 1, "factor": 0.5}, "factor of a Backoff is 0.5"),
        ({"initial": 1, "factor": float("inf")}, "factor of a Backoff is inf"),
        ({"initial": 10, "maximum": 5}, "maximum of a Backoff is 5"),
        ({"initial": 10, "maximum": float("inf")}, "maximum of a Backoff is inf"),
        ({"initial": 1, "jitter": 1.5}, "jitter of a Backoff is 1.5"),
        ({"initial": 1, "jitter": float("nan")}, "jitter of a Backoff is nan"),
    ],
)
def test_numbers_that_make_no_pause_are_refused(numbers: dict[str, float], text: str) -> None:
    with pytest.raises(NotPossible) as caught:
        Backoff(**numbers)
    assert str(caught.value) == text
    assert caught.value.todo.startswith("give ")


@pytest.mark.parametrize("value", ["1", None, True])
@pytest.mark.parametrize("name", ["initial", "factor", "maximum", "jitter"])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(WrongType) as caught:
        Backoff(**{"initial": 1, name: value})
    assert f"{name} of a Backoff" in str(caught.value)


@pytest.mark.parametrize("made", [Times(3), ForEach([1, 2]), ParameterizedForEach()], ids=["times", "each", "given"])
def test_a_ready_made_retry_without_a_backoff_begins_at_once(made: Retry) -> None:
    assert made.delay_s(history(1), 0.0) == 0.0


@pytest.mark.parametrize(
    "made",
    [Times(9, backoff=Backoff(4)), ForEach([1, 2], backoff=Backoff(4)), ParameterizedForEach(backoff=Backoff(4))],
    ids=["times", "each", "given"],
)
def test_ready_made_retries_wait_as_their_backoff_says(made: Retry) -> None:
    assert [made.delay_s(history(failed), 0.0) for failed in (1, 2, 3)] == [4, 8, 16]


@pytest.mark.parametrize("make", [lambda **given: Times(3, **given), ParameterizedForEach])
def test_a_backoff_that_is_none_is_refused(make: Any) -> None:
    with pytest.raises(WrongType) as caught:
        make(name="again", backoff=5)
    assert "backoff of" in str(caught.value)
    assert "'again'" in str(caught.value)


def test_a_retry_of_a_user_waits_for_nothing_unless_it_says_so() -> None:
    class Own(Retry):
        def execute(self, history: History) -> None: ...

        def on_failure(self, history: History) -> Any: ...

    assert Own().delay_s(history(3), 0.5) == 0.0
