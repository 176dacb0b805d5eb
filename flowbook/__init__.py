"""Flowbook: a workflow engine that never loses its place."""

from __future__ import annotations

from flowbook import engines
from flowbook.atoms import (
    AlwaysRevert,
    AlwaysRevertAll,
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
    "Decision",
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
