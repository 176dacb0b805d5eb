"""Reading on a terminal: the list to pick a run from, colours, and tables that fit."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.command_line import COMMAND, TIMEOUT_S, environment
from acceptance.test_cli_terminal import Terminal
from flowbook import LinearFlow, engines, persistence, task

pytestmark = pytest.mark.slow

NAME = "a flow with a name that takes much more room than there is"


@task
def greet() -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("choosing")
    with persistence.fetch(f"sqlite:///{folder}/flowbook.db") as backend:
        for number in range(12):
            engines.run(LinearFlow(NAME).add(greet), backend=backend, run_id=f"run-{number:02}")
    return folder


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


def started(folder: Path, terminal: Terminal, *words: str) -> subprocess.Popen[bytes]:
    """Start a command whose stdin and stderr are the terminal, and whose stdout is a pipe."""
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=folder,
        env=environment(TERM="xterm"),
        stdin=terminal.slave,
        stdout=subprocess.PIPE,
        stderr=terminal.slave,
    )


def test_a_run_is_picked_by_its_number(folder: Path, terminal: Terminal) -> None:
    process = started(folder, terminal, "show")
    terminal.read_until("which run")
    assert re.findall(r"^ *(\d+)  (run-\d+)  ", terminal.text, re.MULTILINE) == [
        (str(number), f"run-{12 - number:02}") for number in range(1, 11)
    ]
    os.write(terminal.master, b"3\n")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert out.startswith(b"run:      run-09\n")


def test_the_newest_is_picked_by_return(folder: Path, terminal: Terminal) -> None:
    process = started(folder, terminal, "show", "--json", "--fields", "name")
    terminal.read_until("which run")
    os.write(terminal.master, b"\n")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert b'"id": "run-11"' in out


def test_a_number_that_is_not_there_is_asked_for_again(folder: Path, terminal: Terminal) -> None:
    process = started(folder, terminal, "show")
    terminal.read_until("which run")
    os.write(terminal.master, b"11\n")
    terminal.read_until("Error")
    os.write(terminal.master, b"1\n")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert out.startswith(b"run:      run-11\n")


def test_picking_none_ends_the_command(folder: Path, terminal: Terminal) -> None:
    process = started(folder, terminal, "show")
    terminal.read_until("which run")
    os.write(terminal.master, b"\x04")  # the end of the input
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (130, b"")


def test_there_is_nothing_to_pick_from_in_an_empty_logbook(tmp_path: Path, terminal: Terminal) -> None:
    process = started(tmp_path, terminal, "show")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    terminal.read_until("do: ")
    assert (process.returncode, out) == (2, b"")
    assert "error[FB301]: no runs are recorded" in terminal.text
    assert "Traceback" not in terminal.text


def shown(folder: Path, terminal: Terminal, *words: str, **variables: str) -> str:
    """Return what a command writes to the terminal, up to a word that stands at the end."""
    env = {**environment(TERM="xterm"), **variables}
    subprocess.run([*COMMAND, *words], cwd=folder, env=env, stdout=terminal.slave, timeout=TIMEOUT_S, check=True)
    terminal.read_until("run-00")
    return terminal.text


def test_states_are_coloured_on_a_terminal_and_told_in_words(folder: Path, terminal: Terminal) -> None:
    text = shown(folder, terminal, "list", NO_COLOR="")
    assert "\x1b[32mSUCCESS\x1b[0m" in text


def test_no_colours_are_shown_to_who_wants_none(folder: Path, terminal: Terminal) -> None:
    text = shown(folder, terminal, "list", NO_COLOR="1")
    assert "\x1b[32m" not in text
    assert "SUCCESS" in text


@pytest.mark.parametrize(("columns", "at_most"), [("", 80), ("60", 60)])
def test_a_table_is_as_wide_as_the_terminal_or_as_columns_says(
    folder: Path, terminal: Terminal, columns: str, at_most: int
) -> None:
    text = shown(folder, terminal, "list", COLUMNS=columns)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert at_most - 20 < max(map(len, lines)) <= at_most
    assert any("…" in line for line in lines)


def test_what_is_cut_is_marked_in_ascii_where_there_is_nothing_else(folder: Path, terminal: Terminal) -> None:
    text = shown(folder, terminal, "list", PYTHONIOENCODING="ascii")
    assert text.isascii()
    assert re.search(r"a flow [\w ]+~  SUCCESS", text)
