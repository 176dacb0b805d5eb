"""The faults that tests inject do what they say."""

from __future__ import annotations

from typing import Literal

import pytest

from flowbook.persistence.changes import Put
from flowbook.persistence.memory import MemoryBackend
from flowbook.testing.backend_samples import begin
from flowbook.testing.faults import Counting, CrashAtCommit


class Crash(BaseException):
    """Stands for the end of the process."""


def crash() -> None:
    raise Crash


@pytest.mark.parametrize(("when", "kept"), [("before", {"1"}), ("after", {"1", "2"})])
def test_a_crash_comes_at_its_commit(when: Literal["before", "after"], kept: set[str]) -> None:
    inner = MemoryBackend()
    backend = CrashAtCommit(inner, at=3, when=when, crash=crash)
    claim = backend.commit(begin(backend), [Put("atom", "1", {})])
    with pytest.raises(Crash):
        backend.commit(claim, [Put("atom", "2", {})])
    assert set(inner.load("f").kind("atom")) == kept


def test_verbs_are_counted() -> None:
    with Counting(MemoryBackend()) as backend:
        backend.commit(begin(backend), [])
        backend.load("f")
    assert backend.calls == {"open": 1, "claim": 1, "commit": 2, "load": 1, "close": 1}
