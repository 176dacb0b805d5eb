"""Time that tests let pass."""

from __future__ import annotations

from collections.abc import Callable

from flowbook.engines import Engine


class ManualClock:
    """Stands still until a test lets time pass."""

    def __init__(self, at: float = 1_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def passes(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.at += seconds


def run_while_time_passes(engine: Engine, clock: ManualClock, when_idle: Callable[[], float]) -> list[str]:
    """Run an engine; whenever nothing runs and it would wait, as many seconds pass as ``when_idle`` says.

    Returns what `run_iter` told. An engine whose clock has come to what it waits for does not wait; one whose clock
    has not waits for the rest, really.
    """
    told = []
    for state in engine.run_iter():
        told.append(state)
        if state == "WAITING" and not engine.storage.run.in_flight:
            clock.passes(when_idle())
    return told
