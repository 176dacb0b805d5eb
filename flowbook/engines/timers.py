"""Timers: how long the engine's loop may wait for its inbox before something is due. Nothing sleeps in a thread."""

from __future__ import annotations

from typing import Final

from flowbook.clock import Clock
from flowbook.engines.core.run import Run
from flowbook.engines.core.selection import next_waking

LOOK_AGAIN_S: Final = 10.0
"""The longest wait while something is due at a time of the clock, which may be set forward meanwhile."""


def patience_s(run: Run, commit_at: float | None, clock: Clock) -> float | None:
    """Return how long to wait for something to happen, in seconds; None where nothing is due at any time.

    ``commit_at`` is when what waits to be committed is due.
    """
    due = [at for at in (next_waking(run), commit_at) if at is not None]
    return min(LOOK_AGAIN_S, max(0.0, min(due) - clock.now())) if due else None
