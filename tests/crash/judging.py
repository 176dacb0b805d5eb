"""Whether a run that crashed ended as one that did not, and did nothing twice that was saved."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from crash.flows import Line

SAVED = {
    "EXECUTE": {"SUCCESS", "FAILURE", "REVERTING", "REVERTED", "REVERT_FAILURE"},
    "REVERT": {"REVERTED", "REVERT_FAILURE"},
}
"""The states in which an attempt of each direction is over for good."""

IN_FLIGHT = {"RUNNING": "EXECUTE", "REVERTING": "REVERT"}


def judge(
    expected: dict[str, Any],
    answer: dict[str, Any],
    looks: Sequence[dict[str, Any]],
    lines: Sequence[Line],
    expected_lines: Sequence[Line],
) -> Counter[str]:
    """Compare a run with one that did not crash; return how many attempts were interrupted and how many redone.

    ``looks`` is what each entry after a crash found. Raises AssertionError.
    """
    assert answer["ended"] == expected["ended"]
    assert {line.what for line in lines} == {line.what for line in expected_lines}
    _nothing_saved_is_redone(looks, lines)
    _attempts_count_up(lines)
    interrupted = _interruptions_are_told(looks, answer["attempts"])
    _every_attempt_is_told_once(answer["attempts"], lines)
    return Counter(interrupted=interrupted, redone=len(lines) - len({line.what for line in lines}))


def judge_saved(
    expected: dict[str, Any],
    answer: dict[str, Any],
    found: dict[str, Any],
    lines: Sequence[Line],
    expected_lines: Sequence[Line],
) -> Counter[str]:
    """Compare a run whose commits waited with one that did not crash; ``found`` is what the crash left.

    What was saved is not done again; what waited is, under the same idempotency key.
    """
    assert answer["ended"] == expected["ended"]
    assert {line.what for line in lines} == {line.what for line in expected_lines}
    for line in lines[found["lines"] :]:
        state = _state_of(line, found)
        assert state not in SAVED[line.direction], f"{line} was {state} when its owner crashed"
    assert len({line.key for line in lines}) == len({line.what for line in lines}), "keys differ between attempts"
    return Counter(redone=len(lines) - len({line.what for line in lines}))


def _nothing_saved_is_redone(looks: Sequence[dict[str, Any]], lines: Sequence[Line]) -> None:
    for found in looks:
        for line in lines[found["lines"] :]:
            state = _state_of(line, found)
            assert state not in SAVED[line.direction], f"{line} was {state} when its owner crashed"
    last: dict[tuple[str, str, int], int] = {}
    for at, line in enumerate(lines):
        before = last.get(line.what)
        last[line.what] = at
        for found in [found for found in looks if before is not None and before < found["lines"] <= at][:1]:
            state = _state_of(
                line, found
            )  # when the owner crashed that did it before; a later one may not have begun it
            assert IN_FLIGHT.get(state) == line.direction, f"{line} was done before, and is {state}"
    for part in _between(looks, lines):
        twice = [what for what, count in Counter(line.what for line in part).items() if count > 1]
        assert not twice, f"{twice} done twice by one owner"


def _state_of(line: Line, found: dict[str, Any]) -> str:
    """Return the state in which a look found what a line is of; of an earlier round it is none: a rerun has begun."""
    state, *_, round_ = found["atoms"].get(line.atom, ("PENDING", 0))
    return str(state) if round_ == line.round else "PENDING"


def _between(looks: Sequence[dict[str, Any]], lines: Sequence[Line]) -> list[Sequence[Line]]:
    cuts = [0, *[found["lines"] for found in looks], len(lines)]
    return [lines[start:end] for start, end in pairwise(cuts)]


def _attempts_count_up(lines: Sequence[Line]) -> None:
    by_what: dict[tuple[str, str, int], list[Line]] = defaultdict(list)
    for line in lines:
        by_what[line.what].append(line)
    for what, same in by_what.items():
        attempts = [line.attempt for line in same]
        assert attempts == sorted(set(attempts)), f"attempts {attempts} of {what}"
        assert len({line.key for line in same}) == 1, f"several idempotency keys of {what}"
    assert len({same[0].key for same in by_what.values()}) == len(by_what), "two share an idempotency key"


def _interruptions_are_told(looks: Sequence[dict[str, Any]], attempts: Sequence[Sequence[Any]]) -> int:
    """Check that the history has as interrupted what the crashes found in flight, and nothing else."""
    found = {
        (atom, IN_FLIGHT[state], round_, reverts if state == "REVERTING" else executes)
        for look in looks
        for atom, (state, executes, reverts, round_) in look["atoms"].items()
        if state in IN_FLIGHT
    }
    told = [(atom, way, round_, n) for atom, way, round_, n, outcome in attempts if outcome == "INTERRUPTED"]
    assert sorted(told) == sorted(found)
    return len(told)


def _every_attempt_is_told_once(attempts: Sequence[Sequence[Any]], lines: Sequence[Line]) -> None:
    history: dict[tuple[str, str, int], list[tuple[int, str]]] = defaultdict(list)
    for atom, way, round_, number, outcome in attempts:
        history[way, atom, round_].append((number, outcome))
    for what, told in history.items():
        assert [number for number, _ in told] == list(range(1, len(told) + 1)), f"{what}: {told}"
        outcomes = [outcome for _, outcome in told]
        assert set(outcomes[:-1]) <= {"INTERRUPTED"}, f"{what}: {told}"
        assert outcomes[-1] in ("SUCCESS", "FAILURE"), f"{what}: {told}"
    known = {(what, number) for what, told in history.items() for number, _ in told}
    assert {(line.what, line.attempt) for line in lines} <= known
