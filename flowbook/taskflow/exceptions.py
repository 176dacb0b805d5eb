"""TaskFlow's ``exceptions``: its family of errors, and two classes of flowbook's own that `Failure` raises."""

import builtins
import sys
from traceback import format_exception_only
from typing import Any, NoReturn

from flowbook.failure import InvalidFormat as InvalidFormat
from flowbook.failure import WrappedFailure as WrappedFailure


class TaskFlowException(Exception):
    """Base of the errors below; ``cause`` is the exception that led to it, shown with the text."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause

    def __str__(self) -> str:
        return self.pformat()

    def pformat(self, indent: int = 2, indent_text: str = " ", show_root_class: bool = False) -> str:
        """Return the message, then the causes, none twice, each deeper by ``indent``; a foreign one is the last."""
        if indent < 0:
            raise ValueError(f"an indent cannot be negative: {indent}")
        lines: list[str] = []
        error: BaseException | None = self
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            if isinstance(error, TaskFlowException):
                text, cause = Exception.__str__(error), error.cause
                if error is not self or show_root_class:
                    text = f"{type(error).__name__}: {text}"
            else:
                text, cause = "".join(format_exception_only(error)), None
            lines += [indent_text * indent * len(seen) + line for line in text.splitlines()]
            seen.add(id(error))
            error = cause
        return "\n".join(lines)


def raise_with_cause(exc_cls: type[TaskFlowException], message: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise ``exc_cls``, a TaskFlowException, from the given ``cause``, else from the exception that is handled."""
    if not issubclass(exc_cls, TaskFlowException):
        raise ValueError(f"{exc_cls!r} is no subclass of TaskFlowException")
    kwargs.setdefault("cause", sys.exc_info()[1])
    raise exc_cls(message, *args, **kwargs) from kwargs["cause"]


class StorageFailure(TaskFlowException):
    """The backend could not read, write or delete."""


class ConductorFailure(TaskFlowException):
    """A conductor could not do its work."""


class JobFailure(TaskFlowException):
    """A job, or what was asked of it, failed."""


class UnclaimableJob(JobFailure):
    """Somebody holds the claim on this job."""


class ExecutionFailure(TaskFlowException):
    """The engine could not run the flow."""


class RequestTimeout(ExecutionFailure):
    """A worker did not answer in time."""


class InvalidState(ExecutionFailure):
    """The state machine does not allow this change of state."""


class DependencyFailure(TaskFlowException):
    """What atoms need and provide does not fit together."""


class AmbiguousDependency(DependencyFailure):
    """Several atoms could provide a symbol."""


class MissingDependencies(DependencyFailure):
    """Nothing provides ``missing_requirements``, which ``who`` needs for its ``method``."""

    def __init__(self, who: object, requirements: Any, cause: BaseException | None = None, method: str = "") -> None:
        whose = f"'{method}' method on '{who}'" if method else f"'{who}'"
        super().__init__(f"{whose} requires {requirements} but nothing provides them", cause)
        self.missing_requirements = requirements


class CompilationFailure(TaskFlowException):
    """The flow cannot be made into something that runs."""


class IncompatibleVersion(TaskFlowException):
    """Two versions, of atoms or of a server and us, do not go together."""


class Duplicate(TaskFlowException):
    """There is one of this name already."""


class NotFound(TaskFlowException):
    """There is none of this name."""


class Empty(TaskFlowException):
    """There is nothing in it."""


class MultipleChoices(TaskFlowException):
    """More than one fits, and none is to be preferred."""


class DisallowedAccess(TaskFlowException):
    """Storage does not give this away in the state that the atom is in."""


class NotImplementedError(builtins.NotImplementedError):
    """This is not offered here, which differs from a method that a subclass has forgotten."""
