"""Views as JSON documents: one line of schema first, with its version; times as ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from flowbook.views.details import RunView
from flowbook.views.runs import RunRow

LIST_SCHEMA: Final = "flowbook.list/1"
SHOW_SCHEMA: Final = "flowbook.show/1"

_TIMES = frozenset({"created_at", "updated_at", "started_at", "ended_at", "since"})


def list_document(rows: Iterable[RunRow]) -> dict[str, Any]:
    """Return the document of a list of runs."""
    return {"schema": LIST_SCHEMA, "runs": [_plain(asdict(row)) for row in rows]}


def run_document(run: RunView) -> dict[str, Any]:
    """Return the document of one run."""
    values = asdict(run)
    stored = {"inputs": values.pop("inputs"), "results": [atom.pop("result") for atom in values["atoms"]]}
    document: dict[str, Any] = {"schema": SHOW_SCHEMA, **_plain(values), "inputs": stored["inputs"]}
    for atom, result in zip(document["atoms"], stored["results"], strict=True):
        atom["result"] = result
    return document


def _plain(value: Any, name: str = "") -> Any:  # JSON in, JSON out
    if isinstance(value, dict):
        return {key: _plain(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if name in _TIMES and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
