"""Exit codes: what a shell learns about how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import click

from flowbook.exceptions import FlowFailed, FlowOwned, NotFound, OwnershipLost, StorageError, TooLarge, UsageError
from flowbook.states import FlowState


class Exit(IntEnum):
    """What ``flowbook`` exits with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REVERTED = 3
    SUSPENDED = 4
    STORAGE = 5
    OWNED = 6
    INTERNAL = 70
    WAITED = 124
    INTERRUPTED = 130


EXIT_CODES: Final = """\b
Exit codes:
  0    it worked; of run, resume and watch --exit-status: the run ended in SUCCESS
  1    the run ended in FAILURE
  2    something on the command line, or in the flow's code, is wrong
  3    the run failed and was REVERTED
  4    the run is SUSPENDED, or nobody works on it any more, and can be resumed
  5    the storage cannot be reached, read or written, or what was asked for cannot be written to stdout
  6    the run is claimed by another living owner
  70   flowbook's own mistake
  124  of watch, suspend and cancel: --timeout has passed, and the run still goes on
  130  interrupted by a second Ctrl-C or SIGTERM: the run can be resumed; of watch, suspend, cancel and resume --wait:
       by the first, and the run goes on
"""

_OF_STATE: Final[Mapping[FlowState, Exit]] = {
    FlowState.SUCCESS: Exit.OK,
    FlowState.FAILURE: Exit.FAILED,
    FlowState.REVERTED: Exit.REVERTED,
}

_OF_ERROR: Final[Mapping[type[Exception], Exit]] = {  # the first that fits counts
    FlowOwned: Exit.OWNED,
    OwnershipLost: Exit.OWNED,
    NotFound: Exit.USAGE,
    TooLarge: Exit.USAGE,
    UsageError: Exit.USAGE,
    click.ClickException: Exit.USAGE,
    StorageError: Exit.STORAGE,
    FlowFailed: Exit.FAILED,
}


def exit_of_state(state: FlowState) -> Exit:
    """Return the exit code of a run that stopped in ``state``."""
    return _OF_STATE.get(state, Exit.SUSPENDED)


def exit_of(error: BaseException) -> Exit:
    """Return the exit code of an error."""
    return next((code for kind, code in _OF_ERROR.items() if isinstance(error, kind)), Exit.INTERNAL)
