"""Details as native records and back: pure functions, for connections and engines alike.

The flow detail with the uuid U is the native run U. What the native engine knows is written as the engine writes it;
what only TaskFlow's details know stands beside it under the kind ``detail``. Atoms have their name as key, or
``name#uuid`` where another one has it. A ``detail`` row holds a state only while no native row could.
"""

from collections.abc import Mapping
from copy import deepcopy
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from flowbook.engines.options import SCHEMA
from flowbook.engines.results import live
from flowbook.engines.storage import as_inline, handle_of, rounds_of
from flowbook.persistence.backend import Backend, FlowRecords
from flowbook.persistence.changes import Append, Change, Delete, Inline, Put, Row
from flowbook.states import AtomState, FlowState
from flowbook.taskflow.persistence.models import AtomDetail, FlowDetail, LogBook, RetryDetail, TaskDetail

KINDS: Final = ("flow", "atom", "input", "detail", "history")
"""The kinds of records that details are made of."""

OWN_KINDS: Final = frozenset({"input", "detail"})
"""The kinds that a connection may write while an engine writes the others."""

INJECTOR: Final = "_TaskFlow_INJECTOR"
"""The name of the task detail whose results are what was given to the flow: the native inputs."""

FIELDS: Final[Mapping[str, str]] = {
    "results": "result",
    "failure": "failure",
    "revert_results": "revert_result",
    "revert_failure": "revert_failure",
}
"""What came out of an atom: the attributes of its detail, and the fields of its native row."""

_PENDING: Final = AtomState.PENDING.value
_TO_RUN: Final = (_PENDING, AtomState.RUNNING.value)
_REASONS: Final[Mapping[str | None, str]] = {"FAILURE": "failure", "REVERT_FAILURE": "revert_failure"}


class Values:
    """How a native backend keeps values: encoded, or as the live objects that they are."""

    def __init__(self, native: Backend) -> None:
        self._native = native

    def kept(self, value: object, what: str) -> Inline:
        """Return the handle of a value. Raises EncodeError and TooLarge, which name ``what``."""
        return handle_of(value, what, self._native)

    def meta(self, of: FlowDetail | AtomDetail | LogBook) -> dict[str, Inline]:
        """Return the field of a row that keeps metadata, which its owner may go on changing; nothing for none."""
        return {"meta": self.kept(deepcopy(of.meta), f"metadata of {of.name!r}")} if of.meta else {}


class Place(NamedTuple):
    """Where the rows of an atom are: its flow, its key there, and its position among the atoms."""

    flow: str
    key: str
    order: int


def places_of(known: FlowRecords, flow: FlowDetail | None = None) -> dict[str, Place]:
    """Return, by uuid and in their order, the places of the atoms that are known, and of others that ``flow`` has."""
    rows = {**known.kind("atom"), **known.kind("detail")}  # some runs have only the first
    rows.pop("", None)
    keys = sorted(rows, key=lambda key: rows[key].get("order", 0))
    uuids = (rows[key].get("uuid") or str(uuid5(NAMESPACE_OID, f"{known.flow}/{key}")) for key in keys)
    places = {uuid: Place(known.flow, key, order) for order, (uuid, key) in enumerate(zip(uuids, keys, strict=True))}
    for atom in flow or ():
        if atom.uuid not in places:
            key = f"{atom.name}#{atom.uuid}" if atom.name in rows or not atom.name else atom.name
            places[atom.uuid] = Place(known.flow, key, len(places))
            rows[key] = {}
    return places


def changes_of(
    flow: FlowDetail, values: Values, *, at: float, known: FlowRecords, book: LogBook | None = None
) -> list[Change]:
    """Return what is to be written so that a native backend, which holds ``known``, keeps a flow detail.

    ``at`` is the time, in seconds since the epoch. Atoms that are known and not in ``flow`` are left alone. ``book`` is
    the logbook that a new flow is in. Raises EncodeError and TooLarge for what cannot be kept.
    """
    places = places_of(known, flow)
    state, untold = _told(flow.state, FlowState)
    row = {"id": flow.uuid, "schema": SCHEMA, "book": book.name if book else "", "name": flow.name, "created_at": at}
    row |= known.kind("flow").get(flow.uuid, {})
    row |= {"state": state, "atoms": sum(place.key != INJECTOR for place in places.values()), "updated_at": at}
    changes: list[Change] = [Put("flow", flow.uuid, row), Put("detail", "", {**untold, **values.meta(flow)})]
    for atom in flow:
        changes += changes_of_atom(atom, places[atom.uuid], values, at=at, known=known)
    return changes


