"""Commit policies: what waits in memory before it is committed, and what a crash may therefore take back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from typing import Final, Literal

from flowbook.exceptions import NotPossible
from flowbook.persistence.changes import Change, Delete, Put

MOST_WAITING: Final = 10_000
"""How many changes may wait under any policy: one commit is held in memory, and backends write it in one piece."""


@dataclass(frozen=True, slots=True)
class Every:
    """Commit when ``atoms`` attempts have ended, or ``seconds`` after the oldest end that waits, whichever is first.

    Raises NotPossible for less than one atom, or no time.
    """

    atoms: int
    seconds: float

    def __post_init__(self) -> None:
        """Check both."""
        if not isinstance(self.atoms, int) or isinstance(self.atoms, bool) or self.atoms < 1:
            raise NotPossible(f"atoms of a commit is {self.atoms!r}", todo="give a whole number of at least 1")
        if not isinstance(self.seconds, int | float) or not isfinite(self.seconds) or self.seconds <= 0:
            raise NotPossible(f"seconds of a commit is {self.seconds!r}", todo="give seconds above 0")


CommitPolicy = Literal["each", "end", "never"] | Every


def check_policy(policy: object) -> None:
    """Raise NotPossible for what is no commit policy."""
    if policy not in ("each", "end", "never") and not isinstance(policy, Every):
        raise NotPossible(
            f"commit is {policy!r}", todo="give 'each', 'end', 'never' or flowbook.Every(100, seconds=1.0)"
        )


class Waiting:
    """Decisions whose changes wait to be committed together; under ``each`` none ever waits."""

    def __init__(self, policy: CommitPolicy) -> None:
        self.gathers = policy != "each"
        self._every = policy if isinstance(policy, Every) else None
        self._decisions: list[Sequence[Change]] = []
        self._size = 0
        self._ended = 0
        self._ended_at = 0.0

    def add(self, changes: Sequence[Change], at: float) -> None:
        """Let the changes of a decision wait; ``at`` is the present time. An interrupt takes in all of them or none."""
        self._decisions.append(changes)
        self._size += len(changes)
        ended = sum(change.kind == "attempt" for change in changes)
        if ended and not self._ended:
            self._ended_at = at
        self._ended += ended

    @property
    def due_at(self) -> float | None:
        """When what waits is to be committed at the latest; None when it may wait for more."""
        return self._ended_at + self._every.seconds if self._every is not None and self._ended else None

    def is_due(self, at: float) -> bool:
        """Return whether what waits is to be committed now."""
        if self._every is None:
            return self._size >= MOST_WAITING
        due_at = self.due_at
        return self._ended >= self._every.atoms or self._size >= MOST_WAITING or (due_at is not None and at >= due_at)

    def take(self) -> list[Change]:
        """Return all changes that waited, each record as it is by now, in their order; nothing waits any more."""
        decisions, self._decisions, self._size, self._ended = self._decisions, [], 0, 0
        taken: list[Change] = []
        place_of: dict[tuple[str, str], int] = {}  # where a record's last Put stands
        for change in chain.from_iterable(decisions):
            record = (change.kind, change.key)
            place = place_of.get(record)
            if isinstance(change, Put):
                if place is not None:
                    taken[place] = change
                    continue
                place_of[record] = len(taken)
            elif isinstance(change, Delete):
                place_of.pop(record, None)
            taken.append(change)
        return taken
