"""What a shell is offered without the verbs being imported is what the verbs themselves would offer, or nothing."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from flowbook.atoms import task
from flowbook.cli import glance
from flowbook.cli.completion import complete_atoms, complete_codes, complete_runs
from flowbook.cli.glance import COMPLETES, StandIn, url_of
from flowbook.cli.main import VERBS, cli
from flowbook.cli.session import BACKEND_VARIABLE, DEFAULT_BACKEND
from flowbook.cli.words import WORDS
from flowbook.engines import load
from flowbook.flows import LinearFlow
from flowbook.persistence import fetch
from flowbook.views.runs import FAILED, GROUP, LAST


@task
def greet() -> None: ...


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/runs.db"
    with fetch(url) as backend:
        for run_id in ("order-1", "a\x10b", "order-2", GROUP + "order"):
            load(LinearFlow("stay").add(greet), backend=backend, run_id=run_id).run()
    return url


def offered(*words: str, begun: str = "") -> list[str]:
    completion = ShellComplete(cli, {}, "flowbook", "_FLOWBOOK_COMPLETE")
    return [item.value for item in completion.get_completions(list(words), begun)]


def test_the_words_that_stand_for_runs_are_those_of_the_views() -> None:
    assert glance.MEANT == (LAST, FAILED)
    assert glance.GROUP == GROUP


def test_what_completes_words_is_what_the_verbs_name() -> None:
    assert set(COMPLETES) == {one.__name__ for one in (complete_runs, complete_atoms, complete_codes)}


@pytest.mark.parametrize("name", WORDS)
def test_a_stand_in_takes_the_words_of_its_verb(name: str) -> None:
    verb = cli.get_command(click.Context(cli), name)
    assert verb is not None
    stand_in = StandIn(name, WORDS[name])
    assert list(map(_taken, stand_in.params)) == list(map(_taken, verb.params))


def _taken(parameter: click.Parameter) -> tuple[object, ...]:
    choices = tuple(parameter.type.choices) if isinstance(parameter.type, click.Choice) else ()
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    words = parameter.opts, parameter.secondary_opts
    return parameter.param_type_name, parameter.name, words, parameter.multiple, is_flag, choices


def test_every_verb_but_a_group_has_a_stand_in() -> None:
    groups = {name for name in VERBS if isinstance(cli.get_command(click.Context(cli), name), click.Group)}
    assert set(WORDS) == set(VERBS) - groups


@pytest.mark.parametrize(
    ("words", "begun", "found"),
    [
        (["show"], "--fi", ["--fields"]),
        (["run", "a.py::b"], "--on", ["--on-change"]),
        (["run", "a.py::b", "--on-change"], "", ["accept", "refuse"]),
        (["list", "--output"], "JS", ["json", "jsonl"]),
        (["graph"], "--no", ["--no-fold"]),
        (["backend"], "up", ["upgrade"]),
        (["explain"], "fb100", ["FB100"]),
        (["nonsense"], "a", []),
    ],
)
def test_options_and_their_values_are_offered(words: list[str], begun: str, found: list[str]) -> None:
    assert offered(*words, begun=begun) == found


@pytest.mark.parametrize("words", [["export", "r1", "--out"], ["graph", "r1", "--out"], ["import"], ["run"]])
def test_files_are_left_to_the_shell(words: list[str]) -> None:
    (item,) = ShellComplete(cli, {}, "flowbook", "_FLOWBOOK_COMPLETE").get_completions(words, "r1.")
    assert (item.type, item.value) == ("file", "r1.")


def test_runs_are_offered_of_the_storage_that_the_line_names(url: str) -> None:
    assert offered("show", "--backend", url) == ["order-2", "a\x10b", "order-1"]
    assert offered("resume", "--backend", url, "--take-over", begun="or") == ["order-2", "order-1"]
    assert offered("show", "--backend", f"{url}?timeout_s=1", begun="order-1") == ["order-1"]
    assert offered("show", "--backend", url, begun="@l") == ["@last"]
    assert offered("show", "--backend", url, "order-1") == ["greet"]


def test_the_storage_is_that_of_the_environment_where_the_line_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    context = StandIn("show", WORDS["show"]).make_context("show", [], resilient_parsing=True)
    monkeypatch.delenv(BACKEND_VARIABLE, raising=False)
    assert url_of(context) == DEFAULT_BACKEND
    monkeypatch.setenv(BACKEND_VARIABLE, "dir:runs")
    assert url_of(context) == "dir:runs"
