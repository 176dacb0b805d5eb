"""Runs on their way from one logbook to another: `flowbook.persistence.transfer` with what an engine knows of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from flowbook.engines.opening import pack_plan
from flowbook.engines.options import check_id
from flowbook.flows.plan import Plan
from flowbook.persistence import transfer
from flowbook.persistence.backend import Backend
from flowbook.persistence.changes import Row
from flowbook.persistence.memory import MemoryBackend

_AS_TEXT: Final = MemoryBackend("memory:?strict=yes")
"""A backend that keeps texts: what is packed for it, any other can take."""


def export_run(backend: Backend, run_id: str) -> Iterator[str]:
    """Yield the lines of the document of a run; a plan that lives in this process is packed.

    Raises NotFound, Damaged and EncodeError.
    """
    return transfer.export_run(backend, run_id, stored=_stored)


def _stored(kind: str, row: Row) -> Row:
    plan = row.get("plan") if kind == "plan" else None
    return pack_plan(plan, _AS_TEXT) if isinstance(plan, Plan) else row


def import_run(
    backend: Backend, lines: Iterable[str], *, run_id: str | None = None, source: str = "the document"
) -> str:
    """Write the run of a document, under ``run_id`` or its own id, and return the id.

    Raises NotPossible for an id that cannot be one, and what `flowbook.persistence.transfer.import_run` raises.
    """
    if run_id is not None:
        check_id("the run's id", run_id)
    return transfer.import_run(backend, lines, run=run_id, source=source)
