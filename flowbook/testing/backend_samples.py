"""What the suite of backends writes: a flow's record, and owners that are not this process."""

from __future__ import annotations

from typing import Any

from flowbook.persistence.backend import Backend, Claim, FlowRecords, Query
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import Owner, current_owner

FLOW_ROW: dict[str, Any] = {
    "book": "default",
    "name": "orders",
    "state": "RUNNING",
    "created_at": 1000.0,
    "updated_at": 1000.5,
    "atoms": 3,
}


def stranger(number: int = 1) -> Owner:
    """Return an owner on another machine, of which only its lease can tell whether it lives."""
    return Owner("elsewhere", "the boot of another machine", "pid:[1]", number, number, number)


def begin(backend: Backend, flow: str = "f", **fields: Any) -> Claim:
    """Return this process's claim on a flow whose ``flow`` record was just written."""
    claim = backend.claim(f"flow:{flow}", current_owner(), lease_s=60)
    return backend.commit(claim, [Put("flow", flow, {**FLOW_ROW, **fields})])


def ids(backend: Backend, query: Query) -> list[str]:
    """Return the ids of the flows that a query finds, in its order."""
    return [summary.flow for summary in backend.find(query)]


def decoded(records: FlowRecords) -> FlowRecords:
    """Return records that were looked at as though they had been loaded. Raises Damaged where one is not readable."""
    return FlowRecords(
        records.flow,
        {kind: dict(rows) for kind, rows in records.rows.items()},
        {kind: {key: list(rows) for key, rows in many.items()} for kind, many in records.appended.items()},
    )
