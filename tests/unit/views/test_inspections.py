"""An inspection finds what is wrong, says what mends it, and changes nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from flowbook.atoms import task
from flowbook.engines import run
from flowbook.exceptions import NotPossible, StorageUnavailable
from flowbook.flows import LinearFlow
from flowbook.persistence import Backend, FlowSummary, Query, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.inspection import Finding, Level, SchemaVersions
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import stranger
from flowbook.views.inspections import Check, doctor_document, inspect, inspect_installation, inspect_storage
from flowbook.views.runs import GROUP


@task(provides="a")
def one() -> int:
    return 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def backend(path: Path) -> Iterator[Backend]:
    with fetch(f"sqlite:///{path}") as opened:
        for run_id in ("good", "other"):
            run(LinearFlow("f").add(one), backend=opened, run_id=run_id)
        yield opened


def bad(checks: Iterator[Check]) -> list[Check]:
    return [check for check in checks if check.level is not Level.OK]


def test_a_storage_in_order_has_a_good_line_for_each_area(backend: Backend) -> None:
    checks = list(inspect_storage(backend))
    assert {check.level for check in checks} == {Level.OK}
    assert {check.area for check in checks} == {"schema", "storage", "runs", "claims", "clock"}
    assert "runs read: 2" in next(check.what for check in checks if check.area == "runs")


def test_a_storage_that_is_not_there_is_said_to_be_not_there_and_none_is_made(path: Path) -> None:
    (check,) = inspect_storage(fetch(f"sqlite:///{path}"))
    assert (check.area, check.level) == ("schema", Level.WARN)
    assert "no storage here yet" in check.what
    assert not path.exists()


def test_a_damaged_record_is_named_with_its_run(backend: Backend, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE records SET data = '{' WHERE kind = 'atom' AND claim = 'flow:other'")
    (check,) = bad(inspect_storage(backend))
    assert (check.area, check.level, check.where) == ("runs", Level.FAIL, "run other")
    assert "damaged" in check.what
    assert "atom 'one'" in check.what
    assert "restore a copy" in check.fix


def test_of_very_many_damaged_runs_some_are_named(path: Path) -> None:
    with fetch(f"sqlite:///{path}") as backend:
        for number in range(25):
            claim = backend.claim(f"flow:r{number}", current_owner(), lease_s=60)
            backend.renew(backend.commit(claim, [Put("flow", f"r{number}", {"id": "else"})]), lease_s=0.0)
        checks = bad(inspect_storage(backend))
    assert len(checks) == 21
    assert "5 more" in checks[-1].what


def test_an_older_schema_is_told_with_the_verb_that_mends_it_and_is_not_upgraded(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE flowbook_schema (version_num VARCHAR(32))")
    path.chmod(0o600)
    backend = fetch(f"sqlite:///{path}")
    (check,) = bad(inspect_storage(backend))
    assert (check.area, check.level, check.fix) == ("schema", Level.WARN, "flowbook backend upgrade")
    assert "none is older" in check.what
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_a_file_of_another_program_is_a_failure(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE albums (name)")
    path.chmod(0o600)
    (check,) = bad(inspect_storage(fetch(f"sqlite:///{path}")))
    assert (check.area, check.level) == ("schema", Level.FAIL)
    assert "albums" in check.what
    assert check.fix == (
        "name the file, directory or database of a logbook (in ZooKeeper the path), or an empty or new one"
    )


def test_a_url_that_makes_no_sense_is_an_error_and_no_finding(tmp_path: Path) -> None:
    with pytest.raises(NotPossible):
        list(inspect_storage(fetch(f"sqlite:///{tmp_path}/none/runs.db")))


def test_a_claim_of_a_process_that_is_gone_is_told_with_what_ends_it(backend: Backend) -> None:
    gone = replace(current_owner(), pid=2**22 + 1, lock=1)
    backend.claim("flow:good", gone, lease_s=60)
    backend.claim("flow:other", stranger(), lease_s=60)
    (check,) = bad(inspect_storage(backend))
    assert (check.area, check.level, check.where) == ("claims", Level.WARN, "run good")
    assert str(gone) in check.what
    assert "none is needed" in check.fix


def left_in_the_middle(backend: Backend, **fields: object) -> str:
    """Leave a run as an owner does that is gone; return what is said to mend that."""
    run(LinearFlow("f").add(one), backend=backend, run_id="it's")
    claim = backend.claim("flow:it's", replace(current_owner(), pid=2**22 + 1, lock=1), lease_s=60)
    row = backend.load("it's", ("flow",)).kind("flow")["it's"]
    backend.commit(claim, [Put("flow", "it's", {**row, "state": "RUNNING", **fields})])
    return [check.fix for check in bad(inspect_storage(backend))][-1]


@pytest.mark.parametrize(("source", "allow"), [({"path": "/my flows.py"}, "'/my flows.py'"), ({}, "orders")])
def test_a_run_that_its_owner_left_in_the_middle_can_be_resumed(source: dict[str, str], allow: str) -> None:
    factory = {"name": "build", "module": "orders", "path": "", "digest": "", "args": [], "kwargs": {}, **source}
    fix = left_in_the_middle(fetch("memory:"), factory=factory)
    assert fix == f"flowbook resume 'it'\"'\"'s' --allow {allow}"


def test_a_run_without_a_factory_is_continued_by_its_program() -> None:
    assert left_in_the_middle(fetch("memory:")) == """run the program that began it again, with the run id "it's\""""


