"""The ten verbs on a relational database, and the first such database: SQLite.

Each verb that writes is one transaction. A commit steps the fence, the row of its claim in ``heads``, first:
who finds another epoch or number there has been overtaken, and nothing of the commit is kept.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.engine.interfaces import DBAPICursor

from flowbook.clock import Clock, SystemClock, to_text
from flowbook.exceptions import Damaged, FlowOwned, OwnershipLost
from flowbook.persistence.backend import Backend, Claim, Fence, Request
from flowbook.persistence.changes import Change, Put, Row
from flowbook.persistence.options import Options
from flowbook.persistence.owners import Owner, current_owner
from flowbook.persistence.sql.batches import Batch, batches_of
from flowbook.persistence.sql.database import Database, do_again
from flowbook.persistence.sql.inspecting import OfDatabase
from flowbook.persistence.sql.names import quoted
from flowbook.persistence.sql.posting import Posting
from flowbook.persistence.sql.queries import owner_of
from flowbook.persistence.sql.reading import ReadsDatabase
from flowbook.persistence.sql.sqlite import SqliteDatabase
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.texts import row_of, text_of

_OF_DESTROYED = ""
_LAST_EPOCH = 2**63 - 1
_SQLITE_VALUE_LIMIT_BYTES = 256 * 1024 * 1024  # three of them fit into a row


class _NoFlow(Exception):
    """There is no such flow to be destroyed."""


class SqlBackend(OfDatabase, ReadsDatabase, Backend):
    """The ten verbs on any `Database`.

    ``transactions`` counts the commits that were written; claims, renewals and the like are not counted.
    """

    keeps_references = False

    def __init__(self, database: Database, *, value_limit_bytes: int | None = None, clock: Clock | None = None) -> None:
        self.url = database.url
        self.value_limit_bytes = value_limit_bytes
        self.transactions = 0
        self._database = database
        self._statements = database.statements
        self._clock = clock or SystemClock()
        self._counting = threading.Lock()

    def open(self) -> None:
        """Make the database ready: a new one gets the schema, an older one the newest."""
        self._database.open()

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._database.close()

    def upgrade(self) -> None:
        """Bring the schema of an older database up to date, in one transaction, as `open` does."""
        self._database.open()

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Return a claim with a raised epoch, in one transaction for the fence and the owner."""
        statements, claim, text = self._statements, quoted(key), json.dumps(owner.to_row())

        def work(cursor: DBAPICursor) -> int:
            self._database.hold()
            epoch = self._locked_epoch(cursor, claim) or self._locked_epoch(cursor, _OF_DESTROYED)
            now = self._now(cursor)
            if not take_over:
                self._refuse_if_owned(cursor, key, now, claimant=owner)
            cursor.execute(statements.put_head, (claim, epoch + 1, 0))
            cursor.execute(statements.put_claim, (claim, epoch + 1, text, now, now + lease_s))
            return epoch + 1

        return Claim(key, self._database.write(work, settle=do_again), 0)

    def _locked_epoch(self, cursor: DBAPICursor, claim: str) -> int:
        """Return the epoch of a claim, 0 for a new one; nobody else looks at it until the transaction ends."""
        found: Sequence[Any] = ()
        while not found:  # who destroys a flow may take its head away between the two
            cursor.execute(self._statements.make_head, (claim, 0, 0))
            cursor.execute(self._statements.head, (claim,))
            found = cursor.fetchall()
        ((epoch, _),) = found
        if type(epoch) is not int or not 0 <= epoch < _LAST_EPOCH:
            raise Damaged(self.url, f"the epoch of {claim!r} is {epoch!r}")
        return epoch

    def _now(self, cursor: DBAPICursor) -> float:
        now = self._database.now(cursor)
        return self._clock.now() if now is None else now

    def _refuse_if_owned(self, cursor: DBAPICursor, key: str, now: float, claimant: Owner | None) -> None:
        """Raise FlowOwned when a living owner other than ``claimant`` has the claim."""
        cursor.execute(self._statements.owner, (quoted(key),))
        for text, since, lease_until in cursor.fetchall():
            owner = owner_of(text, self.url, key)
            if owner == claimant:
                continue
            alive = owner == current_owner() or self._database.is_alive(owner)
            try:
                left_s, since_text = float(lease_until) - now, to_text(float(since))
            except (OSError, OverflowError, TypeError, ValueError) as error:
                raise Damaged(self.url, f"the lease of {key!r}: {error}") from error
            if alive or (alive is None and left_s > 0):
                raise FlowOwned(key, str(owner), since_text, max(0.0, left_s))

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Write all ``changes`` in one transaction, behind the fence."""
        batches = batches_of(claim.key, changes, self._statements, self.value_limit_bytes)
        settle = partial(self._is_committed, claim) if fence is Fence.SEQ else None
        self._database.write(partial(self._commit, claim, batches, fence), settle=settle)
        with self._counting:
            self.transactions += 1
        return Claim(claim.key, claim.epoch, claim.seq + 1) if fence is Fence.SEQ else claim

    def _is_committed(self, claim: Claim, cursor: DBAPICursor) -> bool | None:
        """Return True when the next number of a claim has been used: its owner alone uses it. Waits for the lock."""
        cursor.execute(self._statements.head, (quoted(claim.key),))
        return True if [(claim.epoch, claim.seq + 1)] == [tuple(row) for row in cursor.fetchall()] else None

    def _commit(self, claim: Claim, batches: Sequence[Batch], fence: Fence, cursor: DBAPICursor) -> bool:
        statements, claimed = self._statements, (quoted(claim.key), claim.epoch)
        if fence is Fence.SEQ:
            passed = self._database.run_behind(cursor, statements.fence_seq, (*claimed, claim.seq), batches)
        else:
            cursor.execute(statements.fence_epoch, claimed)
            passed = len(cursor.fetchall()) == 1
            for text, rows in batches if passed else ():
                self._database.run_for_all(cursor, text, rows)
        if not passed:
            raise OwnershipLost(claim.key, claim.epoch)
        return True

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Prolong the claim and return the requests that wait, oldest first; a lease of 0 gives it up.

        The fence is not touched, but when the claim is given up: then it writes nothing any more.
        """
        waiting = self._database.write(partial(self._renew, claim, lease_s), settle=do_again)
        return [Request(str(number), row_of(data, self.url, "request", str(number))) for number, data in waiting]

    def _renew(self, claim: Claim, lease_s: float, cursor: DBAPICursor) -> Sequence[tuple[int, str]]:
        ours = quoted(claim.key), claim.epoch
        if lease_s == 0:
            cursor.execute(self._statements.head, ours[:1])  # locked first, as by those who claim
            cursor.fetchall()
            cursor.execute(self._statements.give_up, ours)
            if cursor.rowcount == 1:
                cursor.execute(self._statements.retire, ours)
        else:
            cursor.execute(self._statements.prolong, (self._now(cursor) + lease_s, *ours))
            if cursor.rowcount == 0:
                raise OwnershipLost(claim.key, claim.epoch)
        cursor.execute(self._statements.requests, ours[:1])
        return cursor.fetchall()

    def post(self, key: str, request: Row) -> None:
        """Leave a request for the owner of ``key``."""
        text = text_of(Put("request", key, request), self.value_limit_bytes)
        posting = Posting(self.url, self._statements, quoted(key), text, self._now)
        self._database.write(posting.post, settle=posting.settle)

    def destroy(self, flow: str) -> None:
        """Forget a flow and all its records, but not the height of its epoch."""
        key = f"flow:{flow}"
        try:
            self._database.write(partial(self._destroy, key), settle=partial(_is_gone, self._statements, key))
        except _NoFlow:
            raise self._not_found(flow) from None

    def _destroy(self, key: str, cursor: DBAPICursor) -> bool:
        """Forget all of a flow, and return True. Raises _NoFlow when there is none: then there is no commit."""
        claim = quoted(key)
        cursor.execute(self._statements.flow, (claim,))
        if not cursor.fetchall():
            raise _NoFlow
        epochs = self._locked_epoch(cursor, claim), self._locked_epoch(cursor, _OF_DESTROYED)
        self._refuse_if_owned(cursor, key, self._now(cursor), claimant=None)
        for text in self._statements.forget:
            cursor.execute(text, (claim,))
        cursor.execute(self._statements.put_head, (_OF_DESTROYED, max(epochs), 0))
        return True


def _is_gone(statements: Statements, key: str, cursor: DBAPICursor) -> bool | None:
    """Return True when there is no head of ``key`` any more; who destroys a flow takes it away. Waits for the lock."""
    cursor.execute(statements.head, (quoted(key),))
    return True if not cursor.fetchall() else None


class SqliteBackend(SqlBackend):
    """Keeps records in a file (``sqlite:///runs.db``).

    Options: ``journal`` is ``wal`` or ``delete`` (a new file gets ``wal``, another keeps what it has);
    ``timeout_s`` bounds the wait for others (10); ``value_limit_bytes`` bounds a value (256 MiB).
    """

    def __init__(self, conf: str | Mapping[str, object], *, clock: Clock | None = None) -> None:
        options = Options(conf)
        database = SqliteDatabase(options)
        limit_bytes = options.size("value_limit_bytes", default=_SQLITE_VALUE_LIMIT_BYTES)
        options.refuse_others()
        super().__init__(database, value_limit_bytes=limit_bytes, clock=clock)
