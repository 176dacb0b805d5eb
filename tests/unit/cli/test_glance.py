"""The quick glance at a SQLite file tells the same as reading it, or nothing."""

from __future__ import annotations

import ast
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest

from flowbook.atoms import task
from flowbook.cli import glance
from flowbook.cli.completion import complete_runs
from flowbook.cli.glance import Glimpse, glimpses
from flowbook.cli.main import TAKE_A_RUN_FIRST, VERBS, cli
from flowbook.engines import load
from flowbook.flows import LinearFlow
from flowbook.persistence import fetch
from flowbook.views import list_runs
from flowbook.views.runs import FAILED, GROUP, LAST


@task
def greet() -> None: ...


def logbook(folder: Path, *run_ids: str) -> str:
    url = f"sqlite:///{folder}/runs.db"
    with fetch(url) as backend:
        for run_id in run_ids:
            load(LinearFlow("stay").add(greet), backend=backend, run_id=run_id).run()
    return url


@pytest.mark.parametrize("begun", ["", "a", "A", "a%", "a_", "none"])
def test_a_glance_tells_what_a_list_of_runs_does(tmp_path: Path, begun: str) -> None:
    url = logbook(tmp_path, "a-1", "A-2", "a%b", "a_b", "流れ", GROUP + "kept")
    with fetch(url) as backend:
        rows = list_runs(backend, prefix=begun)
    assert glimpses(url, begun) == [Glimpse(row.id, row.name, row.state) for row in rows]


def test_the_words_that_stand_for_runs_are_those_of_the_views() -> None:
    assert glance.MEANT == (LAST, FAILED)


def test_a_glance_makes_no_file(tmp_path: Path) -> None:
    assert glimpses(f"sqlite:///{tmp_path}/none.db", "") is None
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_said_at_a_glance_is_left_to_others(tmp_path: Path) -> None:
    url = logbook(tmp_path, "a\x10b", "plain")
    assert glimpses(url, "") is None
    assert glimpses(url, "plain") is not None
    assert glimpses(f"{url}?timeout_s=1", "plain") is None
    assert glimpses("memory:", "") is None


def test_a_file_that_is_no_logbook_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, whatever it is called" * 100, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE other (name)")
    assert glimpses(f"sqlite:///{tmp_path}/text.db", "") is None
    assert glimpses(f"sqlite:///{tmp_path}/other.db", "") is None


def test_the_verbs_whose_first_word_is_a_run_are_known() -> None:
    context = click.Context(cli)
    first = {name: _first_argument(cli.get_command(context, name)) for name in VERBS}
    complete = {name for name, argument in first.items() if _completes_runs(argument)}
    assert complete == TAKE_A_RUN_FIRST


def _first_argument(command: click.Command | None) -> click.Argument | None:
    assert command is not None
    return next((one for one in command.params if isinstance(one, click.Argument)), None)


def _completes_runs(argument: click.Argument | None) -> bool:
    return argument is not None and argument._custom_shell_complete is complete_runs


def test_a_glance_imports_nothing_that_is_large() -> None:
    tree = ast.parse(Path(glance.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {name for name in modules if name.startswith("flowbook")} == {"flowbook.cli.session"}