def test_a_run_that_cannot_be_read_is_not_said_to_be_resumed(path: Path) -> None:
    with fetch(f"sqlite:///{path}") as backend:
        left_in_the_middle(backend)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE records SET data = '{' WHERE kind = 'flow'")
        damaged, claimed = bad(inspect_storage(backend))
    assert damaged.level is Level.FAIL
    assert claimed.fix == "see above what is wrong with its records"


def test_a_run_from_the_future_tells_of_a_wrong_clock(backend: Backend) -> None:
    claim = backend.claim("flow:good", current_owner(), lease_s=60)
    row = backend.load("good", ("flow",)).kind("flow")["good"]
    claim = backend.commit(claim, [Put("flow", "good", {**row, "updated_at": time.time() + 3600})])
    backend.renew(claim, lease_s=0.0)
    (check,) = bad(inspect_storage(backend))
    assert (check.area, check.level) == ("clock", Level.WARN)
    assert "run good was written 3" in check.what
    assert "NTP" in check.fix


def test_groups_of_runs_are_no_damage(backend: Backend) -> None:
    claim = backend.claim(f"flow:{GROUP}g", current_owner(), lease_s=60)
    backend.renew(backend.commit(claim, [Put("flow", f"{GROUP}g", {"name": "g"})]), lease_s=0.0)
    assert bad(inspect_storage(backend)) == []


class Unwell(MemoryBackend):
    """Finds something, and then cannot be read any more."""

    def inspect(self) -> Iterator[Finding]:
        yield Finding(Level.WARN, "something", "somewhere", "mend it")
        raise StorageUnavailable(self.url, "the cable is out")

    def schema_versions(self) -> SchemaVersions:
        return SchemaVersions("2", "2")

    def upgrade_script(self) -> str:
        return ""

    def find(self, query: Query) -> list[FlowSummary]:
        raise StorageUnavailable(self.url, "the cable is still out")


def test_what_a_backend_finds_itself_is_told_and_an_error_is_one_more_failure() -> None:
    checks = bad(inspect_storage(Unwell()))
    assert [(check.level, check.what.partition(": ")[2] or check.what) for check in checks] == [
        (Level.WARN, "something"),
        (Level.FAIL, "the cable is out"),
        (Level.FAIL, "the cable is still out"),
    ]
    assert all(check.fix for check in checks)


def test_the_installation_is_told_with_its_versions() -> None:
    checks = list(inspect_installation())
    assert bad(iter(checks)) == []
    versions = " ".join(check.what for check in checks if check.area == "versions")
    assert f"flowbook {metadata.version('flowbook')}" in versions
    assert f"click {metadata.version('click')}" in versions


def test_a_plug_in_that_cannot_be_loaded_is_a_failure_but_not_one_without_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme_store-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-store\nVersion: 1.5\nProvides-Extra: driver\n")
    points = "broken = no_such_module_of_acme:Store\nextra = no_such_module_of_acme:Store [driver]\n"
    (info / "entry_points.txt").write_text(f"[flowbook.persistence]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    broken, extra = (check for check in inspect_installation() if check.area == "plugins")
    assert (broken.level, broken.where) == (Level.FAIL, "acme-store 1.5")
    assert "flowbook.persistence broken cannot be loaded: ModuleNotFoundError" in broken.what
    assert extra.level is Level.OK
    assert "pip install 'acme-store[driver]'" in extra.fix


def test_the_document_holds_every_check(backend: Backend) -> None:
    checks = list(inspect(backend))
    document = doctor_document(backend, checks)
    assert (document["schema"], document["healthy"]) == ("flowbook.doctor/1", True)
    assert [check["what"] for check in document["checks"]] == [check.what for check in checks]
    failed = doctor_document(backend, [Check("runs", Level.FAIL, "no")])
    assert not failed["healthy"]
    assert failed["checks"] == [{"area": "runs", "level": "fail", "what": "no", "where": "", "fix": ""}]
