"""The backend that keeps everything in this process: nothing survives it.

Rows are kept as they were given, live values and all: a commit is a few dict updates under a lock. With
``strict`` they are written and read as text, as a real backend does it: for tests.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from flowbook.clock import Clock, SystemClock, to_text
from flowbook.exceptions import FlowOwned, NotFound, NotPossible, OwnershipLost
from flowbook.persistence.backend import Backend, Claim, Fence, FlowRecords, FlowSummary, Query, Request
from flowbook.persistence.changes import Append, Change, Delete, Put, Row
from flowbook.persistence.finding import chosen
from flowbook.persistence.options import Options
from flowbook.persistence.owners import Owner, current_owner
from flowbook.persistence.texts import row_of, text_of

_Kept = Row | str
_EPOCH: Final = Fence.EPOCH

_NEAR_NAMES: Final = 100
"""How many flows an error names where there is none of the name that was asked for."""


class _Space:
    """All that is kept under one claim key; the claim is free while it has no ``owner``."""

    __slots__ = ("appended", "epoch", "lease_until", "owner", "requests", "rows", "seq", "since")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.seq = 0
        self.owner: Owner | None = None
        self.since = 0.0
        self.lease_until = 0.0
        self.rows: dict[str, dict[str, _Kept]] = {}
        self.appended: dict[str, dict[str, _Kept | list[_Kept]]] = {}  # one row stands alone, as most do: see `_append`
        self.requests: dict[str, Row] = {}


class MemoryBackend(Backend):
    """Keeps records in this process (``memory:``).

    Options: ``strict`` encodes and parses each row; ``value_limit_bytes`` bounds a value, when strict.
    A row that was committed belongs to the backend.
    """

    def __init__(self, conf: str | Mapping[str, object] = "memory:", *, clock: Clock | None = None) -> None:
        options = Options(conf)
        if options.address.partition(":")[2].strip("/"):
            raise NotPossible("a memory backend has no address", where=options.url, todo="give 'memory:'")
        strict = options.flag("strict", default=False)
        self.url = options.url
        self.keeps_references = not strict
        self.value_limit_bytes = options.size("value_limit_bytes", default=None)
        options.refuse_others()
        if self.value_limit_bytes is not None and not strict:
            raise NotPossible("value_limit_bytes needs strict: live values have no size", where=options.url)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._spaces: dict[str, _Space] = {}
        self._posted = 0
        self._last_epoch = 0  # the highest of all that was destroyed: epochs never start again

    def open(self) -> None:
        """Do nothing: memory is always ready."""

    def close(self) -> None:
        """Do nothing: what is kept stays until the backend itself is gone."""

    def upgrade(self) -> None:
        """Do nothing: there is no older schema."""

    def find(self, query: Query) -> Sequence[FlowSummary]:
        """Return the summaries of the flows that match, newest first, equally old ones by id."""
        with self._lock:
            return chosen(self._summaries(), query)

    def _summaries(self) -> Iterator[FlowSummary]:
        for key, space in self._spaces.items():
            for kept in space.rows.get("flow", {}).values():
                flow = _flow_of(key)
                if flow is not None:
                    yield _summary(flow, self._read("flow", flow, kept), space)

    def load(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Return copies of the records of a flow."""

        def read(kind: str, key: str, kept: _Kept) -> dict[str, Any]:
            return self._read(kind, key, kept)

        with self._lock:
            space = self._flow(flow)
            rows = {
                kind: {key: read(kind, key, kept) for key, kept in of_kind.items()}
                for kind, of_kind in space.rows.items()
                if of_kind and (kinds is None or kind in kinds)
            }
            appended = {
                kind: {key: [read(kind, key, kept) for kept in _each(many)] for key, many in of_kind.items()}
                for kind, of_kind in space.appended.items()
                if of_kind and (kinds is None or kind in kinds)
            }
            if space.requests and (kinds is None or "request" in kinds):
                rows["request"] = {key: dict(row) for key, row in space.requests.items()}
        return FlowRecords(flow, rows, appended)

    def _flow(self, flow: str) -> _Space:
        space = self._spaces.get(f"flow:{flow}")
        if space is None or not space.rows.get("flow"):
            raise NotFound("run", flow, list(islice(self._newest_flows(), _NEAR_NAMES)))
        return space

    def _newest_flows(self) -> Iterator[str]:
        for key, space in reversed(self._spaces.items()):
            flow = _flow_of(key) if space.rows.get("flow") else None
            if flow is not None:
                yield flow

    def _read(self, kind: str, key: str, kept: _Kept) -> dict[str, Any]:
        return row_of(kept, self.url, kind, key) if isinstance(kept, str) else _copied(kept)

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Return a claim with a raised epoch; owners other than this process are judged by their lease."""
        now = self._clock.now()
        with self._lock:
            space = self._space(key)
            if not take_over and space.owner != owner:
                _refuse_if_owned(key, space, now)
            space.epoch += 1
            space.seq = 0
            space.owner, space.since, space.lease_until = owner, now, now + lease_s
            return Claim(key, space.epoch, 0)

    def _space(self, key: str) -> _Space:
        space = self._spaces.get(key)
        if space is None:
            space = self._spaces[key] = _Space(self._last_epoch)
        return space

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Apply all ``changes`` under the lock, or none."""
        if not self.keeps_references:
            changes = [self._as_text(change) for change in changes]
        with self._lock:
            space = self._spaces.get(claim.key)
            if space is None or space.epoch != claim.epoch:
                raise OwnershipLost(claim.key, claim.epoch)
            if fence is _EPOCH:
                _apply(space, changes)
                return claim
            if space.seq != claim.seq:
                raise OwnershipLost(claim.key, claim.epoch)
            _apply(space, changes)
            space.seq = seq = claim.seq + 1
        return Claim(claim.key, claim.epoch, seq)

    def _as_text(self, change: Change) -> Change:
        if isinstance(change, Delete):
            return change
        text: Any = text_of(change, self.value_limit_bytes)  # stands where a row stood, for `_read`
        return change._replace(row=text)

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Prolong the claim and return the requests that wait, oldest first; a lease of 0 gives it up."""
        with self._lock:
            space = self._spaces.get(claim.key)
            if space is None or space.epoch != claim.epoch:
                if lease_s == 0:
                    return []
                raise OwnershipLost(claim.key, claim.epoch)
            space.lease_until = self._clock.now() + lease_s
            if lease_s == 0:
                space.owner = None
                space.epoch += 1  # what was given up writes nothing any more
            return [Request(name, dict(row)) for name, row in space.requests.items()]

    def post(self, key: str, request: Row) -> None:
        """Leave a request for the owner of ``key``."""
        with self._lock:
            self._posted += 1
            self._space(key).requests[str(self._posted)] = dict(request)

    def destroy(self, flow: str) -> None:
        """Forget a flow and all its records."""
        with self._lock:
            space = self._flow(flow)
            _refuse_if_owned(f"flow:{flow}", space, self._clock.now())
            self._last_epoch = max(self._last_epoch, space.epoch)
            del self._spaces[f"flow:{flow}"]


def _refuse_if_owned(key: str, space: _Space, now: float) -> None:
    """Raise FlowOwned when the owner is this process, or another one whose lease has not ended."""
    if space.owner is not None and (space.lease_until > now or space.owner == current_owner()):
        raise FlowOwned(key, str(space.owner), to_text(space.since), max(0.0, space.lease_until - now))


def _apply(space: _Space, changes: Sequence[Change]) -> None:
    """Make the changes, in their order: all that a commit in memory is."""
    rows, appended = space.rows, space.appended
    for change in changes:
        if type(change) is Put:
            kind, key, row = change
            try:
                rows[kind][key] = row
            except KeyError:
                rows[kind] = {key: row}
        elif type(change) is Append:
            kind, key, row = change
            try:
                of_kind = appended[kind]
            except KeyError:
                of_kind = appended[kind] = {}
            if key in of_kind:
                _append(of_kind, key, row)
            else:
                of_kind[key] = row
        else:
            _forget(space, change)


def _append(of_kind: dict[str, _Kept | list[_Kept]], key: str, row: _Kept) -> None:
    """Add a row behind others; the first alone needs no list, which each search for garbage would go through."""
    earlier = of_kind[key]
    if isinstance(earlier, list):
        earlier.append(row)
    else:
        of_kind[key] = [earlier, row]


def _each(kept: _Kept | list[_Kept]) -> Sequence[_Kept]:
    return kept if isinstance(kept, list) else (kept,)


def _forget(space: _Space, change: Change) -> None:
    space.rows.get(change.kind, {}).pop(change.key, None)
    space.appended.get(change.kind, {}).pop(change.key, None)
    if change.kind == "request":
        space.requests.pop(change.key, None)


def _copied(row: Row) -> dict[str, Any]:
    """Return a copy of a row down to its plain lists and dicts; live values are the same objects."""
    return {name: _copied_value(value) if type(value) in _NESTED else value for name, value in row.items()}


def _copied_value(value: Any) -> Any:  # any value that a row may hold
    if type(value) is dict:
        return _copied(value)
    return [_copied_value(item) for item in value] if type(value) is list else value


_NESTED = (dict, list)


def _flow_of(key: str) -> str | None:
    """Return the id of the flow whose claim is ``key``, or None when it is the key of something else."""
    kind, _, flow = key.partition(":")
    return flow if kind == "flow" else None


def _summary(flow: str, row: Row, space: _Space) -> FlowSummary:
    return FlowSummary(
        flow,
        row.get("book", ""),
        row.get("name", ""),
        row.get("state", ""),
        row.get("created_at", 0.0),
        row.get("updated_at", 0.0),
        row.get("atoms", 0),
        space.owner,
        space.since if space.owner is not None else None,
    )
