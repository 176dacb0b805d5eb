"""Entering a run: what its ``run_id`` already means, whether flow and inputs are those recorded, and what is left."""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flowbook.engines.core.messages import Event
from flowbook.engines.core.run import PROGRESS, REASON
from flowbook.engines.options import DEFAULT_BOOK, Options
from flowbook.engines.secrecy import check_recorded
from flowbook.engines.storage import Storage, as_inline
from flowbook.exceptions import Damaged, FlowChanged, InputsChanged, NotFound, NotPossible
from flowbook.flows.plan import Plan, differences, is_same, plan_record, plan_text, refused_versions
from flowbook.garbage import uncollected
from flowbook.persistence import codec
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import MISSING, Change, Delete, Put, Row
from flowbook.secrets.secret import Secret
from flowbook.states import (
    FINISHED,
    FLOW_TRANSITIONS,
    UNFINISHED_ATOMS,
    AtomEvent,
    AtomState,
    FlowEvent,
    FlowState,
    atom_after,
    flow_after,
)

LOG = logging.getLogger("flowbook")


class Resumed(NamedTuple):
    """What an earlier owner left of a run: atoms that are saved, that it was in the middle of, and still to go."""

    saved: int
    interrupted: int
    to_go: int

    @property
    def is_news(self) -> bool:
        """Whether anything was done before."""
        return bool(self.saved or self.interrupted)

    def __str__(self) -> str:
        return f"{self.saved} saved, {self.interrupted} interrupted, {self.to_go} to go"


class Entered(NamedTuple):
    """A run that was entered: its records, what was left of it (None: a new run or round), how its flow differs.

    ``cancelling`` are the posted requests to cancel it that nobody has heard yet.
    """

    records: FlowRecords
    resumed: Resumed | None
    differences: list[str]
    cancelling: list[str]


@uncollected()
def look(storage: Storage, inputs: Mapping[str, object], options: Options) -> bool:
    """Return whether the run is finished and stays so; then its saved results can be read.

    Reads one record unless it is. Raises InputsChanged and FlowChanged for a finished run of something else.
    """
    if options.rerun:
        return False
    records = storage.read(("flow",))
    if records is None or state_of(records) not in FINISHED:
        return False
    saved = storage.read()
    if saved is None:
        return False
    check_inputs(storage, saved, inputs)
    if check_plan(storage, saved, on_change=options.on_change):
        LOG.warning("run %r is finished: what is new in its flow has not run; rerun=True runs all", storage.run_id)
    storage.restore(saved)
    return True


@uncollected()
def enter(storage: Storage, inputs: Mapping[str, object], options: Options, at: float) -> Entered:
    """Create the run, or take up the one that is recorded, in at most one commit under the claim.

    Raises InputsChanged and FlowChanged when what is recorded is another flow or other inputs, EncodeError or
    TooLarge for inputs that cannot be stored, and SecretMissing or SecretKeyMissing for a recorded secret that cannot
    be had; nothing is written then.
    """
    saved = storage.read()
    if saved is None:
        return Entered(_create(storage, inputs, options, at), None, [], [])
    check_inputs(storage, saved, inputs)
    check_book(storage, saved, options)
    found = check_plan(storage, saved, on_change=options.on_change)
    _check_retries(storage, saved)
    if options.rerun or state_of(saved) not in FINISHED:
        check_recorded(saved)
    is_over = state_of(saved) in FINISHED
    requests = saved.kind("request")
    cancelling = [] if is_over else [key for key, row in requests.items() if row.get("do") == "cancel"]
    changes: list[Change] = [Delete("request", key) for key in requests if key not in cancelling]
    changes += storage.put_inputs({name: value for name, value in inputs.items() if name not in saved.kind("input")})
    if found:
        changes.append(Put("plan", "plan", pack_plan(storage.plan, storage.backend)))
    flow_row = saved.kind("flow")[storage.run_id]
    if options.factory is not None and options.factory != flow_row.get("factory"):
        changes.append(Put("flow", storage.run_id, {**flow_row, "factory": options.factory}))
        saved = _after(saved, changes[-1:])
    left: Resumed | None = what_is_left(saved, storage.plan.atom_count)
    if options.rerun and is_over:
        changes += reset(saved, at)
        left = None
    storage.commit(changes)
    return Entered(_after(saved, changes), left, found, cancelling)


