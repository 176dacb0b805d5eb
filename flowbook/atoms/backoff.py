"""Backoff: how long a retry waits before it begins another round."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

from flowbook.exceptions import NotPossible, WrongType


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between rounds, in seconds: ``initial`` at first, then each ``factor`` times as long, up to ``maximum``.

    ``jitter`` is the share of a pause that is left to chance, from 0 (none of it) to 1: with 0.5 a pause takes between
    half of its length and all of it. So those that failed together do not come back together.

    >>> [Backoff(1, maximum=5).pause_s(failed, chance=0.0) for failed in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]

    Raises WrongType for what is no number, and NotPossible for numbers that make no pause.
    """

    initial: float
    factor: float = 2.0
    maximum: float = 300.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what makes no pause."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise WrongType(f"{field.name} of a Backoff", value, "a number")
        _refuse_unless(isfinite(self.initial) and self.initial >= 0, "initial", self.initial, "seconds from 0")
        _refuse_unless(isfinite(self.factor) and self.factor >= 1, "factor", self.factor, "1 or more")
        enough = isfinite(self.maximum) and self.maximum >= self.initial
        _refuse_unless(enough, "maximum", self.maximum, f"seconds, from {self.initial}, which is the first pause")
        _refuse_unless(0 <= self.jitter <= 1, "jitter", self.jitter, "a share of the pause, from 0 to 1")

    def pause_s(self, failed: int, chance: float) -> float:
        """Return how long to wait after so many rounds have failed (from 1), in seconds.

        ``chance`` is drawn from 0 to 1, anew for each pause; what is left to it comes off the pause.
        """
        try:
            pause_s = min(self.maximum, self.initial * self.factor ** (failed - 1))
        except OverflowError:
            pause_s = self.maximum
        return pause_s * (1.0 - self.jitter * chance)


def _refuse_unless(fits: bool, name: str, value: float, wanted: str) -> None:
    if not fits:
        raise NotPossible(f"{name} of a Backoff is {value!r}", todo=f"give {wanted}")
