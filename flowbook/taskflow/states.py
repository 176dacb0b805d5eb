"""TaskFlow's ``states``: names, and which may follow which, made from flowbook's transition tables."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Any

from flowbook.states import ATOM_TRANSITIONS, FLOW_TRANSITIONS, JOB_TRANSITIONS, AtomEvent
from flowbook.taskflow import exceptions as exc

# Plain strings: users store, print and compare them.
UNCLAIMED, CLAIMED, COMPLETE = "UNCLAIMED", "CLAIMED", "COMPLETE"
PENDING, RUNNING, SUCCESS, FAILURE = "PENDING", "RUNNING", "SUCCESS", "FAILURE"
REVERTING, REVERTED, REVERT_FAILURE, RETRYING = "REVERTING", "REVERTED", "REVERT_FAILURE", "RETRYING"
RESUMING, SUSPENDING, SUSPENDED = "RESUMING", "SUSPENDING", "SUSPENDED"
INTENTIONS = EXECUTE, IGNORE, REVERT, RETRY = "EXECUTE", "IGNORE", "REVERT", "RETRY"
ANALYZING, SCHEDULING, WAITING = "ANALYZING", "SCHEDULING", "WAITING"


Pairs = frozenset[tuple[str, str]]


def _pairs(table: Mapping[Any, StrEnum], *without: StrEnum) -> Pairs:  # of any of the tables
    """Return from where to where events lead, but for those ``without`` and those that change nothing."""
    rows = [(state, event, after) for (state, event), after in table.items() if event not in without]
    return frozenset((str(state), str(after)) for state, _, after in rows if state != after)


_ALLOWED_JOB_TRANSITIONS = _pairs(JOB_TRANSITIONS)
_ALLOWED_FLOW_TRANSITIONS = _pairs(FLOW_TRANSITIONS) | {(SUCCESS, RUNNING), (FAILURE, RUNNING)}  # without a reset
_AT_REST = (PENDING, FAILURE, SUCCESS, SUSPENDED, REVERTED)
_IGNORED_FLOW_TRANSITIONS = frozenset(product(_AT_REST, (SUSPENDING, SUSPENDED, RESUMING)))

# A reset that TaskFlow checks is that of an atom which has nothing left to revert.
_ALLOWED_RETRY_TRANSITIONS = _pairs(ATOM_TRANSITIONS, AtomEvent.RESET, AtomEvent.WITHDRAW)
_ALLOWED_RETRY_TRANSITIONS |= {(REVERTED, PENDING), (IGNORE, PENDING)}
_ALLOWED_TASK_TRANSITIONS = frozenset(pair for pair in _ALLOWED_RETRY_TRANSITIONS if RETRYING not in pair)


def check_job_transition(old_state: str, new_state: str) -> bool:
    """Return whether a job changes its state; raises InvalidState when it may not."""
    return _checked("Job", (old_state, new_state), _ALLOWED_JOB_TRANSITIONS)


def check_flow_transition(old_state: str, new_state: str) -> bool:
    """Return whether a flow changes its state, or stays as it is; raises InvalidState when it may not."""
    return _checked("Flow", (old_state, new_state), _ALLOWED_FLOW_TRANSITIONS, _IGNORED_FLOW_TRANSITIONS)


def check_task_transition(old_state: str, new_state: str) -> bool:
    """Return whether a task may change its state so."""
    return (old_state, new_state) in _ALLOWED_TASK_TRANSITIONS


def check_retry_transition(old_state: str, new_state: str) -> bool:
    """Return whether a retry may change its state so."""
    return (old_state, new_state) in _ALLOWED_RETRY_TRANSITIONS


def _checked(whose: str, change: tuple[str, str], allowed: Pairs, ignored: Pairs = frozenset()) -> bool:
    if change not in allowed and change not in ignored and change[0] != change[1]:
        raise exc.InvalidState(f"nothing leads a {whose.lower()} from {change[0]} to {change[1]}")
    return change in allowed