def _create(storage: Storage, inputs: Mapping[str, object], options: Options, at: float) -> FlowRecords:
    flow_row = options.flow_row(storage.plan, at)
    changes: list[Change] = [
        Put("flow", storage.run_id, flow_row),
        Put("plan", "plan", pack_plan(storage.plan, storage.backend)),
        *storage.put_inputs(inputs),
    ]
    storage.commit(changes)
    return _after(FlowRecords(storage.run_id, {}), changes)


def _after(records: FlowRecords, changes: list[Change]) -> FlowRecords:
    rows = {kind: dict(by_key) for kind, by_key in records.rows.items()}
    appended = {kind: dict(by_key) for kind, by_key in records.appended.items()}
    for change in changes:
        if isinstance(change, Put):
            rows.setdefault(change.kind, {})[change.key] = dict(change.row)
        else:
            rows.get(change.kind, {}).pop(change.key, None)
            appended.get(change.kind, {}).pop(change.key, None)
    return FlowRecords(records.flow, rows, appended)


_OF_A_ROUND: Final = frozenset({"intention", "last_wave", "due", "undo", "deadline", REASON})
"""The fields of a flow's record that its next round begins without."""


def reset(saved: FlowRecords, at: float) -> list[Change]:
    """Return the changes that begin a new round of a finished run: every atom is PENDING again, none is forgotten."""
    flow_id, row = next(iter(saved.kind("flow").items()))
    flow = {name: value for name, value in row.items() if name not in _OF_A_ROUND}
    state = FlowState(row["state"])
    if (state, FlowEvent.RECOVER) in FLOW_TRANSITIONS:  # its owner is gone
        state = flow_after(flow_after(state, FlowEvent.RECOVER), FlowEvent.RECOVERED)
    state = state if state is FlowState.PENDING else flow_after(state, FlowEvent.RESET)
    changes: list[Change] = [Put("flow", flow_id, {**flow, "state": state.value, "updated_at": at})]
    for name, atom in saved.kind("atom").items():
        before = AtomState(atom["state"])
        after = before if before is AtomState.PENDING else atom_after(before, AtomEvent.RESET)
        kept = {key: value for key, value in atom.get("metadata", {}).items() if key != PROGRESS}
        again: Row = {"state": after.value, "round": atom.get("round", 0) + 1}
        changes.append(Put("atom", name, {**again, "metadata": kept} if kept else again))
    changes += [Delete("history", name) for name in saved.appended.get("history", {})]
    return changes


def reset_now(storage: Storage, at: float) -> list[Event]:
    """Commit a new round of a run under the claim; return what changed, for those who listen. Raises NotFound."""
    saved = storage.read()
    if saved is None:
        raise NotFound("run", storage.run_id)
    changes = reset(saved, at)
    storage.commit(changes)
    storage.restore(_after(saved, changes))
    was, index = saved.kind("atom"), storage.plan.index
    moved = [(index[name], row["state"]) for name, row in was.items() if name in index]
    events = [Event(node, AtomState.PENDING, old) for node, old in sorted(moved) if old != AtomState.PENDING]
    return [*events, Event(None, FlowState.PENDING, state_of(saved))]


def pack_plan(plan: Plan, backend: Backend) -> Row:
    """Return the row that records a plan; a backend that keeps live objects is spared the packing."""
    if backend.keeps_references:
        return {"plan": plan}
    digest, text = plan_text(plan)
    return {"digest": digest, "packed": base64.b64encode(zlib.compress(text.encode())).decode()}


def unpack_plan(row: Row) -> dict[str, Any]:
    """Return the record of a plan from its row; `plan_record` says what it holds. Raises Damaged."""
    if "plan" in row:
        return plan_record(row["plan"])
    try:
        record = json.loads(zlib.decompress(base64.b64decode(row["packed"], validate=True)))
    except (KeyError, ValueError, TypeError, RecursionError, zlib.error) as error:
        raise Damaged("the plan of a run", str(error)) from error
    if not isinstance(record, dict):
        raise Damaged("the plan of a run", "it is not a mapping")
    return record


