"""Atoms: what flows are made of."""

from flowbook.atoms.backoff import Backoff
from flowbook.atoms.base import Atom
from flowbook.atoms.controllers import AlwaysRevert, AlwaysRevertAll, ForEach, ParameterizedForEach, Times
from flowbook.atoms.functors import MapFunctorTask, ReduceFunctorTask
from flowbook.atoms.history import History
from flowbook.atoms.retry import Decision, Retry
from flowbook.atoms.signature import Argument
from flowbook.atoms.task import FunctionTask, Task, task

__all__ = [
    "AlwaysRevert",
    "AlwaysRevertAll",
    "Argument",
    "Atom",
    "Backoff",
    "Decision",
    "ForEach",
    "FunctionTask",
    "History",
    "MapFunctorTask",
    "ParameterizedForEach",
    "ReduceFunctorTask",
    "Retry",
    "Task",
    "Times",
    "task",
]
