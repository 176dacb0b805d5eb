"""The core against the reference, over many random flows, orders of completion, suspends and crashes.

A failure prints its seed, the smallest case that fails alike, and the command that plays it again.
"""

from __future__ import annotations

import os

import pytest

from flowbook.states import ATOM_TRANSITIONS, FLOW_TRANSITIONS, AtomEvent, AtomState, FlowEvent, FlowState
from simulation.drawing import Case, draw
from simulation.playing import Play
from simulation.records import RESETS, Move
from simulation.shrinking import failure_of, shrink

CHUNKS = 2
CASES_A_CHUNK = 5_000
CASES_A_CHUNK_IN_FULL = 50_000

# A new round resets what was reverted or ignored; all else is reset outside of the core, as flows are.
ROWS = {*ATOM_TRANSITIONS, *FLOW_TRANSITIONS}
OUTSIDE = {row for row in ROWS if row[1] in (AtomEvent.RESET, FlowEvent.RESET)} - RESETS
NEVER_STORED = {(FlowState.RESUMING, FlowEvent.RECOVER)}
REACHABLE = ROWS - OUTSIDE - NEVER_STORED
REACHABLE.add((AtomState.REVERTING, AtomEvent.WITHDRAW))


def play(seed: int) -> set[Move]:
    """Play the case of a seed; return the rows of the tables that it came by."""
    case = draw(seed)
    try:
        return Play(case).run().records.moves
    except Exception as error:
        raise AssertionError(told(case, error)) from error


def told(case: Case, error: Exception) -> str:
    """Return what is to be known of a failure."""

    def fails_alike(smaller: Case) -> bool:
        return type(failure_of(smaller)) is type(error)

    smallest = shrink(case, fails_alike)
    return (
        f"seed {case.seed}: {error!r}\n"
        f"smallest: {smallest}\n"
        f"which gives: {failure_of(smallest)!r}\n"
        f"replay: FLOWBOOK_SEED={case.seed} python -m pytest tests/simulation -k replay"
    )


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_core_does_what_the_reference_does(chunk: int, full: bool) -> None:
    cases = CASES_A_CHUNK_IN_FULL if full else CASES_A_CHUNK
    visited: set[Move] = set()
    for seed in range(chunk * cases, (chunk + 1) * cases):
        visited |= play(seed)
    assert visited == REACHABLE, visited ^ REACHABLE


@pytest.mark.parametrize("seed", [73428, 74849, 86749, 107029, 143923])
def test_what_was_decided_differently_once_is_not_any_more(seed: int) -> None:
    play(seed)


def test_replay_of_one_seed() -> None:
    play(int(os.environ.get("FLOWBOOK_SEED", "0")))
