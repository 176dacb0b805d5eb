"""The ten verbs on ZooKeeper: a head for each key, and behind it a znode for each commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from flowbook.clock import Clock, SystemClock, to_text
from flowbook.exceptions import FlowOwned, NotFound, OwnershipLost, StorageBusy
from flowbook.persistence.backend import Backend, Claim, Fence, FlowRecords, FlowSummary, Query, Request
from flowbook.persistence.changes import Change, Put, Row
from flowbook.persistence.contents import changes_text
from flowbook.persistence.finding import DAMAGED, chosen
from flowbook.persistence.inspection import Finding, SchemaVersions
from flowbook.persistence.options import Options
from flowbook.persistence.owners import Owner, current_owner, lives_by_pid
from flowbook.persistence.texts import text_of
from flowbook.persistence.zookeeper.address import address_of
from flowbook.persistence.zookeeper.asking import Op, refusal_in, sync
from flowbook.persistence.zookeeper.connection import Connection, ReplyLost
from flowbook.persistence.zookeeper.head import FORMAT, Head, head_in
from flowbook.persistence.zookeeper.inspecting import findings_in
from flowbook.persistence.zookeeper.names import FLOWS, KEYS, quoted, unquoted
from flowbook.persistence.zookeeper.records import read
from flowbook.persistence.zookeeper.root import Root
from flowbook.persistence.zookeeper.space import LEASE, OWNER, Space, Standing, new_token
from flowbook.persistence.zookeeper.writer import Text, Writer, Writers

_NEAR_NAMES: Final = 100


class ZookeeperBackend(Backend):
    """Keeps records in ZooKeeper (``zookeeper://HOST:2181,HOST2:2181/PATH``; without a path in ``/flowbook``).

    Options: ``timeout_s`` bounds the wait for an answer, with lost connections and all (10); ``session_timeout_s`` is
    how long a silent process counts as alive (10); ``value_limit_bytes`` bounds a value (1 MiB), ``znode_limit_bytes``
    a znode (512 KiB; larger commits are written in parts); ``sasl_user`` with ``sasl_password`` (or ``${NAME}`` of an
    environment variable) or ``sasl_password_file``: what is made is that user's alone; ``use_ssl`` with ``ca``,
    ``certfile``, ``keyfile``, ``check_hostname`` (true). ``transactions`` counts the commits that were written.
    """

    keeps_references = False

    def __init__(self, conf: str | Mapping[str, object], *, clock: Clock | None = None) -> None:
        address = address_of(Options(conf))
        self.url = address.url
        self.value_limit_bytes = address.value_limit_bytes
        self.transactions = 0
        self._clock = clock or SystemClock()
        self._connection = Connection(address)
        self._root = Root(self._connection)
        self._writers = Writers(self._connection)
        self._counting = threading.Lock()

    def open(self) -> None:
        """Connect, and make the logbook at its path if there is none."""
        try:
            self._root.open()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """End the session: claims that were not given up are free, and can be written under until they are taken."""
        self._writers.let_go()
        self._connection.close()

    def upgrade(self) -> None:
        """Do nothing but `open`: there is no older format."""
        self.open()

    def schema_versions(self) -> SchemaVersions:
        """Return the format of the logbook; there is only one."""
        return SchemaVersions(str(FORMAT) if self._root.is_there() else None, str(FORMAT))

    def upgrade_script(self) -> str:
        """Return nothing: there is no older format."""
        return ""

    def inspect(self) -> Iterator[Finding]:
        """Yield what the znodes tell of their health: reads all of them, and changes nothing."""
        return findings_in(self._root, self.url)

    # -- reading --

    def find(self, query: Query) -> Sequence[FlowSummary]:
        """Return the summaries of the flows that match, newest first; what cannot be read is ``DAMAGED``."""
        self._root.open()
        return chosen(self._summaries(query.prefix if query.flow is None else query.flow), query)

    def _summaries(self, prefix: str) -> Iterator[FlowSummary]:
        way = f"{self._root.path}/{KEYS}/{FLOWS}"
        self._connection.ask([sync(way)])
        flows = {name: unquoted(name) for name in self._root.flows()}
        names = [name for name, flow in flows.items() if flow is None or flow.startswith(prefix)]
        found = self._connection.read([f"{way}/{name}" for name in names])
        for name, data in zip(names, found, strict=True):
            summary = None if data is None else _summary(name, flows[name], data)
            if summary is not None:
                yield summary

    def load(self, flow: str, kinds: Sequence[str] | None = None) -> FlowRecords:
        """Return the newest committed records of a flow."""
        self._root.open()
        space = Space(self._connection, f"flow:{flow}")
        found = read(space)
        if found is None or not found[1].rows.get("flow"):
            raise self._not_found(flow)
        rows, appended = found[1].rows, found[1].appended
        if kinds is None or "request" in kinds:
            waiting = {request.id: dict(request.row) for request in space.waiting()}
            if waiting:
                rows["request"] = waiting
        if kinds is not None:
            rows = {kind: rows[kind] for kind in kinds if kind in rows}
            appended = {kind: appended[kind] for kind in kinds if kind in appended}
        return FlowRecords(flow, rows, appended)

    def _not_found(self, flow: str) -> NotFound:
        known = [name for name in map(unquoted, self._root.flows()[:_NEAR_NAMES]) if name not in (None, flow)]
        return NotFound("run", flow, [name for name in known if name is not None])

    # -- owning --

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Return a claim with a raised epoch: who first sets the head has it."""
        self._root.open()
        space, token, deadline = Space(self._connection, key), new_token(), self._connection.deadline()
        while True:
            session = self._connection.losses
            standing = self._standing(space)
            seen: tuple[Head, int] | None = standing.head, standing.version
            if standing.head.by != token or session != self._connection.losses:
                if not take_over and standing.head.owner != owner:
                    self._refuse_if_owned(standing)
                seen = self._try_claim(space, standing, owner, lease_s, token, deadline)
            if seen is not None:
                own = session if owner == current_owner() else None
                self._writers.keep(Writer(space, seen[0].epoch, own, seen))
                return Claim(key, seen[0].epoch, 0)
            if time.monotonic() > deadline:
                raise StorageBusy(self.url, f"others claim {space.path} all the time")

    def _standing(self, space: Space) -> Standing:
        while True:
            standing = space.standing()
            if standing is not None:
                return standing
            self._root.make_head(space)

    def _try_claim(
        self, space: Space, standing: Standing, owner: Owner, lease_s: float, token: str, deadline: float
    ) -> tuple[Head, int] | None:
        """Return the new head and its version; None when somebody else was quicker, or when the reply was lost."""
        head = standing.head
        new = replace(head, epoch=head.epoch + 1, seq=0, owner=owner, since=self._clock.now(), by=token)
        ops = [Op.set_data(space.path, new.data(space.place), standing.version)]
        if standing.session is not None:
            ops.append(Op.delete(space.under(OWNER)))
        if standing.lease_until is not None:
            ops.append(Op.delete(space.under(LEASE)))
        if owner == current_owner():
            ops.append(Op.create_ephemeral(space.under(OWNER), b""))
        else:  # it has no session here, only a lease
            ops.append(Op.create(space.under(LEASE), space.lease(lease_s)))
        try:
            answers = self._connection.multi(ops, deadline)
        except ReplyLost:
            return None
        return (new, answers[0].version) if refusal_in(answers) is None else None

    def _refuse_if_owned(self, standing: Standing) -> None:
        """Raise FlowOwned when the owner's session goes on, or else its lease."""
        head = standing.head
        if head.owner is None:
            return
        left_s = None
        if standing.session is None:
            left_s = 0.0 if standing.lease_until is None else standing.lease_until - self._root.now()
        elif lives_by_pid(head.owner) is False:  # its session ends later than it did
            left_s = 0.0
        if left_s is None or left_s > 0:
            raise FlowOwned(head.key, str(head.owner), to_text(head.since), left_s)

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """See that the claim stands, and return the requests that wait, oldest first.

        The session is what keeps a claim; only of an owner that is another process, the lease is prolonged. A lease of
        0 gives the claim up: all records are summed up, and older znodes are deleted.
        """
        if lease_s > 0:
            self._root.open()
            return self._writers.of(claim).prolong(claim, lease_s)
        try:
            writer = self._writers.of(claim)
            self._root.open()
            waiting = writer.give_up(claim)
        except OwnershipLost:
            return []
        self._writers.drop(claim)
        return waiting

    # -- writing --

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Write all ``changes`` as one znode, in one step with the head that counts it."""
        text = Text.of(changes, changes_text(changes, self.value_limit_bytes))
        writer = self._writers.of(claim)
        self._root.open()
        writer.commit(claim, fence, text)
        with self._counting:
            self.transactions += 1
        return Claim(claim.key, claim.epoch, claim.seq + 1) if fence is Fence.SEQ else claim

    def post(self, key: str, request: Row) -> None:
        """Leave a request for the owner of ``key``, in a znode of its own."""
        text = text_of(Put("request", key, request), self.value_limit_bytes)
        self._root.open()
        space, deadline = Space(self._connection, key), self._connection.deadline()
        while not space.post(text):
            self._root.make_head(space)
            if time.monotonic() > deadline:
                raise StorageBusy(self.url, f"others change {space.path} all the time")

    def destroy(self, flow: str) -> None:
        """Forget a flow and all its records, but not the height of its epoch."""
        self._root.open()
        space = Space(self._connection, f"flow:{flow}")
        standing = space.standing()
        if standing is None or standing.head.flow is None:
            raise self._not_found(flow)
        self._refuse_if_owned(standing)
        claim = self.claim(space.key, current_owner(), lease_s=0)
        head, version = self._writers.of(claim).destroy(claim)
        self._writers.drop(claim)
        space.empty()
        self._root.forget_head(space, head.epoch, version)


def _summary(name: str, flow: str | None, data: bytes) -> FlowSummary | None:
    """Return what the head of a flow tells; None when it has no record."""
    try:
        if flow is not None:
            return head_in(data, f"{KEYS}/{FLOWS}/{quoted(flow)}", f"flow:{flow}").summary(flow)
    except (ValueError, TypeError, RecursionError):
        pass
    return FlowSummary(name if flow is None else flow, "", "", DAMAGED, 0.0, 0.0, 0)
