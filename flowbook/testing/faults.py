"""Faults at the seam: backends that wrap another and count what is asked of it, or crash at a commit."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from flowbook.persistence.backend import Backend, Claim, Fence, FlowRecords, FlowSummary, Query, Request, Wanted
from flowbook.persistence.changes import Change, Row
from flowbook.persistence.owners import Owner


def kill_this_process() -> None:
    """End this process at once, as a power cut would: no handler, no ``finally``, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


class Counting(Backend):
    """Passes every verb on to ``inner``, and counts it under its name in ``calls``."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.url = inner.url
        self.keeps_references = inner.keeps_references
        self.value_limit_bytes = inner.value_limit_bytes
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, verb: str) -> int:
        """Note one more call of ``verb``; return how many there have been, with this one."""
        with self._lock:
            self.calls[verb] += 1
            return self.calls[verb]

    def open(self) -> None:
        """Pass on, counted."""
        self.count("open")
        self.inner.open()

    def close(self) -> None:
        """Pass on, counted."""
        self.count("close")
        self.inner.close()

    def upgrade(self) -> None:
        """Pass on, counted."""
        self.count("upgrade")
        self.inner.upgrade()

    def find(self, query: Query) -> Sequence[FlowSummary]:
        """Pass on, counted."""
        self.count("find")
        return self.inner.find(query)

    def load(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Pass on, counted."""
        self.count("load")
        return self.inner.load(flow, kinds)

    def look(self, flow: str, kinds: Sequence[str] | None = None, wanted: Wanted | None = None) -> FlowRecords:
        """Pass on, counted."""
        self.count("look")
        return self.inner.look(flow, kinds, wanted)

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Pass on, counted."""
        self.count("claim")
        return self.inner.claim(key, owner, lease_s=lease_s, take_over=take_over)

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Pass on, counted."""
        self.count("commit")
        return self.inner.commit(claim, changes, fence=fence)

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Pass on, counted."""
        self.count("renew")
        return self.inner.renew(claim, lease_s=lease_s)

    def post(self, key: str, request: Row) -> None:
        """Pass on, counted."""
        self.count("post")
        self.inner.post(key, request)

    def destroy(self, flow: str) -> None:
        """Pass on, counted."""
        self.count("destroy")
        self.inner.destroy(flow)


class CrashAtCommit(Counting):
    """Calls ``crash`` right before or right after commit number ``at``, counted from 1; never when it is 0.

    Before: nothing of that commit is kept. After: all of it is, and its caller does not learn so.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        at: int = 0,
        when: Literal["before", "after"] = "before",
        crash: Callable[[], None] = kill_this_process,
    ) -> None:
        super().__init__(inner)
        self._at, self._when, self._crash = at, when, crash

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Pass on, and crash where it is asked for."""
        is_the_one = self.count("commit") == self._at
        if is_the_one and self._when == "before":
            self._crash()
        claim = self.inner.commit(claim, changes, fence=fence)
        if is_the_one and self._when == "after":
            self._crash()
        return claim
