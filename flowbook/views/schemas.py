"""What stands in each document: its name and version, its fields, and which of them is the list of rows.

A document's fields are part of what flowbook promises: within a version fields are added, and none is taken away or
given another meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Part = Mapping[str, Any]
"""A JSON Schema, or a part of one."""

ANYTHING: Final[Part] = {}
TEXT: Final[Part] = {"type": "string"}
COUNT: Final[Part] = {"type": "integer", "minimum": 0}
NUMBER: Final[Part] = {"type": "number"}
YES_OR_NO: Final[Part] = {"type": "boolean"}
TIME: Final[Part] = {"type": "string", "format": "date-time"}


def maybe(part: Part) -> Part:
    """Return the schema of a field that is null where there is nothing to say."""
    return {"anyOf": [part, {"type": "null"}]}


def listed(part: Part) -> Part:
    """Return the schema of a list."""
    return {"type": "array", "items": part}


def mapped(part: Part) -> Part:
    """Return the schema of a mapping from names that are not known before."""
    return {"type": "object", "additionalProperties": part}


def record(fields: Mapping[str, Part]) -> Part:
    """Return the schema of an object that has all these fields, and later perhaps more."""
    return {"type": "object", "properties": dict(fields), "required": list(fields)}


@dataclass(frozen=True, slots=True)
class DocumentSchema:
    """The fields of a document. ``name`` is what its ``schema`` says: ``flowbook.<verb>/<version>``.

    ``rows`` names the field that is a list of rows, with the fields ``row``; where it is empty the document itself is
    the one row. ``fields`` are those beside the rows. ``told_by_rows`` are fields of the document that each row
    repeats, under a name of its own, where rows stand alone.
    """

    name: str
    rows: str
    row: Mapping[str, Part]
    fields: Mapping[str, Part] = field(default_factory=dict)
    told_by_rows: Mapping[str, str] = field(default_factory=dict)

    @property
    def row_name(self) -> str:
        """What the ``schema`` of a row says that stands alone."""
        return f"{self.name}#{self.rows}" if self.rows else self.name

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of the document."""
        fields: dict[str, Part] = {"schema": {"const": self.name}, **self.fields}
        fields |= {self.rows: listed(record(self.row))} if self.rows else self.row
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": self.name, **record(fields)}

    def document(self, rows: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        """Return a document of these rows, its schema first and its rows last."""
        return {"schema": self.name, **fields, self.rows: rows}


OWNER: Final = record({"name": TEXT, "since": TIME, "lives": maybe(YES_OR_NO)})
FAILURE: Final = record({"type": TEXT, "message": TEXT, "traceback": TEXT})

_RUN: Final[Mapping[str, Part]] = {
    "id": TEXT,
    "book": TEXT,
    "name": TEXT,
    "state": TEXT,
    "created_at": maybe(TIME),
    "updated_at": maybe(TIME),
    "owner": maybe(OWNER),
}

_ATOM: Final[Mapping[str, Part]] = {
    "name": TEXT,
    "kind": TEXT,
    "state": TEXT,
    "round": COUNT,
    "attempts": COUNT,
    "reverts": COUNT,
    "started_at": maybe(TIME),
    "ended_at": maybe(TIME),
    "duration_s": maybe(NUMBER),
    "progress": maybe(NUMBER),
    "provides": listed(TEXT),
    "place": TEXT,
    "notes": mapped(ANYTHING),
    "failure": maybe(FAILURE),
    "revert_failure": maybe(FAILURE),
    "result": ANYTHING,
    "next_try_at": maybe(TIME),
}

_ATTEMPT: Final[Mapping[str, Part]] = {
    "round": COUNT,
    "attempt": COUNT,
    "direction": TEXT,
    "outcome": TEXT,
    "owner": TEXT,
    "started_at": TIME,
    "ended_at": maybe(TIME),
    "duration_s": maybe(NUMBER),
}

LIST: Final = DocumentSchema("flowbook.list/1", "runs", {**_RUN, "atoms": COUNT})
"""A list of runs, newest first."""

SHOW: Final = DocumentSchema(
    "flowbook.show/1",
    "atoms",
    _ATOM,
    {
        **_RUN,
        "factory": TEXT,
        "counts": mapped(COUNT),
        "inputs": mapped(ANYTHING),
        "deadline": maybe(TIME),
        "reason": TEXT,
    },
    {"run": "id"},
)
"""One run and its atoms, in the order of the plan; values are in their stored form."""

SHOW_ATOM: Final = DocumentSchema(
    "flowbook.show.atom/1",
    "attempts",
    _ATTEMPT,
    {
        "run": TEXT,
        "run_state": TEXT,
        "atom": record(_ATOM),
        "requires": mapped(listed(TEXT)),
        "rounds": listed(record({"given": ANYTHING, "failures": mapped(FAILURE)})),
        "waits_for": mapped(TEXT),
        "why_not": listed(TEXT),
    },
    {"run": "run"},
)
"""One atom in full: where its inputs come from, each attempt, and of a retry each round."""

PRUNE: Final = DocumentSchema(
    "flowbook.prune/1",
    "runs",
    {**_RUN, "atoms": COUNT, "fate": {"enum": ["to delete", "deleted", "skipped"]}, "why": TEXT},
    {"backend": TEXT, "dry_run": YES_OR_NO, "deleted": COUNT, "deleted_atoms": COUNT, "skipped": COUNT},
)
"""The runs that were asked to be deleted, newest first, and what became of each."""

DOCTOR: Final = DocumentSchema(
    "flowbook.doctor/1",
    "checks",
    {"area": TEXT, "level": {"enum": ["ok", "warn", "fail"]}, "what": TEXT, "where": TEXT, "fix": TEXT},
    {"backend": TEXT, "healthy": YES_OR_NO},
)
"""What was looked at, in a storage and in what is installed; healthy is what has no failure."""

PLUGINS: Final = DocumentSchema(
    "flowbook.plugins/1",
    "plugins",
    {"group": TEXT, "name": TEXT, "value": TEXT, "package": TEXT, "version": TEXT, "error": TEXT, "needs": TEXT},
)
"""The entry points of flowbook's groups; error is empty where one can be loaded."""

EXPLAIN: Final = DocumentSchema(
    "flowbook.explain/1", "errors", {"code": TEXT, "name": TEXT, "summary": TEXT, "page": TEXT}
)
"""Errors by their codes, each with its page."""

GRAPH: Final = DocumentSchema(
    "flowbook.graph/1",
    "nodes",
    {
        "id": TEXT,
        "label": TEXT,
        "kind": {"enum": ["task", "retry", "decider", "mark", "folded"]},
        "box": maybe(TEXT),
        "state": maybe(TEXT),
        "atoms": COUNT,
        "counts": mapped(COUNT),
        "notes": listed(TEXT),
        "details": listed(TEXT),
    },
    {
        "flow": TEXT,
        "run": maybe(TEXT),
        "state": maybe(TEXT),
        "counts": mapped(COUNT),
        "folded_below": maybe(COUNT),
        "edges": listed(record({"source": TEXT, "target": TEXT, "data": listed(TEXT)})),
        "boxes": listed(record({"id": TEXT, "label": TEXT, "parent": maybe(TEXT), "notes": listed(TEXT)})),
    },
    {"flow": "flow", "run": "run"},
)
"""A flow or a run as it is drawn: nodes with their states, edges with the data handed over, boxes around nodes."""

EVENT: Final = DocumentSchema(
    "flowbook.event/1",
    "",
    {
        "ts": TIME,
        "run": TEXT,
        "atom": TEXT,
        "event": TEXT,
        "state": TEXT,
        "attempt": COUNT,
        "progress": maybe(NUMBER),
        "message": TEXT,
    },
)
"""``event`` says what the rest is about: ``flow`` and ``atom`` (a new state), ``saved`` (an atom that was done before),
``progress``, ``output`` (a line that the atom has printed), ``message`` (a word of flowbook) and ``summary``."""

SCHEMAS: Final = {
    schema.name: schema for schema in (LIST, SHOW, SHOW_ATOM, PRUNE, DOCTOR, PLUGINS, EXPLAIN, GRAPH, EVENT)
}
"""All documents by their names."""
