"""Retries that are ready to use: give up at once, try a number of times, or try one value after another."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from flowbook.atoms.backoff import Backoff
from flowbook.atoms.history import History
from flowbook.atoms.retry import Decision, Retry
from flowbook.atoms.signature import definition_of, place_at
from flowbook.atoms.wiring import Names, Rebind
from flowbook.exceptions import NotPossible, WrongType


class _ReadyMade(Retry):
    """A retry that stands where its user makes it, unless a subclass has an ``execute`` of its own."""

    _made_at: tuple[str, int] = ("", 0)

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Note where the retry is made: the caller's frame."""
        self = super().__new__(cls)
        caller = sys._getframe(1)
        self._made_at = (caller.f_code.co_filename, caller.f_lineno)
        return self

    @property
    def place(self) -> str:
        """Where the retry is made or, with an execute of its own, where that is defined, as ``file:line``."""
        return place_at(*self._made_at) if definition_of(self.execute)[0] == __file__ else super().place


class _AtOnce(_ReadyMade):
    """A retry that never tries again."""

    _revert_action: ClassVar[Decision]

    def execute(self, history: History, *args: Any, **kwargs: Any) -> Any:  # subclasses may take and give more
        """Give nothing."""

    def on_failure(self, history: History, *args: Any, **kwargs: Any) -> Decision:  # as above
        """Return the one decision that it knows."""
        return self._revert_action


class AlwaysRevert(_AtOnce):
    """Revert the flow at its first failure, unless the retry of the flow around it decides otherwise."""

    _revert_action = Decision.REVERT


class AlwaysRevertAll(_AtOnce):
    """Revert everything at the first failure, and ask no other retry."""

    _revert_action = Decision.REVERT_ALL


class _Limited(_ReadyMade):
    """A retry that gives up at some time: by REVERT, or by REVERT_ALL with ``revert_all``.

    ``backoff`` says how long it waits before each further round; without one it does not wait.
    """

    def __init__(
        self,
        name: str | None = None,
        provides: Names | None = None,
        requires: Names | None = None,
        auto_extract: bool = True,
        rebind: Rebind | None = None,
        revert_all: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(name, provides, requires, auto_extract, rebind)
        if backoff is not None and not isinstance(backoff, Backoff):
            raise WrongType(f"backoff of {self!r}", backoff, "a Backoff, as in Backoff(1, maximum=60)")
        self._revert_action = Decision.REVERT_ALL if revert_all else Decision.REVERT
        self._backoff = backoff

    def delay_s(self, history: History, chance: float) -> float:
        """Return the pause that the backoff makes after so many rounds."""
        return 0.0 if self._backoff is None else self._backoff.pause_s(len(history), chance)


class Times(_Limited):
    """Run the flow up to ``attempts`` times; each time it gives the number of the attempt, from 1.

    After the last attempt the flow is reverted, with ``revert_all`` everything. A ``backoff`` makes pauses in between.
    """

    def __init__(
        self,
        attempts: int = 1,
        name: str | None = None,
        provides: Names | None = None,
        requires: Names | None = None,
        auto_extract: bool = True,
        rebind: Rebind | None = None,
        revert_all: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(name, provides, requires, auto_extract, rebind, revert_all, backoff)
        if isinstance(attempts, bool) or not isinstance(attempts, int):
            raise WrongType(f"attempts of {self!r}", attempts, "a whole number")
        self._attempts = attempts

    @property
    def attempts(self) -> int:
        """How often the flow is run at most."""
        return self._attempts

    def execute(self, history: History, *args: Any, **kwargs: Any) -> Any:  # subclasses may take and give more
        """Return the number of the attempt that begins now."""
        return len(history) + 1

    def on_failure(self, history: History, *args: Any, **kwargs: Any) -> Decision:  # as above
        """Return RETRY while there are attempts left."""
        return Decision.RETRY if len(history) < self._attempts else self._revert_action


class OneByOne(_Limited):
    """A retry that gives one value after another, each as often as it is in the list."""

    def _next_value(self, values: Iterable[object], history: History) -> object:
        left = self._left(values, history)
        if not left:
            raise self._nothing_left()
        return left[0]

    def _decided(self, values: Iterable[object], history: History) -> Decision:
        return Decision.RETRY if self._left(values, history) else self._revert_action

    def _left(self, values: Iterable[object], history: History) -> list[object]:
        """Return the values without those that were tried, each taken out once per try; none need be hashable."""
        left = list(values)
        for tried in history.provided_iter():
            if tried in left:
                left.remove(tried)
        return left

    def _nothing_left(self) -> Exception:
        return NotPossible(f"retry {self.name!r} has no value left to try", todo="give it more values")


class ForEach(OneByOne):
    """Run the flow with each of ``values`` in turn, which it gives, until one run succeeds.

    After the last value the flow is reverted, with ``revert_all`` everything. A ``backoff`` makes pauses in between.
    """

    def __init__(
        self,
        values: Iterable[object],
        name: str | None = None,
        provides: Names | None = None,
        requires: Names | None = None,
        auto_extract: bool = True,
        rebind: Rebind | None = None,
        revert_all: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(name, provides, requires, auto_extract, rebind, revert_all, backoff)
        self._values = _listed(values, f"values of {self!r}")

    def execute(self, history: History, *args: Any, **kwargs: Any) -> Any:  # subclasses may take and give more
        """Return the first value that is left. Raises NotPossible when none is."""
        return self._next_value(self._values, history)

    def on_failure(self, history: History, *args: Any, **kwargs: Any) -> Decision:  # as above
        """Return RETRY while there are values left."""
        return self._decided(self._values, history)


class ParameterizedForEach(OneByOne):
    """Like `ForEach`, with values that the flow provides: it takes them as the argument ``values``."""

    def execute(self, values: Any, history: History, *args: Any, **kwargs: Any) -> Any:  # as in ForEach
        """Return the first value that is left. Raises NotPossible when none is."""
        return self._next_value(_listed(values, f"values of {self!r}"), history)

    def on_failure(self, values: Any, history: History, *args: Any, **kwargs: Any) -> Decision:  # as above
        """Return RETRY while there are values left."""
        return self._decided(_listed(values, f"values of {self!r}"), history)


def _listed(values: object, what: str) -> tuple[object, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise WrongType(what, values, "a list of values")
    return tuple(values)
