"""Views as JSON documents: a schema with its version first (see `schemas`); times as ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from flowbook.views.atoms import AtomReport, AttemptView
from flowbook.views.details import AtomView, FailureView, RunView
from flowbook.views.runs import OwnerView, RunRow
from flowbook.views.schemas import LIST, SHOW, SHOW_ATOM

Document = dict[str, Any]
"""JSON: made of what `json.dumps` takes."""


def list_document(rows: Iterable[RunRow]) -> Document:
    """Return the document of a list of runs."""
    return LIST.document([{**_header(row), "atoms": row.atoms} for row in rows])


def run_document(run: RunView) -> Document:
    """Return the document of one run."""
    header = {**_header(run), "factory": run.factory, "counts": dict(run.counts), "inputs": dict(run.inputs)}
    ends = {"deadline": iso(run.deadline), "reason": run.reason}
    return SHOW.document([_atom(atom) for atom in run.atoms], **header, **ends)


def atom_document(report: AtomReport) -> Document:
    """Return the document of one atom in full."""
    return SHOW_ATOM.document(
        [_attempt(attempt) for attempt in report.attempts],
        run=report.run,
        run_state=report.run_state,
        atom=_atom(report.atom),
        requires={symbol: list(sources) for symbol, sources in report.requires.items()},
        rounds=[
            {"given": one.given, "failures": {name: _failure(failure) for name, failure in one.failures.items()}}
            for one in report.rounds
        ],
        waits_for=dict(report.waits_for),
        why_not=list(report.why_not),
    )


def iso(at: float | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, to the millisecond; None stays None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def owner_document(owner: OwnerView | None) -> Document | None:
    """Return who has claimed a run, as a part of a document."""
    return None if owner is None else {"name": owner.name, "since": iso(owner.since), "lives": owner.lives}


def _header(run: RunRow | RunView) -> Document:
    return {
        "id": run.id,
        "book": run.book,
        "name": run.name,
        "state": run.state,
        "created_at": iso(run.created_at or None),
        "updated_at": iso(run.updated_at or None),
        "owner": owner_document(run.owner),
    }


def _atom(atom: AtomView) -> Document:
    return {
        "name": atom.name,
        "kind": atom.kind,
        "state": atom.state,
        "round": atom.round,
        "attempts": atom.attempts,
        "reverts": atom.reverts,
        "started_at": iso(atom.started_at),
        "ended_at": iso(atom.ended_at),
        "duration_s": atom.duration_s,
        "progress": atom.progress,
        "provides": list(atom.provides),
        "place": atom.place,
        "notes": dict(atom.notes),
        "failure": _failure(atom.failure),
        "revert_failure": _failure(atom.revert_failure),
        "result": atom.result,
        "next_try_at": iso(atom.next_try_at),
    }


def _attempt(attempt: AttemptView) -> Document:
    return {
        "round": attempt.round,
        "attempt": attempt.attempt,
        "direction": attempt.direction,
        "outcome": attempt.outcome,
        "owner": attempt.owner,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "duration_s": attempt.duration_s,
    }


def _failure(failure: FailureView | None) -> Document | None:
    if failure is None:
        return None
    return {"type": failure.type, "message": failure.message, "traceback": failure.traceback}
