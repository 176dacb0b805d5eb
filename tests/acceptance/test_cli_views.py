"""``flowbook list`` and ``show``, as text and as JSON."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from acceptance.command_line import STEPS, Waiting, flowbook

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text(STEPS.replace("return b * times", "raise ValueError(times)"), encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::first", "--run-id", "one").code == 0
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "two", "--book", "other").code == 3
    return tmp_path


def test_list_shows_the_newest_first(folder: Path) -> None:
    ended = flowbook(folder, "list")
    head, *rows = (line.split() for line in ended.out.splitlines())
    assert ended.code == 0
    assert head[:4] == ["run", "flow", "state", "atoms"]
    assert [row[:4] for row in rows] == [["two", "steps", "REVERTED", "3"], ["one", "first", "SUCCESS", "1"]]


@pytest.mark.parametrize("words", [["--state", "success"], ["--book", "default"]])
def test_list_is_narrowed(folder: Path, words: list[str]) -> None:
    document = json.loads(flowbook(folder, "list", "--json", *words).out)
    assert [run["id"] for run in document["runs"]] == ["one"]


def test_list_says_that_there_are_more(folder: Path) -> None:
    ended = flowbook(folder, "list", "--limit", "1")
    assert len(ended.out.splitlines()) == 2
    assert "there are more" in ended.err


def test_the_json_of_list_has_a_schema(folder: Path) -> None:
    document = json.loads(flowbook(folder, "list", "--json").out)
    assert document["schema"] == "flowbook.list/1"
    assert document["runs"][0].keys() == {
        "id", "book", "name", "state", "atoms", "created_at", "updated_at", "owner",
    }  # fmt: skip
    assert document["runs"][0]["created_at"].endswith("Z")
    assert document["runs"][0]["owner"] is None


def test_an_empty_logbook_is_said_to_be_empty(tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "list")
    assert (ended.code, ended.out) == (0, "")
    assert "no runs" in ended.err


def test_show_tells_atoms_attempts_and_failures(folder: Path) -> None:
    ended = flowbook(folder, "show", "tw")
    assert ended.code == 0
    assert "state:    REVERTED" in ended.out
    assert "atoms:    3: 3 REVERTED" in ended.out
    assert f"{folder / 'steps.py'}::flow" in ended.out
    assert "failed: third (steps.py:" in ended.out
    assert "ValueError: 10" in ended.out


def test_show_gives_the_traceback_when_verbose(folder: Path) -> None:
    ended = flowbook(folder, "show", "two", "-v")
    assert "raise ValueError(times)" in ended.out


def test_the_json_of_show_has_a_schema_and_stored_values(folder: Path) -> None:
    document = json.loads(flowbook(folder, "show", "two", "--json").out)
    assert document["schema"] == "flowbook.show/1"
    assert document["counts"] == {"REVERTED": 3}
    first, _, third = document["atoms"]
    assert (first["name"], first["result"], first["attempts"], first["reverts"]) == ("first", 1, 1, 1)
    assert first["failure"] is None
    assert third["failure"]["type"] == "ValueError"
    assert third["failure"]["message"] == "10"
    assert third["ended_at"].endswith("Z")


def test_show_says_when_nobody_works_on_a_run_any_more(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    waiting.process.kill()
    waiting.end()
    shown = flowbook(tmp_path, "show", "r1").out
    assert "RUNNING (interrupted: nobody works on it)" in shown
    assert "(gone) since" in shown


def test_show_names_what_is_damaged(folder: Path) -> None:
    (logbook,) = folder.glob("*.db")
    with closing(sqlite3.connect(logbook)) as database, database:
        database.execute(
            "update records set data = json_set(data, '$.metadata', 5) where kind = 'atom' and key = 'second'"
        )
    ended = flowbook(folder, "show", "two")
    assert (ended.code, ended.out) == (5, "")
    what, where, why, todo, _ = ended.err.splitlines()
    assert what == "error[FB307]: a stored record is damaged"
    assert logbook.name in where
    assert why == "  why: atom 'second' of run 'two': metadata is 5"
    assert todo.startswith("  do: ")
    assert flowbook(folder, "show", "one").code == 0
