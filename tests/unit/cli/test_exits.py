"""Each end has the exit code that the help tells."""

from __future__ import annotations

import re

import click
import pytest

from flowbook.cli.exits import EXIT_CODES, Exit, exit_of, exit_of_state
from flowbook.exceptions import FlowOwned, InternalError, NotFound, NotPossible, OwnershipLost, StorageUnavailable
from flowbook.states import FlowState


def test_the_help_tells_every_code() -> None:
    assert sorted(map(int, re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE))) == sorted(Exit)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (FlowState.SUCCESS, 0),
        (FlowState.FAILURE, 1),
        (FlowState.REVERTED, 3),
        (FlowState.SUSPENDED, 4),
        (FlowState.RUNNING, 4),  # nobody works on it: it can be resumed
    ],
)
def test_a_run_exits_by_its_state(state: FlowState, code: int) -> None:
    assert exit_of_state(state) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotPossible("no"), 2),
        (NotFound("run", "r1"), 2),
        (click.UsageError("no such option"), 2),
        (StorageUnavailable("sqlite:///x.db", "it is gone"), 5),
        (FlowOwned("flow:r1", "there:1", "today"), 6),
        (OwnershipLost("flow:r1", 1), 6),
        (InternalError(), 70),
        (RuntimeError("what nobody thought of"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_exits_by_who_can_mend_it(error: Exception, code: int) -> None:
    assert exit_of(error) == code
