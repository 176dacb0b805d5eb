"""An attempt: what a task may know about the one it is in (`flowbook.current()`), and what one gave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from flowbook.clock import Clock
from flowbook.engines.core.run import PROGRESS
from flowbook.exceptions import InvalidState, NotPossible, WrongType
from flowbook.failure import Failure
from flowbook.secrets.masking import masked_json
from flowbook.states import Direction

Report = Callable[[Mapping[str, object]], None]


BEGAN = "!began"
"""The name under which an attempt that has a timeout reports that it has begun; the task hears nothing of it."""


class Context:
    """The attempt that is running: which run, atom, direction, round and attempt (from 1).

    ``timeout`` is how many seconds it may take; ``deadline`` is when they have passed, in seconds since the epoch by
    the clock of the process that it runs in. Both are None where there is no limit.
    """

    __slots__ = (
        "_clock",
        "_report",
        "_stop_wished",
        "atom",
        "attempt",
        "deadline",
        "direction",
        "round",
        "run",
        "timeout",
    )

    def __init__(
        self,
        run: str,
        atom: str,
        direction: Direction,
        round_: int,
        attempt: int,
        report: Report | None = None,
        timeout: float | None = None,
    ) -> None:
        self.timeout = timeout
        self.deadline: float | None = None
        self._clock: Clock | None = None
        self._stop_wished = False
        self.run = run
        self.atom = atom
        self.direction = direction
        self.round = round_
        self.attempt = attempt
        self._report = report

    @property
    def idempotency_key(self) -> str:
        """A text that is the same for every attempt of this atom in this round, and for no other."""
        parts = (self.run, self.atom, self.direction.value, self.round)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def update_progress(self, progress: float) -> None:
        """Record how far the attempt has come, from 0.0 to 1.0 (what lies outside is clamped)."""
        if self._report is not None:
            self._report({PROGRESS: min(1.0, max(0.0, float(progress)))})

    def annotate(self, **metadata: object) -> None:
        """Record something beside the atom: plain data under names of yours, the newest of each name; secrets masked.

        Raises WrongType for what is no JSON, and NotPossible for the name ``progress``.
        """
        if PROGRESS in metadata:
            raise NotPossible(f"{PROGRESS!r} is not annotated", todo="call update_progress")
        told = {}
        for name, value in metadata.items():
            try:
                told[name] = json.loads(masked_json(json.dumps(value, allow_nan=False)))  # a copy: the task may go on
            except (TypeError, ValueError, RecursionError):
                raise WrongType(f"{name!r} of {self.atom!r}", value, "plain data (JSON)") from None
        if self._report is not None:
            self._report(told)

    @property
    def stop_wished(self) -> bool:
        """Whether the attempt had better end: its deadline has passed, or its flow is cancelled.

        A task that takes long may look now and then, and end itself. Of a flow that is cancelled only an attempt hears
        that runs in the engine's process: in others it is ended.
        """
        is_late = self.deadline is not None and self._clock is not None and self._clock.now() >= self.deadline
        return self._stop_wished or is_late

    def wish_stop(self) -> None:
        """Let the task know that it had better end; called in any thread."""
        self._stop_wished = True

    def begin(self, clock: Clock) -> None:
        """Let the time of the attempt begin now, and report that."""
        assert self.timeout is not None  # else nobody counts
        self._clock, self.deadline = clock, clock.now() + self.timeout
        if self._report is not None:
            self._report({BEGAN: self.deadline})

    @property
    def report(self) -> Report | None:
        """What takes the progress and metadata of the attempt, if anything does."""
        return self._report

    def told_to(self, report: Report) -> Context:
        """Return the same attempt, whose progress and metadata ``report`` takes."""
        return Context(self.run, self.atom, self.direction, self.round, self.attempt, report, self.timeout)

    def __reduce__(self) -> tuple[type[Context], tuple[str, str, Direction, int, int, None, float | None]]:
        """Travel without the way back to this process's engine; who makes it travel sees to one."""
        return Context, (self.run, self.atom, self.direction, self.round, self.attempt, None, self.timeout)


class Outcome(NamedTuple):
    """What an attempt gave: a value, or a failure; and when it really began, if it did."""

    value: Any = None
    failure: Failure | None = None
    began_at: float | None = None


def uninterrupted(outcome: Outcome) -> Outcome:
    """Return an outcome; a KeyboardInterrupt in it is the user's and is raised, to stop the engine."""
    if outcome.failure is not None and isinstance(outcome.failure.exception, KeyboardInterrupt):
        raise outcome.failure.exception
    return outcome


CURRENT: Final[ContextVar[Context]] = ContextVar("flowbook.current")
"""The attempt that runs in this thread, or in this task of an event loop and those that it has begun."""


def current() -> Context:
    """Return the context of the attempt that runs in this thread, or, in a coroutine, in this task and those around it.

    Raises InvalidState outside of a task of flowbook's.
    """
    try:
        return CURRENT.get()
    except LookupError:
        raise InvalidState("ask for the current attempt", "no task runs in this thread") from None
