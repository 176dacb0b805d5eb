"""Writing under one claim: each commit follows the head that was last seen, and takes its place."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from kazoo.exceptions import NodeExistsError, NoNodeError

from flowbook.exceptions import Damaged, OwnershipLost, StorageBusy, StorageUnavailable
from flowbook.persistence.backend import Claim, Fence, Request
from flowbook.persistence.changes import Change, Delete
from flowbook.persistence.zookeeper.asking import Op, refusal_in
from flowbook.persistence.zookeeper.connection import Connection, ReplyLost
from flowbook.persistence.zookeeper.head import Base, Head, flow_row_after
from flowbook.persistence.zookeeper.records import Gone, commit_op, records_of, token_of, write_parts
from flowbook.persistence.zookeeper.space import OWNER, REQUESTS, Space, new_token

SUM_UP_AFTER: Final = 1000
"""So many commits, or a quarter of the records that are summed up, are summed up while a run goes on."""

_TOKEN_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(slots=True)
class Text:
    """The changes of one commit, as text: in parts when they are too large for one znode."""

    changes: Sequence[Change]
    data: bytes
    token: str
    parts: int = 0

    @classmethod
    def of(cls, changes: Sequence[Change], text: str) -> Text:
        """Return the text under a name that nobody else has drawn."""
        return cls(changes, text.encode(), new_token())

    def answered(self, space: Space) -> list[Op]:
        """Return what deletes the posted requests that the changes delete."""
        keys = {change.key for change in self.changes if type(change) is Delete and change.kind == "request"}
        named = sorted(key for key in keys if key and _TOKEN_DIGITS.issuperset(key))
        return [Op.delete(space.under(f"{REQUESTS}/{key}")) for key in named]


Step = Callable[[Head], tuple[Head, list[Op]]]
"""What makes of the present head the next one, and what has to be done with it."""


class Writer:
    """Writes under the claim of one epoch, for all threads of this process.

    ``session`` is the count of lost sessions when this process claimed; None when the claim came from elsewhere, or the
    connection was closed since.
    """

    def __init__(self, space: Space, epoch: int, session: int | None, seen: tuple[Head, int] | None = None) -> None:
        self.space, self.epoch, self.session = space, epoch, session
        self._connection = space.connection
        self._lock = threading.Lock()
        self._seen = seen  # the newest head that is known here, and its version

    def let_go(self) -> None:
        """Write on without a session of one's own, unless it was lost: the connection is being closed."""
        if not self._has_lost():
            self.session = None

    def _has_lost(self) -> bool:
        return self.session is not None and self.session != self._connection.losses

    def refuse_if_lost(self, claim: Claim) -> None:
        """Raise OwnershipLost when the session that the claim was made in is over."""
        if self._has_lost():
            raise OwnershipLost(claim.key, claim.epoch)

    # -- commits --

    def commit(self, claim: Claim, fence: Fence, text: Text) -> None:
        """Write a commit. Raises OwnershipLost."""
        with self._alone(claim):
            if len(text.data) > self._connection.address.znode_limit_bytes:
                try:
                    text.parts = write_parts(self.space, text.data, text.token)
                except FileNotFoundError as error:
                    raise self._lost(claim) from error
            answered = text.answered(self.space)
            self._follow(claim, lambda head: self._committed(head, claim, fence, text), answered)

    def _committed(self, head: Head, claim: Claim, fence: Fence, text: Text) -> tuple[Head, list[Op]]:
        number, seq = head.count + 1, head.seq
        if fence is Fence.SEQ:
            if seq != claim.seq:
                raise self._lost(claim)
            seq += 1
        flow = flow_row_after(text.changes, head.flow)
        new = replace(head, seq=seq, count=number, flow=flow, by=text.token)
        return new, [commit_op(self.space, number, text.token, text.data, text.parts)]

    # -- renewing --

    def prolong(self, claim: Claim, lease_s: float) -> list[Request]:
        """Say that the owner lives, if its session does not; return what requests wait. Raises OwnershipLost."""
        self.refuse_if_lost(claim)
        standing = self.space.standing()
        if standing is None or standing.head.epoch != claim.epoch or standing.head.owner is None:
            raise self._lost(claim)
        if standing.lease_until is not None:
            with self._alone(claim):
                self._follow(claim, lambda head: (_touched(head), [self.space.lease_op(lease_s)]))
        elif standing.session is None:
            self._take_up(claim)
        self._sum_up(claim, standing.head)
        return self.space.waiting()

    def _take_up(self, claim: Claim) -> None:
        """Stand behind the claim with a new session, when the old one was closed on purpose."""
        session = self._connection.losses
        owner = Op.create_ephemeral(self.space.under(OWNER), b"")
        with self._alone(claim):
            if self.session is not None:
                raise self._lost(claim)
            self._follow(claim, lambda head: (_touched(head), [owner]))
            self.session = session

    def _sum_up(self, claim: Claim, head: Head) -> None:
        """Sum up what a head counts, when that is much; others may write meanwhile, behind it."""
        if head.count - head.base.through < max(SUM_UP_AFTER, head.base.records // 4):
            return

        def summed(now: Head) -> tuple[Head, list[Op]]:
            if now.base != head.base:
                raise Gone
            return _touched(replace(now, base=base)), []

        with suppress(Gone):  # somebody else has summed up too
            base, names = self._summed(head)
            with self._alone(claim):
                self._follow(claim, summed)
            self.space.clear(names)

    def _summed(self, head: Head) -> tuple[Base, list[str]]:
        """Write the records that a head counts anew, as one text; return where, and where they were.

        Raises Gone and Damaged.
        """
        contents, names = records_of(self.space, head)
        changes = list(contents.texts())
        token = new_token()
        try:
            parts = write_parts(self.space, f"[{','.join(changes)}]".encode(), token) if changes else 0
        except FileNotFoundError as error:
            raise OwnershipLost(head.key, head.epoch) from error
        return Base(token, parts, len(changes), head.count), names

    def give_up(self, claim: Claim) -> list[Request]:
        """Sum up all records, and leave them without an owner; return what requests wait. Raises OwnershipLost."""
        names: list[str] = []

        def given_up(head: Head) -> tuple[Head, list[Op]]:
            names[:] = self.space.names()  # before the epoch is raised: what is there and does not count never will
            base = head.base
            with suppress(Damaged, Gone):  # it can be given up all the same, and is as damaged as before
                base = self._summed(head)[0] if head.count > base.through else base
            new = replace(head, epoch=head.epoch + 1, seq=0, owner=None, base=base)
            return _touched(new), self.space.owned_ops()

        with self._alone(claim):
            head = self._follow(claim, given_up)
        if head.base.through == head.count:
            self.space.clear([name for name in names if not name.startswith(f"p-{head.base.token}-")])
        return self.space.waiting()

    def destroy(self, claim: Claim) -> tuple[Head, int]:
        """Leave no records and no owner; return the head that says so, and its version. Raises OwnershipLost."""

        def destroyed(head: Head) -> tuple[Head, list[Op]]:
            new = replace(head, epoch=head.epoch + 1, seq=0, owner=None, base=Base(through=head.count), flow=None)
            return _touched(new), self.space.owned_ops()

        with self._alone(claim):
            self._follow(claim, destroyed)
            found = self._seen or self.space.head()
        if found is None:
            raise self._lost(claim)
        return found

    # -- one step --

    @contextmanager
    def _alone(self, claim: Claim) -> Iterator[None]:
        """Keep the other threads of this process from writing. Raises StorageBusy."""
        self.refuse_if_lost(claim)
        timeout_s = self._connection.address.timeout_s
        if not self._lock.acquire(timeout=timeout_s):
            raise StorageBusy(self._connection.address.url, f"others have been writing for {timeout_s:g} s")
        try:
            self.refuse_if_lost(claim)
            yield
        finally:
            self._lock.release()

    def _follow(self, claim: Claim, step: Step, deletions: Sequence[Op] = ()) -> Head:
        """Set the head that ``step`` makes of the newest one, with all that belongs to it, or nothing; return it.

        ``deletions`` are done too, where there is something to delete. A step whose reply was lost is looked up before
        it is tried again, and also when the deadline is over. Raises OwnershipLost, StorageBusy and StorageUnavailable.
        """
        deadline, left, unsure = self._connection.deadline(), list(deletions), None
        url = self._connection.address.url
        while True:
            seen = self._seen or self.space.head()
            self._seen = None
            self.refuse_if_lost(claim)
            if unsure is not None and seen is not None and self._took_place(unsure, seen[0]):
                return unsure
            if seen is None or seen[0].epoch != claim.epoch:
                raise self._lost(claim)
            if unsure is not None and time.monotonic() > deadline:
                raise StorageUnavailable(url, "the answers of the servers are lost")
            new, ops = step(seen[0])
            try:
                version = self._tried(claim, new, seen[1], ops, left, deadline)
            except ReplyLost:
                unsure = new
                continue
            if version is not None:
                self._seen = new, version
                return new
            if time.monotonic() > deadline:
                raise StorageBusy(url, f"others change {self.space.path} all the time")

    def _took_place(self, new: Head, seen: Head) -> bool:
        """Return whether ``new`` was once the head: it is now, or the commit that came with it counts."""
        return seen.by == new.by or (seen.count >= new.count and token_of(self.space, new.count) == new.by)

    def _tried(
        self, claim: Claim, new: Head, version: int, ops: Sequence[Op], left: list[Op], deadline: float
    ) -> int | None:
        """Return the version of the new head, or None when somebody else was quicker: then there may be less ``left``.

        Where a session of ours stands behind the claim, its znode must be there: nothing is written in a later session.
        """
        fence = [] if self.session is None else [Op.check(self.space.under(OWNER))]
        all_ops = [*fence, Op.set_data(self.space.path, new.data(self.space.place), version), *ops, *left]
        answers = self._connection.multi(all_ops, deadline)
        refusal = refusal_in(answers)
        if refusal is None:
            return int(answers[len(fence)].version)
        number, error = refusal
        if number < len(fence):
            raise self._lost(claim) from error
        if isinstance(error, NodeExistsError):
            path = all_ops[number].path
            raise Damaged(path, "it is there, and the head does not count it") from error
        if isinstance(error, NoNodeError) and all_ops[number] in left:
            left.remove(all_ops[number])
        return None

    def _lost(self, claim: Claim) -> OwnershipLost:
        return OwnershipLost(claim.key, claim.epoch)


def _touched(head: Head) -> Head:
    return replace(head, by=new_token())


class Writers:
    """The writers of a backend, one for each key that was claimed or written to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Know no claim any more: what a forked child does with its parent's."""
        self._writers: dict[str, Writer] = {}
        self._lock = threading.Lock()

    def keep(self, writer: Writer) -> None:
        """Remember the writer of a new claim in place of an older one."""
        with self._lock:
            self._writers[writer.space.key] = writer

    def of(self, claim: Claim) -> Writer:
        """Return the writer of a claim. Raises OwnershipLost when a newer claim is known, or its session is over."""
        with self._lock:
            writer = self._writers.get(claim.key)
            if writer is None or writer.epoch < claim.epoch:
                writer = self._writers[claim.key] = Writer(Space(self._connection, claim.key), claim.epoch, None)
        if writer.epoch != claim.epoch:
            raise OwnershipLost(claim.key, claim.epoch)
        writer.refuse_if_lost(claim)
        return writer

    def drop(self, claim: Claim) -> None:
        """Forget the writer of a claim that was given up."""
        with self._lock:
            writer = self._writers.get(claim.key)
            if writer is not None and writer.epoch == claim.epoch:
                del self._writers[claim.key]

    def let_go(self) -> None:
        """Write on without the session that is being closed."""
        with self._lock:
            for writer in self._writers.values():
                writer.let_go()


_all: weakref.WeakSet[Writers] = weakref.WeakSet()


def _forget_all() -> None:
    for writers in _all:
        writers.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
