"""Flowbook: a workflow engine that never loses its place.

What stands here is imported when it is first used: a command line, and a shell that completes one, need little of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowbook.lazy import offering

if TYPE_CHECKING:
    from flowbook import engines
    from flowbook.atoms import (
        AlwaysRevert,
        AlwaysRevertAll,
        Backoff,
        Decision,
        ForEach,
        History,
        MapFunctorTask,
        ParameterizedForEach,
        ReduceFunctorTask,
        Retry,
        Task,
        Times,
        task,
    )
    from flowbook.engines.commits import Every
    from flowbook.engines.context import current
    from flowbook.events import Notice
    from flowbook.exceptions import FlowbookError, FlowFailed, StorageError, UsageError
    from flowbook.failure import Failure, WrappedFailure
    from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow
    from flowbook.states import AtomState, FlowState

__version__ = "0.1.0"

__all__ = [
    "AlwaysRevert",
    "AlwaysRevertAll",
    "AtomState",
    "Backoff",
    "Decision",
    "Every",
    "Failure",
    "Flow",
    "FlowFailed",
    "FlowState",
    "FlowbookError",
    "ForEach",
    "GraphFlow",
    "History",
    "LinearFlow",
    "MapFunctorTask",
    "Notice",
    "ParameterizedForEach",
    "ReduceFunctorTask",
    "Retry",
    "StorageError",
    "Task",
    "Times",
    "UnorderedFlow",
    "UsageError",
    "WrappedFailure",
    "current",
    "engines",
    "task",
]

if not TYPE_CHECKING:
    __getattr__ = offering(
        __name__,
        {
            "flowbook.atoms": (
                *("AlwaysRevert", "AlwaysRevertAll", "Backoff", "Decision", "ForEach", "History", "MapFunctorTask"),
                *("ParameterizedForEach", "ReduceFunctorTask", "Retry", "Task", "Times", "task"),
            ),
            "flowbook.engines.commits": ("Every",),
            "flowbook.engines.context": ("current",),
            "flowbook.events": ("Notice",),
            "flowbook.exceptions": ("FlowbookError", "FlowFailed", "StorageError", "UsageError"),
            "flowbook.failure": ("Failure", "WrappedFailure"),
            "flowbook.flows": ("Flow", "GraphFlow", "LinearFlow", "UnorderedFlow"),
            "flowbook.states": ("AtomState", "FlowState"),
        },
        ("atoms", "engines", "events", "exceptions", "failure", "flows", "persistence", "states"),
    )


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
