"""The seam between the engine and what keeps its records: ten verbs, in the engine's words.

A backend sees records and one write verb. Each write carries all that one decision alters, is atomic and durable,
and stands under the claim it was based on, so two engines can never both win. Backends raise the storage errors of
`flowbook.exceptions`, from the driver's; they know no atoms and no other backend.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, Self

from flowbook.persistence.changes import Change, Row
from flowbook.persistence.owners import Owner


class Fence(StrEnum):
    """What a commit refuses: any other write since the last one, or only a newer owner."""

    SEQ = "seq"
    EPOCH = "epoch"


class Claim(NamedTuple):
    """The right to write under ``key`` (``flow:…``, later ``job:…``).

    A takeover raises ``epoch``; each commit of the owner under `Fence.SEQ` raises ``seq``.
    """

    key: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Query:
    """Which flows `Backend.find` returns: newest first, those that match every field that is given.

    ``flow`` is a flow's id, ``prefix`` the beginning of one; ``since`` and ``until`` bound the time of creation, in
    seconds since the epoch; ``limit`` cuts the answer.
    """

    flow: str | None = None
    book: str | None = None
    name: str | None = None
    states: frozenset[str] = frozenset()
    prefix: str = ""
    since: float | None = None
    until: float | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """One flow as `Backend.find` shows it, with its owner while it is claimed (alive or not)."""

    flow: str
    book: str
    name: str
    state: str
    created_at: float
    updated_at: float
    atoms: int
    owner: Owner | None = None
    owned_since: float | None = None


@dataclass(frozen=True, slots=True)
class FlowRecords:
    """All records of one flow as last committed: rows by kind and key, appended rows by kind and key, in order.

    Rows belong to the caller, who may change them; values in them are not decoded.
    """

    flow: str
    rows: Mapping[str, Mapping[str, dict[str, Any]]]
    appended: Mapping[str, Mapping[str, Sequence[Row]]] = field(default_factory=dict)

    def kind(self, kind: str) -> Mapping[str, dict[str, Any]]:
        """Return the rows of one kind by key, or nothing when there are none."""
        return self.rows.get(kind, {})


Wanted = Callable[[FlowRecords], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A wish that another process posted for the owner of a key, such as ``{"do": "suspend"}``.

    It waits until its owner deletes it: ``Delete("request", id)``.
    """

    id: str
    row: Mapping[str, Any]


class Backend(Protocol):
    """Keeps the records of flows. Safe to share between threads; its storage is safe to share between processes.

    Every verb opens the backend when it is not open yet. ``url`` names it, secrets hidden. ``keeps_references`` says
    that values are kept as live objects and need no encoding; ``value_limit_bytes`` bounds an encoded value.
    """

    url: str
    keeps_references: bool
    value_limit_bytes: int | None

    @abstractmethod
    def open(self) -> None:
        """Make the storage ready, with its current schema if it is new; nothing happens when it is open.

        Raises StorageUnavailable, and NewerSchema or NotALogbook when it is not ours to write.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back connections and files; a closed backend opens again when it is used."""

    @abstractmethod
    def upgrade(self) -> None:
        """Bring the schema of an older storage up to date; can be repeated and restarted."""

    @abstractmethod
    def find(self, query: Query) -> Sequence[FlowSummary]:
        """Return the summaries of the flows that match, newest first."""

    @abstractmethod
    def load(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Return the newest committed records of a flow, of these kinds or of all (``request`` too), values undecoded.

        Raises NotFound when the flow has no ``flow`` record, Damaged when a record cannot be read.
        """

    def look(self, flow: str, kinds: Sequence[str] | None = None, wanted: Wanted | None = None) -> FlowRecords:
        """Return what `load` does, to those who want few of many rows.

        Each may be left undecoded until it is asked for, and Damaged be raised only then. ``wanted``, told the rows any
        number of times, or never, returns the keys whose appended rows must be there; it must use no backend.
        """
        return self.load(flow, kinds)

    @abstractmethod
    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Return a claim with a raised epoch: it is the only one whose writes are taken from now on.

        A claim whose owner is dead, or in this very process, is superseded without asking. Raises FlowOwned while
        another owner lives, unless ``take_over``.
        """

    @abstractmethod
    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Write all ``changes`` durably, in their order, or none; return the claim to use next.

        Raises OwnershipLost when the claim is not the newest (or, under `Fence.SEQ`, not the last commit's), and
        StorageBusy, StorageFull, StorageUnavailable or TooLarge when nothing could be written.
        """

    @abstractmethod
    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Prolong the claim and return the requests that wait for it; a lease of 0 gives it up and raises the epoch.

        Raises OwnershipLost when a newer owner has taken over; giving up a lost claim does nothing.
        """

    @abstractmethod
    def post(self, key: str, request: Row) -> None:
        """Leave a request for the owner of ``key``, whoever that is; needs no claim."""

    @abstractmethod
    def destroy(self, flow: str) -> None:
        """Forget a flow and all its records. Raises NotFound, and FlowOwned while a living engine owns it."""

    def __enter__(self) -> Self:
        """Open the backend; it is closed at the end of the block."""
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the backend."""
        self.close()
