"""Flowbook: a workflow engine that never loses its place."""

from __future__ import annotations

from flowbook import engines
from flowbook.atoms import Retry, Task, task
from flowbook.engines.context import current
from flowbook.events import Notice
from flowbook.exceptions import FlowbookError, FlowFailed, StorageError, UsageError
from flowbook.failure import Failure, WrappedFailure
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow
from flowbook.states import AtomState, FlowState

__version__ = "0.1.0"

__all__ = [
    "AtomState",
    "Failure",
    "Flow",
    "FlowFailed",
    "FlowState",
    "FlowbookError",
    "GraphFlow",
    "LinearFlow",
    "Notice",
    "Retry",
    "StorageError",
    "Task",
    "UnorderedFlow",
    "UsageError",
    "WrappedFailure",
    "current",
    "engines",
    "task",
]