def check_inputs(storage: Storage, saved: FlowRecords, inputs: Mapping[str, object]) -> None:
    """See that no recorded input is given another value now. Raises InputsChanged, naming those that differ.

    Inputs that were not recorded yet may be added; recorded ones need not be given again.
    """
    recorded = saved.kind("input")
    encodes = not storage.backend.keeps_references
    changed = [
        name
        for name, value in inputs.items()
        if name in recorded and not _same(recorded[name]["value"], value, encodes=encodes)
    ]
    if changed:
        raise InputsChanged(storage.run_id, changed)


def check_book(storage: Storage, saved: FlowRecords, options: Options) -> None:
    """See that the run is not asked for in another book than its own. Raises NotPossible."""
    recorded = saved.kind("flow")[storage.run_id]["book"]
    if options.book not in (DEFAULT_BOOK, recorded):
        raise NotPossible(f"run {storage.run_id!r} lies in book {recorded!r}, not in {options.book!r}")


def _same(recorded: Any, value: object, *, encodes: bool) -> bool:  # recorded: a row's field
    handle = as_inline(recorded)
    if encodes or handle.live is MISSING:  # texts are compared: to Python 1, 1.0 and True are equal
        return _canonical(json.loads(codec.encode(value))) == _canonical(handle.document)
    try:
        return handle.live is value or (type(handle.live) is type(value) and bool(handle.live == value))
    except Exception:  # arrays have no one truth value
        return False


def _canonical(document: Any) -> str:  # of a JSON document
    """Return a text that is the same for values that differ in the order of their dictionaries alone."""
    return json.dumps(_ordered(document), sort_keys=True)


def _ordered(document: Any) -> Any:
    if isinstance(document, dict):
        if isinstance(secret := document.get("!secret"), dict):
            return {"!secret": _comparable(secret)}
        inside = {key: _ordered(value) for key, value in document.items()}
        return {"!dict": sorted(inside["!dict"], key=_canonical)} if "!dict" in inside else inside
    return [_ordered(each) for each in document] if isinstance(document, list) else document


def _comparable(secret: dict[str, object]) -> object:
    """Return what is the same for the same secret: one that is sealed twice has two tokens."""
    found = Secret.from_data(secret)
    return secret if found.is_reference else ["sealed", found.reveal()]


def check_plan(storage: Storage, saved: FlowRecords, *, on_change: str) -> list[str]:
    """Return how the flow differs from the recorded plan, a line each; also logged as a warning.

    Raises FlowChanged when an atom's major version changed, and for any difference with ``on_change="refuse"``.
    """
    row = saved.kind("plan").get("plan")
    if row is None or ("plan" in row and is_same(row["plan"], storage.plan)):
        return []
    new = plan_record(storage.plan)
    if row.get("digest") == new["digest"]:
        return []
    old = unpack_plan(row)
    refused, found = refused_versions(old, new), differences(old, new)
    if refused or (found and on_change == "refuse"):
        raise FlowChanged(storage.run_id, refused or found)
    if found:
        LOG.warning("the flow of run %r has changed: %s", storage.run_id, "; ".join(found))
    return found


def _check_retries(storage: Storage, saved: FlowRecords) -> None:
    """See that the retries are there whose flows are being reverted: nothing else can end that. Raises FlowChanged."""
    retries = {storage.plan.names[node] for node in storage.plan.failure_heads}
    gone = [
        f"retry {name!r} is gone, and its flow is being reverted"
        for name, row in saved.kind("atom").items()
        if name not in retries and ("intention" in row or row["state"] == AtomState.RETRYING)
    ]
    if gone:
        raise FlowChanged(storage.run_id, gone)


def what_is_left(saved: FlowRecords, atom_count: int) -> Resumed:
    """Return how far an earlier owner came."""
    states = [row["state"] for row in saved.kind("atom").values()]
    interrupted = sum(state in UNFINISHED_ATOMS for state in states)
    done = sum(state not in UNFINISHED_ATOMS and state != AtomState.PENDING for state in states)
    return Resumed(done, interrupted, max(0, atom_count - done - interrupted))


def state_of(saved: FlowRecords) -> FlowState:
    """Return the recorded state of the flow."""
    return FlowState(next(iter(saved.kind("flow").values()))["state"])
