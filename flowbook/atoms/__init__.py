"""Atoms: what flows are made of."""

from flowbook.atoms.base import Atom
from flowbook.atoms.retry import Decision, Retry
from flowbook.atoms.signature import Argument
from flowbook.atoms.task import FunctionTask, Task, task

__all__ = ["Argument", "Atom", "Decision", "FunctionTask", "Retry", "Task", "task"]
