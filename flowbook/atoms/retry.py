"""Retry: the atom that goes before a flow and decides what happens when an atom of that flow fails."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from flowbook.atoms.base import Atom, Kind
from flowbook.atoms.history import History
from flowbook.atoms.signature import AnyCallable, Argument, read_parameters
from flowbook.atoms.wiring import Method, Methods
from flowbook.exceptions import NotPossible

HISTORY = "history"
"""The parameter of this name gets what the retry gave before, and which failures came of it."""

_GIVEN = frozenset({HISTORY})
_GIVEN_TO_REVERT = frozenset({HISTORY, "flow_failures"})


class Decision(StrEnum):
    """What a retry says when an atom of its flow has failed."""

    RETRY = "RETRY"
    """Revert the flow and run it again."""

    REVERT = "REVERT"
    """Revert the flow, and ask the retry of the flow around it."""

    REVERT_ALL = "REVERT_ALL"
    """Revert everything, and ask nobody."""


class Retry(Atom):
    """An atom that decides: subclass it, write ``execute`` and ``on_failure``, give it to a flow.

    ``execute(history, …)`` runs before each round of the flow, and its result is what the retry provides.
    ``on_failure(history, …)`` returns a `Decision`. ``revert(history, flow_failures, …)`` may undo what
    ``execute`` did. ``delay_s(history, chance)`` may say how long to wait before the next round.
    A retry without a name gets the name of its flow and ``_retry``.
    """

    kind: ClassVar[Kind] = "retry"

    def __init_subclass__(cls, **kwargs: Any) -> None:  # as in Atom
        super().__init_subclass__(**kwargs)
        cls.has_revert = cls.revert is not Atom.revert

    def on_failure(self, *args: Any, **kwargs: Any) -> Decision:  # subclasses choose their parameters
        """Return what is to happen now."""
        raise NotImplementedError

    def delay_s(self, history: History, chance: float) -> float:
        """Return in how many seconds the next round may begin; asked when ``on_failure`` has said RETRY.

        What failed is reverted at once. The time is stored, so it counts across a suspend and a crash; no thread waits.
        ``chance`` is drawn from 0 to 1 for this pause.
        """
        return 0.0

    @property
    def on_failure_arguments(self) -> tuple[Argument, ...]:
        """What on_failure is called with, without ``history``."""
        return self._wiring.on_failure.arguments

    @property
    def on_failure_inject(self) -> Mapping[str, object]:
        """The fixed values that on_failure is called with, by argument."""
        return self._wiring.on_failure.inject

    def _methods(self) -> Methods:
        cls = type(self)
        for method in ("execute", "on_failure"):
            if getattr(cls, method) is getattr(Retry, method):
                raise NotPossible(f"{cls.__qualname__} has no {method}: a retry must say what it does")
        revert = Method(read_parameters(self.revert), _GIVEN_TO_REVERT) if cls.has_revert else None
        return Methods(_with_history(self.execute), revert, _with_history(self.on_failure))


def _with_history(function: AnyCallable) -> Method:
    parameters = read_parameters(function)
    if not parameters.accept(HISTORY):
        where = parameters.place
        raise NotPossible(f"{parameters} takes no {HISTORY!r}, which it is called with", where=where)
    return Method(parameters, _GIVEN)
