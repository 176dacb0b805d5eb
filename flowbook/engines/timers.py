"""Timers and limits: until when the loop may wait, and what is to end when time has passed or somebody wishes it.

Nothing sleeps in a thread: the loop waits for its inbox until the first of these times.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Final

from flowbook.clock import Clock
from flowbook.engines.attempts import Attempts
from flowbook.engines.context import Outcome
from flowbook.engines.core.messages import Begin, Cancel, Message, Start, Woke
from flowbook.engines.core.run import Run
from flowbook.engines.core.selection import next_waking
from flowbook.engines.errors import AtomCancelled, AtomTimedOut
from flowbook.engines.inbox import Finished
from flowbook.engines.results import CANCELLED, TIMED_OUT
from flowbook.engines.storage import Storage
from flowbook.exceptions import FlowFailed
from flowbook.failure import Failure
from flowbook.flows.plan import ROOT

LOG = logging.getLogger("flowbook")

LOOK_AGAIN_S: Final = 10.0
"""The longest wait while something is due at a time of the clock, which may be set forward meanwhile."""


class Timers:
    """What is due at which time in one entry to a run, and what was ended because of that."""

    def __init__(self, storage: Storage, attempts: Attempts, clock: Clock, timeout: float | None = None) -> None:
        self._storage = storage
        self._attempts = attempts
        self._clock = clock
        self._timeout = timeout  # of a flow that has no deadline yet
        self._limits: list[tuple[float, int, Start]] = []  # a heap: when which attempt is to have ended
        self._numbers = count()
        self.ended: dict[Start, FlowFailed] = {}  # the attempts that were stopped, and why
        self.has_deadline = False
        attempts.refuses = False

    def begin(self, run: Run, *, cancels: bool) -> list[Message]:
        """Return what the core hears first: the run is entered, and cancelled if that was asked for or it is too late.

        The deadline of the flow stands in its row from the first time on that a round is entered.
        """
        now = self._clock.now()
        if self._timeout is not None:
            run.flow_row.setdefault("deadline", now + self._timeout)
        self.has_deadline = "deadline" in run.flow_row
        return [Begin(now), *([self.cancel()] if cancels else self.due(run))]

    def began(self, start: Start) -> None:
        """Take note that an attempt that has a timeout has begun; one that has ended by now needs no timer."""
        timeout = self._storage.plan.atom(start.node).timeout
        if timeout is not None and self._attempts.runs(start):
            heappush(self._limits, (self._clock.now() + timeout, next(self._numbers), start))

    def patience_s(self, run: Run) -> float | None:
        """Return how long to wait for something to happen, in seconds; None where nothing is due at any time.

        Attempts that have had their time are stopped first.
        """
        if self._limits:
            self._stop_late()
        elif not (run.parked or self.has_deadline or self._storage.gathers):
            return None
        due = [at for at in (next_waking(run), self._storage.due_at, _deadline(run)) if at is not None]
        if self._limits:
            due.append(self._limits[0][0])
        return min(LOOK_AGAIN_S, max(0.0, min(due) - self._clock.now())) if due else None

    def due(self, run: Run) -> Sequence[Message]:
        """Return what the core is to hear because of the time: that the flow is cancelled, when it has had its own."""
        deadline = _deadline(run)
        if deadline is None or self._clock.now() < deadline:
            return ()
        return (self.cancel(reason=TIMED_OUT),)

    def woke(self) -> Woke:
        """Return the message that time has passed."""
        return Woke(self._clock.now())

    def cancel(self, starts: Sequence[Start] = (), reason: str = CANCELLED) -> Cancel:
        """Return the wish to cancel, with ``starts`` and what is queued withdrawn."""
        return Cancel(self._clock.now(), reason, [*starts, *self._attempts.cancel_queued()])

    def stop_all(self, run: Run) -> None:
        """Stop what runs in a flow that is cancelled, once; what cannot be stopped is waited for, and a line says so.

        From then on nothing more is executed.
        """
        if self._attempts.refuses:
            return
        self._attempts.refuses = True
        names = ((start, run.plan.names[start.node]) for start in self._attempts.running())
        left = [name for start, name in names if not self._stop(start, AtomCancelled(name))]
        if left:
            LOG.warning(
                "run %s is cancelled; what cannot be stopped is waited for: %s", self._storage.run_id, _told(left)
            )

    def outcome_of(self, finished: Finished) -> Outcome:
        """Return what an attempt gave; one that failed after it was stopped has failed by that."""
        outcome = finished.outcome()
        error = self.ended.pop(finished.start, None)
        if error is None or outcome.failure is None:
            return outcome
        return outcome._replace(failure=Failure.from_exception(error))

    def _stop_late(self) -> None:
        now = self._clock.now()
        while self._limits and self._limits[0][0] <= now:
            _, _, start = heappop(self._limits)
            atom = self._storage.plan.atom(start.node)
            if atom.timeout is not None and not self._stop(start, AtomTimedOut(atom.name, atom.timeout)):
                LOG.warning(
                    "%r of run %s has had its %g s; its executor cannot stop it, so it is waited for",
                    atom.name,
                    self._storage.run_id,
                    atom.timeout,
                )

    def _stop(self, start: Start, error: FlowFailed) -> bool:
        """Stop an attempt, unless it ends already; return whether nobody has to wait until it ends by itself."""
        if start in self.ended or not self._attempts.runs(start):
            return True
        stopped = self._attempts.stop(start)
        if stopped:
            self.ended[start] = error
        return stopped


def _deadline(run: Run) -> float | None:
    """Return when the flow is to be finished, unless it comes to its end already."""
    deadline: float | None = run.flow_row.get("deadline")
    return None if deadline is None or run.broken or ROOT in run.reverting else deadline


def _told(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_TOLD_MAX])
    return shown if len(names) <= _TOLD_MAX else f"{shown} and {len(names) - _TOLD_MAX} more"


_TOLD_MAX: Final = 10
