"""Records that are JSON, and not what an engine writes: each field is named, and good records pass as they are."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbook import FlowState, LinearFlow, Task, engines, task
from flowbook.engines.checking import checked
from flowbook.engines.context import current
from flowbook.engines.options import SCHEMA
from flowbook.exceptions import Damaged, EncodeError, NewerSchema, StorageError
from flowbook.persistence import Backend, fetch
from flowbook.persistence.backend import FlowRecords
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.owners import current_owner
from flowbook.views import find_id, view_run
from unit.engines.tasks import Raise, Say

GONE = object()


class Stuck(Say):
    """Cannot be reverted."""

    def revert(self) -> None:
        raise OSError("stuck")


@task(provides=("x", "y"))
def short() -> tuple[int]:
    """Gives less than it provides."""
    return (1,)


@task
def half(way: int) -> None:
    """Tells how far it is."""
    current().update_progress(0.5)


@pytest.fixture(params=["memory:?strict=true", "sqlite"])
def texts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Backends that keep text: what is damaged there is JSON."""
    with fetch(f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else request.param) as backend:
        yield backend


def ran(backend: Backend, *tasks: Task, **options: Any) -> engines.Engine:
    engine = engines.load(LinearFlow("f").add(*tasks), {"way": 3}, backend=backend, run_id="r", **options)
    for _ in engine.run_iter():
        pass
    return engine


def read(backend: Backend) -> FlowRecords:
    return checked(backend.load("r"), backend.url, SCHEMA)


def damage(backend: Backend, kind: str, key: str, **fields: object) -> None:
    """Commit a record with other fields than an engine gave it."""
    row = backend.load("r").kind(kind)[key]
    for name, value in fields.items():
        changed(row, name, value)
    commit(backend, Put(kind, key, row))


def changed(row: dict[str, Any], name: str, value: object) -> None:
    row[name] = value
    if value is GONE:
        del row[name]


def commit(backend: Backend, *changes: Put | Append | Delete) -> None:
    claim = backend.claim("flow:r", current_owner(), lease_s=30)
    backend.renew(backend.commit(claim, changes), lease_s=0)


FLOW = [
    ("state", "FOO"), ("state", 5), ("state", []), ("state", GONE),
    ("book", 5), ("book", GONE), ("name", None), ("name", GONE),
    ("created_at", "now"), ("created_at", True), ("created_at", float("nan")), ("created_at", 1e300),
    ("created_at", GONE), ("updated_at", []), ("updated_at", GONE),
    ("atoms", "2"), ("atoms", -1), ("atoms", True), ("atoms", GONE),
    ("schema", "1"), ("schema", True), ("schema", GONE), ("schema", 0),
    ("id", 5), ("id", "other"), ("id", GONE),
    ("intention", "FOO"), ("intention", {}), ("last_wave", "a"), ("last_wave", -2),
    ("due", "a"), ("undo", [1]), ("factory", "f"),
]  # fmt: skip

ATOM = [
    ("state", "FOO"), ("state", None), ("state", {}), ("state", GONE),
    ("attempt", -1), ("attempt", "1"), ("attempt", True), ("attempt", 1.5), ("attempt", GONE),
    ("started_at", "now"), ("started_at", None), ("started_at", 1e300), ("started_at", GONE),
    ("round", -1), ("round", "0"), ("round", None), ("revert_attempt", -1), ("revert_attempt", {}),
    ("absent", "x"), ("absent", [1.5]), ("absent", [True]), ("owner", 5), ("owner", None),
    ("metadata", 5), ("metadata", None), ("metadata", []),
    ("result", GONE), ("failure", 5), ("failure", {}), ("failure", "!failure"), ("revert_failure", []),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), FLOW)
def test_a_damaged_flow_is_named(texts: Backend, field: str, value: object) -> None:
    ran(texts, Say("a", []))
    try:
        damage(texts, "flow", "r", **{field: value})
        records = texts.load("r")
    except (EncodeError, StorageError):  # SQLite keeps some fields in columns, which take no such value
        records = texts.load("r")
        changed(records.kind("flow")["r"], field, value)
    with pytest.raises(Damaged) as raised:
        checked(records, texts.url, SCHEMA)
    assert raised.value.where == texts.url
    assert raised.value.why == f"flow 'r' of run 'r': {field} {said(value)}"


