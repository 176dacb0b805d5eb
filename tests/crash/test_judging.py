"""The judge of crashes lets pass what may be done again, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from crash.flows import Line
from crash.judging import judge


def line(atom: str, attempt: int, pid: int) -> Line:
    return Line(direction="EXECUTE", atom=atom, round=0, attempt=attempt, pid=pid, key=f"key of {atom}")


def look(lines: int, **states: str) -> dict[str, Any]:
    return {"lines": lines, "atoms": {atom: [state, 1, 0, 0] for atom, state in states.items()}}


LINES = [line("a", 1, 1), line("b", 1, 2), line("a", 2, 3)]
ANSWER = {
    "ended": "well",
    "attempts": [
        ["a", "EXECUTE", 0, 1, "INTERRUPTED"],
        ["b", "EXECUTE", 0, 1, "SUCCESS"],
        ["a", "EXECUTE", 0, 2, "SUCCESS"],
    ],
}


def test_what_was_in_flight_and_was_not_begun_by_the_next_owner_may_be_done_by_a_third() -> None:
    looks = [look(1, a="RUNNING"), look(2, a="PENDING", b="SUCCESS")]
    assert judge(ANSWER, ANSWER, looks, LINES, LINES[:2])["redone"] == 1


@pytest.mark.parametrize("first", ["PENDING", "SUCCESS"])
@pytest.mark.parametrize("second", ["PENDING", "RUNNING", "SUCCESS"])
def test_what_was_not_in_flight_when_its_owner_crashed_may_not(first: str, second: str) -> None:
    with pytest.raises(AssertionError, match=r"done before|when its owner crashed"):
        judge(ANSWER, ANSWER, [look(1, a=first), look(2, a=second, b="SUCCESS")], LINES, LINES[:2])


def test_what_was_saved_meanwhile_may_not_either() -> None:
    with pytest.raises(AssertionError, match="when its owner crashed"):
        judge(ANSWER, ANSWER, [look(1, a="RUNNING"), look(2, a="SUCCESS", b="SUCCESS")], LINES, LINES[:2])
