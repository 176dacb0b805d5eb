"""What a logbook holds, as people speak of it: a book of flow details, each with its atoms' details.

They are read values, made from `FlowRecords`; results and failures in them are as stored, not decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flowbook.exceptions import NotFound
from flowbook.persistence.backend import FlowRecords
from flowbook.persistence.changes import Row

_ATOM_FIELDS = {"state", "round", "attempt", "result", "failure", "metadata"}


@dataclass(frozen=True, slots=True)
class AtomDetail:
    """One atom of a flow as last recorded, and all its attempts, oldest first.

    ``result`` and ``failure`` are None when there is none; ``more`` holds what else its record says.
    """

    name: str
    state: str
    round: int
    attempt: int
    result: Any  # a stored value, not decoded
    failure: Any
    metadata: Mapping[str, Any]
    more: Row
    attempts: tuple[Row, ...] = ()

    @classmethod
    def from_row(cls, name: str, row: Row, attempts: Iterable[Row] = ()) -> AtomDetail:
        """Return the detail that a record of the kind ``atom`` describes."""
        return cls(
            name,
            row.get("state", "PENDING"),
            row.get("round", 0),
            row.get("attempt", 0),
            row.get("result"),
            row.get("failure"),
            row.get("metadata") or {},
            {field: value for field, value in row.items() if field not in _ATOM_FIELDS},
            tuple(attempts),
        )


@dataclass(frozen=True, slots=True)
class FlowDetail:
    """One flow as last recorded: its state, and the details of the atoms that have a record.

    An atom without a record is still PENDING. ``row`` is the whole ``flow`` record.
    """

    id: str
    book: str
    name: str
    state: str
    created_at: float
    updated_at: float
    row: Row
    atoms: Mapping[str, AtomDetail]

    @classmethod
    def from_records(cls, records: FlowRecords) -> FlowDetail:
        """Return the detail that the records describe. Raises NotFound without a ``flow`` record."""
        row = next(iter(records.kind("flow").values()), None)
        if row is None:
            raise NotFound("run", records.flow)
        attempts = records.appended.get("attempt", {})
        return cls(
            records.flow,
            row.get("book", ""),
            row.get("name", ""),
            row.get("state", ""),
            row.get("created_at", 0.0),
            row.get("updated_at", 0.0),
            row,
            {
                name: AtomDetail.from_row(name, atom, attempts.get(name, ()))
                for name, atom in records.kind("atom").items()
            },
        )

    def find(self, atom: str) -> AtomDetail:
        """Return the detail of one atom. Raises NotFound when it has no record."""
        try:
            return self.atoms[atom]
        except KeyError:
            raise NotFound("atom", atom, self.atoms) from None


@dataclass(frozen=True, slots=True)
class LogBook:
    """Flow details that belong together, by their ids."""

    name: str
    flows: Mapping[str, FlowDetail]

    @classmethod
    def of(cls, name: str, flows: Collection[FlowDetail]) -> LogBook:
        """Return the book ``name`` with those of ``flows`` that lie in it."""
        return cls(name, {flow.id: flow for flow in flows if flow.book == name})

    def find(self, flow: str) -> FlowDetail:
        """Return one flow's detail. Raises NotFound when the book has no such flow."""
        try:
            return self.flows[flow]
        except KeyError:
            raise NotFound("run", flow, self.flows) from None
