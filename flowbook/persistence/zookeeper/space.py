"""The znodes of one key.

::

    /flowbook                         says that this is a logbook, and in which format
    /flowbook/destroyed               the highest epoch of all that was destroyed: epochs never start again
    /flowbook/clock                   touched to learn what time it is for ZooKeeper
    /flowbook/keys/flow/r1            the head: owner, epoch, how many commits count, what is told of the flow
    /flowbook/keys/flow/r1/owner      ephemeral: lives as long as the owner's session
    /flowbook/keys/flow/r1/lease      touched instead, where the owner is not the process that claims for it
    /flowbook/keys/flow/r1/c-…012     commit 12
    /flowbook/keys/flow/r1/p-…        a part of a large commit, or of records that were summed up
    /flowbook/keys/flow/r1/requests   what was posted
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from kazoo.exceptions import NodeExistsError, NoNodeError

from flowbook.exceptions import Damaged, NewerSchema
from flowbook.persistence.backend import Request
from flowbook.persistence.zookeeper.asking import Op, all_of, children, create, delete, get, refusal_in, sync
from flowbook.persistence.zookeeper.connection import Connection
from flowbook.persistence.zookeeper.head import Head, OfNewerFormat, head_in
from flowbook.persistence.zookeeper.names import place_of
from flowbook.persistence.zookeeper.sealing import document_in, sealed

OWNER: Final = "owner"
LEASE: Final = "lease"
REQUESTS: Final = "requests"
_STAY: Final = frozenset({OWNER, LEASE, REQUESTS})
_DELETED_AT_ONCE: Final = 200
_READ_AGAIN: Final = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """A head with its version, and what says whether its owner lives.

    ``session`` is the one that the owner's znode belongs to; ``lease_until`` is in ZooKeeper's own time.
    """

    head: Head
    version: int
    session: int | None
    lease_until: float | None


class Space:
    """What is kept under one key."""

    def __init__(self, connection: Connection, key: str) -> None:
        self.connection, self.key = connection, key
        self.place = place_of(key)
        self.path = f"{connection.address.root}/{self.place}"

    def under(self, name: str) -> str:
        """Return the path of a znode of this key."""
        return f"{self.path}/{name}"

    # -- the head --

    def head(self) -> tuple[Head, int] | None:
        """Return the newest head and its version; None when there is none."""
        _, found = self.connection.ask([sync(self.path), get(self.path)])
        return None if isinstance(found, NoNodeError) else (self.head_of(found[0]), found[1].version)

    def standing(self) -> Standing | None:
        """Return the newest head, and whether its owner lives; None when there is none."""
        owner, lease = self.under(OWNER), self.under(LEASE)
        asked = [sync(self.path), get(self.path), get(owner), get(lease)]
        _, found, owned, leased = self.connection.ask(asked)
        if isinstance(found, NoNodeError):
            return None
        session = None if isinstance(owned, NoNodeError) else owned[1].ephemeralOwner
        until = None if isinstance(leased, NoNodeError) else self._lease_of(*leased)
        return Standing(self.head_of(found[0]), found[1].version, session, until)

    def _lease_of(self, data: bytes, stat: Any) -> float:
        with self.reading(LEASE):
            lease_s = document_in(data, f"{self.place}/{LEASE}")["lease_s"]
            return float(stat.mtime / 1000.0 + lease_s)

    def head_of(self, data: bytes) -> Head:
        """Return what the data of the head says. Raises Damaged and NewerSchema."""
        with self.reading():
            return head_in(data, self.place, self.key)

    @contextmanager
    def reading(self, name: str = "") -> Iterator[None]:
        """Raise Damaged, or NewerSchema, naming the znode, for what cannot be read in it."""
        where = f"zookeeper://{self.connection.address.hosts}{self.path}{'/' if name else ''}{name}"
        try:
            yield
        except OfNewerFormat as error:
            raise NewerSchema(where, str(error)) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Damaged(where, f"{type(error).__name__}: {error}") from error

    # -- who owns it --

    def lease_op(self, lease_s: float) -> Op:
        """Return the part of a multi that begins a lease anew."""
        return Op.set_data(self.under(LEASE), self.lease(lease_s))

    def lease(self, lease_s: float) -> bytes:
        """Return the data of the znode that is touched for a lease."""
        return sealed(json.dumps({"lease_s": lease_s}).encode(), f"{self.place}/{LEASE}")

    def owned_ops(self) -> list[Op]:
        """Return the parts of a multi that take away what stands for an owner now."""
        owner, lease = self.connection.ask([get(self.under(OWNER)), get(self.under(LEASE))])
        there = {OWNER: is_there(owner), LEASE: is_there(lease)}
        return [Op.delete(self.under(name)) for name, is_kept in there.items() if is_kept]

    # -- requests --

    def waiting(self) -> list[Request]:
        """Return the posted requests, oldest first."""
        (names,) = self.connection.ask([children(self.under(REQUESTS))])
        if isinstance(names, NoNodeError):
            return []
        found = self.connection.ask([get(self.under(f"{REQUESTS}/{name}")) for name in names])
        waiting = []
        for name, answer in zip(names, found, strict=True):
            if not isinstance(answer, Exception):  # else it was answered meanwhile
                with self.reading(f"{REQUESTS}/{name}"):
                    row = document_in(answer[0], f"{self.place}/{REQUESTS}/{name}")
                waiting.append((answer[1].czxid, Request(name, row)))
        return [request for _, request in sorted(waiting, key=lambda one: one[0])]

    def post(self, text: str) -> bool:
        """Leave a request; return False when there is no head yet, or no more."""
        token = new_token()
        place = f"{REQUESTS}/{token}"
        data = sealed(text.encode(), f"{self.place}/{place}")
        for _ in range(_READ_AGAIN):
            (answer,) = self.connection.ask([create(self.under(place), data)])
            if not isinstance(answer, NoNodeError):
                return True
            (made,) = self.connection.ask([create(self.under(REQUESTS), b"")])
            if isinstance(made, NoNodeError):
                return False
        return False

    # -- clearing --

    def names(self) -> list[str]:
        """Return the names of all znodes of this key, but not those that say who owns it and what it is asked."""
        (found,) = self.connection.ask([children(self.path)])
        return [] if isinstance(found, NoNodeError) else [name for name in found if name not in _STAY]

    def clear(self, names: Sequence[str]) -> None:
        """Delete znodes; what somebody else has deleted already is no error."""
        batches = [names[start : start + _DELETED_AT_ONCE] for start in range(0, len(names), _DELETED_AT_ONCE)]
        done = self.connection.ask([all_of([Op.delete(self.under(name)) for name in batch]) for batch in batches])
        left = [
            name
            for batch, answers in zip(batches, done, strict=True)
            if refusal_in(answers) is not None
            for name in batch
        ]
        self.connection.ask([delete(self.under(name)) for name in left])

    def empty(self) -> None:
        """Delete all znodes behind the head."""
        (posted,) = self.connection.ask([children(self.under(REQUESTS))])
        if not isinstance(posted, NoNodeError):
            self.clear([f"{REQUESTS}/{name}" for name in posted])
        self.clear([*self.names(), *sorted(_STAY)])


def new_token() -> str:
    """Return a name that nobody else has drawn."""
    return secrets.token_hex(8)


def is_there(answer: object) -> bool:
    """Return whether a znode was there, or is since it was created."""
    return not isinstance(answer, Exception) or isinstance(answer, NodeExistsError)
