"""TaskFlow's ``retry``: flowbook's retries with TaskFlow's constructors, constants and errors."""

import abc
from typing import Any

import flowbook.atoms as native
from flowbook.atoms import Decision as Decision
from flowbook.atoms import History as History
from flowbook.atoms.controllers import OneByOne
from flowbook.atoms.signature import read_parameters
from flowbook.taskflow.atom import Atom
from flowbook.taskflow.exceptions import NotFound

RETRY, REVERT, REVERT_ALL = Decision
EXECUTE_REVERT_HISTORY, REVERT_FLOW_FAILURES = "history", "flow_failures"


class Retry(Atom, native.Retry):
    """An atom that decides what happens when an atom of its flow fails; without a name it gets one from its flow."""

    _engine_gives = (EXECUTE_REVERT_HISTORY,)
    _engine_gives_to_revert = (EXECUTE_REVERT_HISTORY, REVERT_FLOW_FAILURES)

    @abc.abstractmethod
    def on_failure(self, *args: Any, **kwargs: Any) -> Decision:
        """Return RETRY, REVERT or REVERT_ALL; it is called with what execute is called with."""

    @property
    def on_failure_arguments(self) -> tuple[native.Argument, ...]:
        """What on_failure is called with, without ``history``."""
        takes = read_parameters(self.on_failure)
        return tuple(one for one in self.execute_arguments if takes.accept(one.name))


class AlwaysRevert(native.AlwaysRevert, Retry):
    """Revert the flow at its first failure."""


class AlwaysRevertAll(native.AlwaysRevertAll, Retry):
    """Revert everything at the first failure."""


class Times(native.Times, Retry):
    """Run the flow up to ``attempts`` times; each time it gives the number of the attempt, from 1."""


class ForEachBase(OneByOne, Retry):
    """A retry that gives one value after another."""

    def _nothing_left(self) -> Exception:
        return NotFound(f"No elements left for the retry {self.name} to try")


class ForEach(native.ForEach, ForEachBase):
    """Run the flow with each of the given values in turn."""


class ParameterizedForEach(native.ParameterizedForEach, ForEachBase):
    """Run the flow with each of the values that it is given as the argument ``values``."""
