"""How long commits take, and how much of that is due to a fault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from flowbook.persistence.backend import Backend, Claim, Fence
from flowbook.persistence.changes import Change
from flowbook.testing.faults import Counting

Span = tuple[float, float]
"""When something began and when it ended, in seconds of the monotonic clock."""


class Timed(Counting):
    """Notes of each commit when it was asked for and when it returned, or raised."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.commits: list[Span] = []

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        began = time.monotonic()
        try:
            return super().commit(claim, changes, fence=fence)
        finally:
            self.commits.append((began, time.monotonic()))


def usual_s(commits: Sequence[Span]) -> float:
    """Return what a commit takes to which nothing happens, if most are such."""
    return median(end - began for began, end in commits)


def added_s(commits: Sequence[Span], away: Sequence[Span]) -> list[float]:
    """Return how much longer than usual each commit took that met a server that was away, beyond that time itself."""
    usual = usual_s(commits)
    return [beyond - usual for beyond in beyond_s(commits, away)]


def beyond_s(commits: Sequence[Span], away: Sequence[Span]) -> list[float]:
    """Return how long each commit took that met somebody who was away, without that time."""
    met = [(commit, _together_s(commit, away)) for commit in commits]
    return [end - began - together for (began, end), together in met if together]


def _together_s(commit: Span, away: Sequence[Span]) -> float:
    return sum(max(0.0, min(commit[1], until) - max(commit[0], since)) for since, until in away)


def at_p99(seconds: Sequence[float]) -> float:
    """Return what 99 of 100 do not exceed; of fewer than a hundred, the largest."""
    ordered = sorted(seconds)
    return ordered[len(ordered) - 1 - len(ordered) // 100]