@pytest.mark.parametrize(("field", "value"), ATOM)
def test_a_damaged_atom_is_named(texts: Backend, field: str, value: object) -> None:
    ran(texts, Say("a", []))
    damage(texts, "atom", "a", **{field: value})
    with pytest.raises(Damaged) as raised:
        read(texts)
    assert raised.value.why == f"atom 'a' of run 'r': {field} {said(value)}"
    with pytest.raises(Damaged, match="damaged"):
        view_run(texts, "r")


def said(value: object) -> str:
    return "is missing" if value is GONE else f"is {value!r}"


@pytest.mark.parametrize(("state", "field"), [("FAILURE", "failure"), ("REVERT_FAILURE", "revert_failure")])
def test_what_failed_has_a_failure(texts: Backend, state: str, field: str) -> None:
    ran(texts, Say("a", []))
    damage(texts, "atom", "a", state=state)
    with pytest.raises(Damaged) as raised:
        read(texts)
    assert raised.value.why == f"atom 'a' of run 'r': {field} is missing"


@pytest.mark.parametrize(
    ("kind", "key", "fields", "wrong"),
    [
        ("input", "way", {"value": GONE}, "value is missing"),
        ("input", "way", {"value": GONE, "state": []}, "value is missing"),
        ("plan", "plan", {"digest": 5}, "digest is 5"),
        ("plan", "plan", {"digest": GONE}, "digest is missing"),
        ("plan", "plan", {"packed": []}, "packed is []"),
        ("plan", "plan", {"packed": GONE}, "packed is missing"),
        ("plan", "plan", {"plan": 5}, "plan is 5"),
        ("plan", "plan", {"plan": {}}, "plan is {}"),
    ],
)
def test_damaged_inputs_and_plans_are_named(
    texts: Backend, kind: str, key: str, fields: dict[str, object], wrong: str
) -> None:
    ran(texts, Say("a", []))
    damage(texts, kind, key, **fields)
    with pytest.raises(Damaged) as raised:
        read(texts)
    assert raised.value.why == f"{kind} {key!r} of run 'r': {wrong}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("started_at", GONE),
        ("started_at", "now"),
        ("ended_at", {}),
        ("round", -1),
        ("attempt", None),
        ("direction", "UP"),
        ("owner", 5),
        ("outcome", GONE),
    ],
)
def test_a_damaged_attempt_is_named(texts: Backend, field: str, value: object) -> None:
    ran(texts, Say("a", []))
    row = {**texts.load("r").appended["attempt"]["a"][0], field: value}
    commit(texts, Append("attempt", "a", {name: each for name, each in row.items() if each is not GONE}))
    with pytest.raises(Damaged) as raised:
        read(texts)
    assert raised.value.why == f"attempt of 'a' of run 'r': {field} {said(value)}"


def test_a_record_of_another_run_is_named(texts: Backend) -> None:
    ran(texts, Say("a", []))
    row = texts.load("r").kind("flow")["r"]
    with pytest.raises(Damaged) as raised:
        checked(FlowRecords("r", {"flow": {"other": row}}), texts.url, SCHEMA)
    assert raised.value.why == "flow 'other' of run 'r': it is the record of another run"


def test_what_is_wrong_is_cut_when_it_is_long(texts: Backend) -> None:
    ran(texts, Say("a", []))
    damage(texts, "atom", "a", metadata="x" * 1000)
    with pytest.raises(Damaged) as raised:
        read(texts)
    assert len(raised.value.why) < 150
    assert raised.value.why.endswith("xxx...")


def test_a_later_schema_is_no_damage_whatever_else_it_holds(texts: Backend) -> None:
    ran(texts, Say("a", []))
    damage(texts, "flow", "r", schema=99, state="DREAMING")
    with pytest.raises(NewerSchema, match="newer version") as raised:
        read(texts)
    assert raised.value.why == "run 'r' has schema 99, and 1 is the newest that is known here"
    with pytest.raises(NewerSchema):
        view_run(texts, "r")


