"""Documents are what their schemas say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from acceptance.schemas import check, misfits
from flowbook.atoms import Times, task
from flowbook.engines import load
from flowbook.engines.context import current
from flowbook.flows import LinearFlow
from flowbook.persistence import Backend, fetch
from flowbook.views import list_runs, view_atom, view_run
from flowbook.views.documents import atom_document, list_document, run_document
from flowbook.views.schemas import COUNT, LIST, SCHEMAS, SHOW, SHOW_ATOM, TEXT, TIME, DocumentSchema, maybe


@task(provides="room")
def reserve(guest: str, attempt: int) -> str:
    current().annotate(attempt=attempt)
    return f"room of {guest}"


@task
def charge(room: str) -> None:
    raise ValueError("no money")


@pytest.fixture(params=["memory:", "memory:?strict=true"])
def backend(request: pytest.FixtureRequest) -> Backend:
    backend = fetch(request.param)
    flow = LinearFlow("stay", retry=Times(2, "again", provides="attempt")).add(reserve, charge)
    for _ in load(flow, {"guest": "ann"}, backend=backend, run_id="r1").run_iter():
        pass
    return backend


def as_read(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document))


def test_each_document_fits_its_schema(backend: Backend) -> None:
    check(as_read(list_document(list_runs(backend))), LIST.json_schema())
    check(as_read(run_document(view_run(backend, "r1"))), SHOW.json_schema())
    for atom in ("again", "reserve", "charge"):
        check(as_read(atom_document(view_atom(backend, "r1", atom))), SHOW_ATOM.json_schema())


def test_documents_have_the_fields_of_their_schemas_in_that_order(backend: Backend) -> None:
    document = run_document(view_run(backend, "r1"))
    assert list(document) == ["schema", *SHOW.fields, "atoms"]
    assert list(document["atoms"][0]) == list(SHOW.row)
    assert list(list_document(list_runs(backend))["runs"][0]) == list(LIST.row)
    attempts = atom_document(view_atom(backend, "r1", "charge"))["attempts"]
    assert list(attempts[0]) == list(SHOW_ATOM.row)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_is_named_by_its_verb_and_version_and_is_json(schema: DocumentSchema) -> None:
    verb, _, version = schema.name.partition("/")
    assert verb.startswith("flowbook.")
    assert version.isdecimal()
    assert json.loads(json.dumps(schema.json_schema()))["title"] == schema.name
    assert set(schema.told_by_rows.values()) <= set(schema.fields)


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        (True, COUNT, "$: True is no integer"),
        (-1, COUNT, "$: -1 is less than 0"),
        ("2026-05-31T12:30:00", TIME, "$: '2026-05-31T12:30:00' is no time in UTC"),
        (3, maybe(TEXT), "$: 3 is none of what it may be"),
        ({"schema": "flowbook.list/1", "runs": 3}, LIST.json_schema(), "$.runs: 3 is no array"),
        ({"schema": "flowbook.list/2", "runs": []}, LIST.json_schema(), "$.schema: 'flowbook.list/2' is not"),
        ({"schema": "flowbook.list/1"}, LIST.json_schema(), "$.runs is missing"),
        ({"schema": "flowbook.list/1", "runs": [{}]}, LIST.json_schema(), "$.runs[0].id is missing"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, schema: dict[str, Any], told: str) -> None:
    assert next(misfits(value, schema)).startswith(told)