def changes_of_atom(atom: AtomDetail, place: Place, values: Values, *, at: float, known: FlowRecords) -> list[Change]:
    """Return what is to be written for one atom, as `changes_of` does for all; `places_of` has its place."""
    own = {"uuid": atom.uuid, "name": atom.name, "order": place.order, "intention": atom.intention}
    own |= {"is_retry": isinstance(atom, RetryDetail), **values.meta(atom)}
    if atom.version is not None:
        own["version"] = values.kept(atom.version, f"version of {atom.name!r}")
    if place.key == INJECTOR:
        inputs = (atom.results or {}).items()
        changes = [Put("input", name, {"value": values.kept(value, f"input {name!r}")}) for name, value in inputs]
        return [Put("detail", INJECTOR, {**own, "state": atom.state}), *changes]
    reason = getattr(atom, _REASONS.get(atom.state, ""), "")  # none has failed without one, natively
    state, untold = _told(atom.state, AtomState, can_say=reason is not None)
    return [
        Put("detail", place.key, {**own, **untold}),
        Put("atom", place.key, _atom_row(atom, known.kind("atom").get(place.key, {}), state, values, at)),
        *(_history(atom, place.key, values) if isinstance(atom, RetryDetail) else ()),
    ]


def _atom_row(atom: AtomDetail, old: Row, state: str, values: Values, at: float) -> Row:
    """Return the native row, with the facts that only the native engine knows left as they were."""
    row = {"attempt": 0, "started_at": 0.0} | {name: old[name] for name in old if name not in FIELDS.values()}
    row["state"] = state
    if state != _PENDING and not row["attempt"]:
        row["attempt"], row["started_at"] = 1, at
    given = {field: getattr(atom, name) for name, field in FIELDS.items()}
    if isinstance(atom, RetryDetail):
        given["result"] = atom.last_results if atom.results else None
    for field, value in given.items():
        if value is not None or (field == "result" and state == AtomState.SUCCESS):
            row[field] = values.kept(value, f"{field} of {atom.name!r}")
    return row


def _history(retry: RetryDetail, key: str, values: Values) -> list[Change]:
    """Return how the history of a retry is written anew."""
    rows: list[Row] = []
    for result, failures in retry.results:
        rows.append({"result": values.kept(result, f"result of {retry.name!r}")})
        rows += ({"atom": name, "failure": values.kept(failures[name], name)} for name in failures)
    return [Delete("history", key), *(Append("history", key, row) for row in rows)]


def _told(state: str | None, states: type[StrEnum], *, can_say: bool = True) -> tuple[str, dict[str, str | None]]:
    """Return what a native row says of a state, and the field of a ``detail`` row for what it cannot say."""
    if state is not None and state in states.__members__ and can_say:
        return state, {}
    return _PENDING, {"state": state}


def detail_of(records: FlowRecords, *, lazy: bool = False) -> FlowDetail:
    """Return the flow detail that records of the `KINDS` keep, without atom details when ``lazy``. Raises DecodeError.

    A run that only the native engine has written is one as well: its atoms get uuids made of their names.
    """
    row, own = records.kind("flow")[records.flow], records.kind("detail").get("", {})
    flow = FlowDetail(row["name"], records.flow, state=_state(row, own), meta=deepcopy(_value(own, "meta") or {}))
    for uuid, place in () if lazy else places_of(records).items():
        flow.add(_atom_of(uuid, place.key, records))
    return flow


def _atom_of(uuid: str, key: str, records: FlowRecords) -> AtomDetail:
    own, row = records.kind("detail").get(key, {}), records.kind("atom").get(key, {})
    history = records.appended.get("history", {}).get(key)
    cls = RetryDetail if own.get("is_retry", history is not None) else TaskDetail
    atom = cls(own.get("name", key), uuid, version=_value(own, "version"), state=_state(row, own))
    atom.meta = deepcopy(_value(own, "meta") or {})  # for a reader who may change it
    if not ("wave" in row and row["state"] in _TO_RUN):  # else what an engine decided for a round that is over
        atom.intention = own.get("intention", atom.intention)
    for name, field in FIELDS.items():
        setattr(atom, name, _value(row, field))
    if isinstance(atom, RetryDetail):
        atom.results = [
            (live(result or Inline(None)), {name: live(failure) for name, failure in failures.items()})
            for result, failures in rounds_of(history or ())
        ]
    elif not row:
        atom.results = {name: _value(given, "value") for name, given in records.kind("input").items()} or None
    return atom


def _state(row: Row, own: Row) -> Any:
    said = row.get("state", _PENDING)
    return own.get("state", said) if said == _PENDING else said


def _value(row: Row, name: str) -> Any:  # whatever a task or user gave
    return live(as_inline(row[name])) if name in row else None
