"""States, events and transition tables of flows, atoms and jobs: data only.

Code, diagrams, documentation and tests are made from these tables. A state without a row is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from flowbook.exceptions import InvalidTransition


class AtomState(StrEnum):
    """Where an atom is; an atom without a record is PENDING."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVERTING = "REVERTING"
    REVERTED = "REVERTED"
    REVERT_FAILURE = "REVERT_FAILURE"
    RETRYING = "RETRYING"
    IGNORE = "IGNORE"


class FlowState(StrEnum):
    """Where a flow is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDING = "SUSPENDING"
    SUSPENDED = "SUSPENDED"
    RESUMING = "RESUMING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVERTED = "REVERTED"


class Direction(StrEnum):
    """Which of an atom's two methods an attempt calls."""

    EXECUTE = "EXECUTE"
    REVERT = "REVERT"


EXECUTE: Final = Direction.EXECUTE
REVERT: Final = Direction.REVERT
"""The directions by names of their own: looking a member up costs more than a dict does, up to Python 3.11."""


class Intention(StrEnum):
    """What is to become of a scope's atoms; written once a scope, not once an atom."""

    EXECUTE = "EXECUTE"
    REVERT = "REVERT"
    RETRY = "RETRY"
    IGNORE = "IGNORE"


class AtomEvent(StrEnum):
    """What may happen to an atom."""

    START = "START"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    REVERT = "REVERT"
    REVERT_SUCCEED = "REVERT_SUCCEED"
    REVERT_FAIL = "REVERT_FAIL"
    RETRY = "RETRY"
    IGNORE = "IGNORE"
    RESET = "RESET"
    WITHDRAW = "WITHDRAW"


class FlowEvent(StrEnum):
    """What may happen to a flow."""

    BEGIN = "BEGIN"
    SUSPEND = "SUSPEND"
    DRAIN = "DRAIN"
    FINISH = "FINISH"
    FAIL = "FAIL"
    REVERT = "REVERT"
    RECOVER = "RECOVER"
    RECOVERED = "RECOVERED"
    RESET = "RESET"


class JobState(StrEnum):
    """Where a job is."""

    UNCLAIMED = "UNCLAIMED"
    CLAIMED = "CLAIMED"
    COMPLETE = "COMPLETE"


class JobEvent(StrEnum):
    """What may happen to a job."""

    CLAIM = "CLAIM"
    ABANDON = "ABANDON"
    CONSUME = "CONSUME"


_A, _E = AtomState, AtomEvent
_F, _V = FlowState, FlowEvent

ATOM_TRANSITIONS: Final[Mapping[tuple[AtomState, AtomEvent], AtomState]] = {
    (_A.PENDING, _E.START): _A.RUNNING,
    (_A.PENDING, _E.IGNORE): _A.IGNORE,  # a decider said no
    (_A.RUNNING, _E.START): _A.RUNNING,  # again: its owner stopped between start and commit
    (_A.RUNNING, _E.SUCCEED): _A.SUCCESS,
    (_A.RUNNING, _E.FAIL): _A.FAILURE,  # kept until a retry or a revert takes it up
    (_A.RUNNING, _E.WITHDRAW): _A.PENDING,  # committed, never performed: a suspend came first
    (_A.SUCCESS, _E.REVERT): _A.REVERTING,
    (_A.FAILURE, _E.REVERT): _A.REVERTING,
    (_A.REVERTING, _E.REVERT): _A.REVERTING,  # again: its owner stopped between start and commit
    (_A.REVERTING, _E.REVERT_SUCCEED): _A.REVERTED,
    (_A.REVERTING, _E.REVERT_FAIL): _A.REVERT_FAILURE,
    (_A.SUCCESS, _E.RETRY): _A.RETRYING,  # its scope is reverted and goes again
    (_A.RETRYING, _E.START): _A.RUNNING,
    **{(state, _E.RESET): _A.PENDING for state in AtomState if state is not _A.PENDING},
}
"""Where an event leads an atom. REVERTING by WITHDRAW leads back to what it was (SUCCESS or FAILURE)."""

TASK_TRANSITIONS: Final = {row: then for row, then in ATOM_TRANSITIONS.items() if _A.RETRYING not in (row[0], then)}
"""The rows that a task has too: retries alone are RETRYING."""

FLOW_TRANSITIONS: Final[Mapping[tuple[FlowState, FlowEvent], FlowState]] = {
    (_F.PENDING, _V.BEGIN): _F.RUNNING,
    (_F.SUSPENDED, _V.BEGIN): _F.RUNNING,
    (_F.RUNNING, _V.RECOVER): _F.RESUMING,  # found so: its owner is gone
    (_F.SUSPENDING, _V.RECOVER): _F.RESUMING,
    (_F.RESUMING, _V.RECOVER): _F.RESUMING,
    (_F.RESUMING, _V.RECOVERED): _F.SUSPENDED,
    (_F.RUNNING, _V.SUSPEND): _F.SUSPENDING,
    (_F.SUSPENDING, _V.DRAIN): _F.SUSPENDED,
    (_F.RUNNING, _V.FINISH): _F.SUCCESS,
    (_F.SUSPENDING, _V.FINISH): _F.SUCCESS,
    (_F.RUNNING, _V.FAIL): _F.FAILURE,
    (_F.SUSPENDING, _V.FAIL): _F.FAILURE,
    (_F.RUNNING, _V.REVERT): _F.REVERTED,
    (_F.SUSPENDING, _V.REVERT): _F.REVERTED,
    (_F.SUCCESS, _V.RESET): _F.PENDING,
    (_F.FAILURE, _V.RESET): _F.PENDING,
    (_F.REVERTED, _V.RESET): _F.PENDING,
    (_F.SUSPENDED, _V.RESET): _F.PENDING,
}

JOB_TRANSITIONS: Final[Mapping[tuple[JobState, JobEvent], JobState]] = {
    (JobState.UNCLAIMED, JobEvent.CLAIM): JobState.CLAIMED,
    (JobState.CLAIMED, JobEvent.ABANDON): JobState.UNCLAIMED,
    (JobState.CLAIMED, JobEvent.CONSUME): JobState.COMPLETE,
}

FINISHED: Final = frozenset({_F.SUCCESS, _F.FAILURE, _F.REVERTED})
"""The states that a run ends in; only a rerun leads on from them."""

UNFINISHED_ATOMS: Final = frozenset({_A.RUNNING, _A.REVERTING})
"""States in which a dead owner left an atom interrupted."""


def atom_after(state: AtomState, event: AtomEvent) -> AtomState:
    """Return where ``event`` leads an atom. Raises InvalidTransition when the table has no such row."""
    try:
        return ATOM_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(state, event) from None


def flow_after(state: FlowState, event: FlowEvent) -> FlowState:
    """Return where ``event`` leads a flow. Raises InvalidTransition when the table has no such row."""
    try:
        return FLOW_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(state, event) from None