def test_a_plan_of_something_else_is_damage_to_a_view(texts: Backend) -> None:

    ran(texts, Say("a", []))
    contents: list[object] = [
        {},
        {"atoms": 5},
        {"atoms": [5]},
        {"atoms": [{}]},
        {"atoms": [{"name": "a", "provides": 5}]},
    ]
    for content in contents:
        damage(texts, "plan", "plan", packed=base64.b64encode(zlib.compress(json.dumps(content).encode())).decode())
        with pytest.raises(Damaged):
            view_run(texts, "r")


def suspended(backend: Backend) -> None:
    engine = engines.load(LinearFlow("f").add(Say("a", []), Say("b", [])), {"way": 3}, backend=backend, run_id="r")
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    assert engine.state is FlowState.SUSPENDED


def rerun(backend: Backend) -> None:
    flow = LinearFlow("f").add(Say("a", []), Say("b", []), Say("c", []))
    engines.run(flow, backend=backend, run_id="r")
    engine = engines.load(flow, backend=backend, run_id="r", rerun=True)
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    assert backend.load("r").kind("atom")["c"] == {"state": "PENDING", "round": 1}


def under_way(backend: Backend) -> None:
    """Read while the atoms run, too."""

    @task
    def looks() -> None:
        current().update_progress(0.5)
        checked(backend.load("r"), backend.url, SCHEMA)

    ran(backend, looks, Raise("b", []))


GOOD: dict[str, Callable[[Backend], object]] = {
    "success": lambda backend: ran(backend, Say("a", []), half),
    "suspended": suspended,
    "reverted": lambda backend: ran(backend, Say("a", []), half, Raise("b", [])),
    "failed": lambda backend: ran(backend, Stuck("a", []), Raise("b", [])),
    "rerun": rerun,
    "under way": under_way,
    "absent": lambda backend: ran(backend, short),
    "in parallel": lambda backend: ran(backend, Say("a", []), half, engine="parallel"),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("url", ["memory:", "memory:?strict=true", "sqlite"])
def test_good_records_pass_as_they_are(url: str, name: str, tmp_path: Path) -> None:
    with fetch(f"sqlite:///{tmp_path}/runs.db" if url == "sqlite" else url) as backend:
        GOOD[name](backend)
        records = backend.load("r")
        before = repr(records)
        assert checked(records, backend.url, SCHEMA) is records
        assert repr(records) == before
        few = backend.load("r", ("atom",))
        assert checked(few, backend.url, SCHEMA) is few
        assert view_run(backend, "r").owner is None


def test_a_run_is_found_by_its_whole_id_among_many_that_begin_with_it(texts: Backend) -> None:
    for name in ("r", "r1", "r2"):
        engines.run(LinearFlow("f").add(Say("a", [])), backend=texts, run_id=name)
    texts.claim("flow:r", current_owner(), lease_s=30)
    assert find_id(texts, "r") == "r"
    owner = view_run(texts, "r").owner
    assert owner is not None
    assert owner.lives
    assert view_run(texts, "r1").owner is None


def test_metadata_that_is_no_progress_is_not_shown(texts: Backend) -> None:
    ran(texts, Say("a", []))
    progress: list[object] = ["half", [], 5, float("nan")]
    for told in progress:
        damage(texts, "atom", "a", state="RUNNING", metadata={"progress": told})
        assert view_run(texts, "r").atoms[0].progress is None


def test_damage_that_was_not_committed_is_found_too(tmp_path: Path) -> None:
    with fetch(f"sqlite:///{tmp_path}/runs.db") as backend:
        ran(backend, Say("a", []))
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("update records set data = '{}' where kind = 'flow'")
    database.close()
    with fetch(f"sqlite:///{tmp_path}/runs.db") as backend, pytest.raises(Damaged) as raised:
        read(backend)
    assert raised.value.why == "flow 'r' of run 'r': id is missing"
