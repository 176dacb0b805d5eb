"""The places at which a run is crashed: all of them, or a sample that is always the same, or the one asked for."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

POINT = os.environ.get("FLOWBOOK_CRASH_POINT")
"""The one place to crash at, as a failure names it."""


def sample(of: Sequence[str], name: str, *, count: int | None) -> Sequence[str]:
    """Return places to crash at: the one asked for, all (None), or a few that depend on ``name`` alone."""
    if POINT is not None:
        return [POINT]
    return of if count is None else random.Random(name).sample(of, min(count, len(of)))


def every_commit(count: int) -> list[str]:
    """Return the places right before and right after each of so many commits."""
    return [f"{when} {commit}" for commit in range(1, count + 1) for when in ("before", "after")]


def every_write_torn(count: int) -> list[str]:
    """Return the places in the middle of each of so many writes to a file."""
    return [f"torn {write}" for write in range(1, count + 1)]


def commit_of(point: str) -> dict[str, Any]:
    """Return what `crash.driving.run` is told of a place."""
    when, _, number = point.partition(" ")
    return {"when": when, "write" if when == "torn" else "commit": int(number)}


def most_commits(expected: dict[str, Any], engine: str) -> int:
    """Return how many commits a run may have: with threads, as many endings as come together share one."""
    commits, attempts = int(expected["commits"]), len(expected["attempts"])
    return commits if engine == "serial" else max(commits, min(2 * commits, attempts + 3))


@contextmanager
def crashed_at(node: pytest.Item, point: object) -> Iterator[None]:
    """Tell with a failure where it was crashed, and how to see it again."""
    try:
        yield
    except BaseException as error:
        name = f"tests/crash/{node.path.name}::{node.name}"
        error.add_note(f"crashed at {point}; again: FLOWBOOK_CRASH_POINT='{point}' pytest '{name}'")
        raise
