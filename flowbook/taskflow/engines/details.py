"""Adapts a flow detail to the seam of the native engine: a backend whose records are those that the details say.

Details are the truth when a flow is entered, since their owner may have changed them; from then on each commit goes to
the native backend below, and is then taken over into the details, which are current whenever something is told.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Final

from flowbook.clock import SystemClock
from flowbook.engines.opening import pack_plan
from flowbook.exceptions import NotFound
from flowbook.flows.plan import Plan
from flowbook.persistence.backend import Claim, Fence, FlowRecords, Request
from flowbook.persistence.changes import Append, Change, Delete, Inline, Put, Row
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import Owner
from flowbook.taskflow import states
from flowbook.taskflow.persistence import rows
from flowbook.taskflow.persistence.connection import AdaptedBackend
from flowbook.taskflow.persistence.models import ENDINGS, AtomDetail, FlowDetail, TaskDetail
from flowbook.taskflow.storage import META_PROGRESS, Storage

PROGRESS: Final = {
    **dict.fromkeys((states.PENDING, states.RUNNING, states.REVERTING), 0.0),
    **dict.fromkeys((states.SUCCESS, states.REVERTED), 1.0),
}
"""The progress of a task that a state means."""

_REVERTED: Final = (states.REVERTING, states.REVERTED, states.REVERT_FAILURE)


class Details:
    """The records of one flow detail. Verbs of a backend that are not its own are those of the native one.

    ``gave`` holds the rows of atoms whose attempts have ended, by name and state, until they are told.
    """

    def __init__(self, storage: Storage, flow: FlowDetail, plan: Plan) -> None:
        self.storage, self.flow, self._plan = storage, flow, plan
        self.gave: dict[tuple[str, str], Row] = {}
        kept = storage.backend
        self._adapted = kept if isinstance(kept, AdaptedBackend) else AdaptedBackend(None, MemoryBackend())
        self._records = FlowRecords(flow.uuid, {})
        self._unwritten: list[Change] = []

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._adapted.native, verb)

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Claim the flow in the native backend; connections write under this claim until it is given up."""
        claim = self._adapted.native.claim(key, owner, lease_s=lease_s, take_over=take_over)
        self._adapted.claims[self.flow.uuid] = claim
        return claim

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Renew the claim, or give it up."""
        if lease_s == 0 and self._adapted.claims.get(self.flow.uuid, claim).epoch == claim.epoch:
            self._adapted.claims.pop(self.flow.uuid, None)
        return self._adapted.native.renew(claim, lease_s=lease_s)

    def load(self, flow: str, kinds: Sequence[str]) -> FlowRecords:
        """Return the records that the details say, on top of what the native backend knows beside them."""
        native = self._adapted.native
        try:
            known = native.load(flow, (*{*kinds, *rows.KINDS},))
        except NotFound:
            known = FlowRecords(flow, {})
        with self.storage.lock.write_lock():
            self._unwritten = rows.changes_of(self.flow, self._adapted.values, at=SystemClock().now(), known=known)
            if not known.kind("plan"):
                self._unwritten.append(Put("plan", "plan", pack_plan(self._plan, native)))
            records = self._records = FlowRecords(flow, dict(known.rows), dict(known.appended))
            _apply(self._unwritten, records)
            for row in records.kind("detail").values():
                row.pop("state", None)  # from here on the native rows say it
            self._add_given()
            self._add_decided()
            kept = {kind: {**rows_of} for kind, rows_of in records.rows.items()}  # ours go on with each commit
            return FlowRecords(flow, kept, {kind: {**rows_of} for kind, rows_of in records.appended.items()})

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Write the changes, then take them over into the details; a backend of another kind is then told them."""
        with self.storage.lock.write_lock():
            _apply(changes, self._records)
            names = dict.fromkeys(change.key for change in changes if change.kind in ("atom", "history"))
            atoms = [self._after_commit(name) for name in names if name in self._plan.index]
            ended = [self._own(atom) for atom in atoms if atom.state in ENDINGS]
            written = [*self._unwritten, *changes, *ended]
            claim = self._adapted.claims[self.flow.uuid] = self._adapted.native.commit(claim, written, fence=fence)
            self._unwritten = []
            atoms = [self.storage._atom(atom.name).merge(atom) for atom in atoms]
            for change in changes:
                match change:
                    case Put("atom", name, {"state": state} as row) if state in ENDINGS:
                        self.gave[name, state] = row
                    case Put("flow", _, {"state": state}):
                        self.flow.state = state
        if self.storage.backend not in (None, self._adapted):
            with closing(self.storage.backend.get_connection()) as connection:
                for atom in atoms:
                    connection.update_atom_details(atom)
                connection.update_flow_details(self.flow)
        return claim

    # -- what the details say --

    def _add_given(self) -> None:
        """Add the values that were given, also those that are not to be written."""
        kinds: Any = self._records.rows
        kinds["input"] = {name: {"value": Inline(value)} for name, value in self.storage.injected_inputs().items()}
        kinds["injected"] = {
            name: {symbol: Inline(value) for symbol, value in self.storage.injected_for(name).items()}
            for name in self._plan.index
        }

    def _add_decided(self) -> None:
        """Say what is to become of scopes, and that the flow is to be gone on with, whatever state it is in."""
        atoms, flow = self._records.kind("atom"), self._records.kind("flow")[self.flow.uuid]
        for row in atoms.values():
            if row["state"] == states.REVERTING:
                row.setdefault("revert_attempt", 1)
            elif row["state"] == states.PENDING:
                row.pop("failure", None)
                row.pop("intention", None)
        known = {name: self.storage._atom(name).intention for name in self._plan.index}
        decided = set[str]()  # atoms of flows that are reverted by themselves
        for scope in self._plan.scopes[1:]:
            names = self._plan.names[scope.first : scope.end]
            if known[names[0]] in (states.REVERT, states.RETRY):
                atoms[names[0]]["intention"] = known[names[0]]
            decided.update(names if "intention" in atoms[names[0]] else ())
        if any(intention == states.REVERT and name not in decided for name, intention in known.items()):
            flow["intention"] = states.REVERT
        flow["state"] = states.SUSPENDED

    # -- what a commit says --

    def _after_commit(self, name: str) -> AtomDetail:
        """Return the detail of an atom as the records have it now, with what they do not know."""
        known, row = self.storage._atom(name), self._records.kind("atom").get(name, {})
        atom = rows._atom_of(known.uuid, name, self._records)
        intention = states.REVERT if atom.state in _REVERTED else states.EXECUTE
        intention = states.IGNORE if atom.state == states.IGNORE else intention
        atom.meta, atom.intention = known.meta, row.get("intention", intention)
        if atom.state == states.PENDING != self._records.kind("flow")[self.flow.uuid]["state"]:
            atom.failure = known.failure  # not made good until a later round succeeds
        progress = PROGRESS.get(atom.state or "")
        if isinstance(atom, TaskDetail) and progress not in (None, atom.meta.get(META_PROGRESS, 0.0)):
            atom.meta = {**atom.meta, META_PROGRESS: progress}
        return atom

    def _own(self, atom: AtomDetail) -> Put:
        row = self._records.kind("detail")[atom.name]
        return Put("detail", atom.name, {**row, "intention": atom.intention, **self._adapted.values.meta(atom)})


def _apply(changes: Iterable[Change], records: FlowRecords) -> None:
    """Make the changes to the records that there are."""
    kept: Any = records.rows
    appended: Any = records.appended
    for change in changes:
        match change:
            case Put(kind, key, row):
                kept.setdefault(kind, {})[key] = dict(row)
            case Append(kind, key, row):
                of_kind = appended.setdefault(kind, {})
                of_kind[key] = [*of_kind.get(key, ()), row]
            case Delete(kind, key):
                kept.get(kind, {}).pop(key, None)
                appended.get(kind, {}).pop(key, None)
