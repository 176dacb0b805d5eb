"""A glance at a SQLite file tells the same as reading it, or nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from flowbook.persistence import fetch
from flowbook.persistence.backend import Query
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from flowbook.persistence.sql.glancing import Glimpse, glimpses
from flowbook.persistence.sql.tables import FLOWS

IDS = ("a-1", "A-2", "a%b", "a_b", "流れ", "a\x10b", "group:kept")


def logbook(folder: Path, *ids: str) -> str:
    url = f"sqlite:///{folder}/runs.db"
    with fetch(url) as backend:
        for number, flow in enumerate(ids):
            row = {"id": flow, "name": f"{flow}\0", "state": "RUNNING", "created_at": float(number // 2)}
            backend.commit(backend.claim(f"flow:{flow}", current_owner(), lease_s=30), [Put("flow", flow, row)])
    return url


@pytest.mark.parametrize("begun", ["", "a", "A", "a%", "a_", "a\x10", "none"])
def test_a_glance_finds_what_a_query_does(tmp_path: Path, begun: str) -> None:
    url = logbook(tmp_path, *IDS)
    with fetch(url) as backend:
        found = [one for one in backend.find(Query(prefix=begun)) if not one.flow.startswith("group:")]
    expected = [Glimpse(one.flow, one.name, one.state) for one in found]
    assert glimpses(url, begun, without="group:", limit=100) == expected
    assert glimpses(url, begun, without="group:", limit=2) == expected[:2]


def test_it_knows_the_table_as_it_is() -> None:
    assert FLOWS.name == "flows"
    assert {"claim", "name", "state", "created_at"} <= set(FLOWS.columns.keys())


def test_a_glance_makes_no_file(tmp_path: Path) -> None:
    assert glimpses(f"sqlite:///{tmp_path}/none.db", "", without="group:", limit=1) is None
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_said_at_a_glance_is_left_to_others(tmp_path: Path) -> None:
    url = logbook(tmp_path, "plain")
    assert glimpses(url, "plain", without="group:", limit=1) is not None
    for other in (f"{url}?timeout_s=1", "memory:", f"dir:{tmp_path}"):
        assert glimpses(other, "plain", without="group:", limit=1) is None


def test_a_path_with_signs_that_mean_something_in_a_url_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "100% # of & runs"
    folder.mkdir()
    url = logbook(folder, "plain")
    assert glimpses(url, "", without="group:", limit=1) == [Glimpse("plain", "plain\0", "RUNNING")]


def test_a_file_that_is_no_logbook_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, whatever it is called" * 100, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE other (name)")
    for name in ("text", "other"):
        assert glimpses(f"sqlite:///{tmp_path}/{name}.db", "", without="group:", limit=1) is None


@pytest.mark.slow
def test_it_imports_nothing_that_is_large(tmp_path: Path) -> None:
    program = "import sys, flowbook.persistence.sql.glancing; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in loaded if name.startswith("flowbook.persistence.")}
    assert ours == {f"flowbook.persistence.sql{name}" for name in ("", ".glancing", ".names")}
    assert "sqlalchemy" not in loaded
