"""Where time comes from: one clock that a test can replace."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; the engine and the backends ask nobody else."""

    def now(self) -> float:
        """Return the seconds since the epoch (UTC)."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return the seconds since the epoch (UTC)."""
        return time.time()


def to_text(at: float) -> str:
    """Return a time in seconds since the epoch as ISO 8601 text in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
