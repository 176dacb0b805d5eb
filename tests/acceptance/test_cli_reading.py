"""What ``flowbook list`` and ``show`` can be asked: fewer runs and atoms, chosen fields, one atom in full."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acceptance.command_line import COMMAND, STEPS, TIMEOUT_S, Ended, Waiting, environment, flowbook
from acceptance.schemas import check
from flowbook import LinearFlow, Task, Times, UnorderedFlow, current, engines, persistence, task
from flowbook.views.schemas import LIST, SHOW, SHOW_ATOM

pytestmark = pytest.mark.slow

ATOMS = 300


class Stuck(Task):
    def execute(self) -> None:
        if self.name == "last":
            raise ValueError("no\n" * 60)

    def revert(self) -> None:
        if self.name != "last":
            raise OSError("cannot undo\n" * 5)


class Step(Task):
    def execute(self) -> None:
        if self.name == f"step-{ATOMS - 1}":
            raise ValueError("too far\nby one")

    def revert(self) -> None:
        if self.name == "step-7":
            raise OSError("cannot undo")


@task
def knock(attempt: int) -> None:
    current().annotate(door="front" if attempt == 1 else "back")
    if attempt == 1:
        raise ConnectionError("nobody is there")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reading")
    with persistence.fetch(f"sqlite:///{folder}/flowbook.db") as backend:
        stuck = UnorderedFlow("all at once").add(*(Stuck(f"stuck-{number}") for number in range(ATOMS)))
        for _ in engines.load(
            LinearFlow("stuck").add(stuck, Stuck("last")), backend=backend, run_id="stuck-1"
        ).run_iter():
            pass
        visit = LinearFlow("visit", retry=Times(2, "again", provides="attempt")).add(knock)
        engines.run(visit, backend=backend, run_id="visit-1")
        many = LinearFlow("many").add(*(Step(f"step-{number}") for number in range(ATOMS)))
        for _ in engines.load(many, backend=backend, run_id="many-1", book="large").run_iter():
            pass
        for number in range(3):
            engines.run(LinearFlow("empty"), backend=backend, run_id=f"empty-{number}")
    return folder


def parts(ended: Ended) -> dict[str, str]:
    return dict(re.findall(r"^  (where|why|do): (.+)$", ended.err, re.MULTILINE))


def ids(folder: Path, *words: str) -> list[str]:
    ended = flowbook(folder, "list", "--output", "csv", "--fields", "id", *words)
    assert ended.code == 0, ended.err
    return ended.out.split()[1:]


# -- list --


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--name", "visit"], ["visit-1"]),
        (["--book", "large"], ["many-1"]),
        (["--state", "success", "--limit", "2"], ["empty-2", "empty-1"]),
        (["empty-", "--since", "1h"], ["empty-2", "empty-1", "empty-0"]),
        (["--until", "2h"], []),
        (["--since", "2026-01-01", "--until", "2026-01-01"], []),
    ],
)
def test_list_is_narrowed_by_each_option(folder: Path, words: list[str], found: list[str]) -> None:
    assert ids(folder, *words) == found


def test_the_documents_fit_their_schemas(folder: Path) -> None:
    check(json.loads(flowbook(folder, "list", "--json").out), LIST.json_schema())
    check(json.loads(flowbook(folder, "show", "many-1", "--json").out), SHOW.json_schema())
    check(json.loads(flowbook(folder, "show", "many-1", "step-7", "--json").out), SHOW_ATOM.json_schema())


def test_each_format_tells_the_same(folder: Path) -> None:
    words = ["show", "many-1", "--fields", "name,state", "--output"]
    document = json.loads(flowbook(folder, *words, "json").out)
    lines = list(map(json.loads, flowbook(folder, *words, "jsonl").out.splitlines()))
    table = list(csv.DictReader(flowbook(folder, *words, "csv").out.splitlines()))
    assert len(document["atoms"]) == ATOMS
    assert document["atoms"][7] == table[7] == {"name": "step-7", "state": "REVERT_FAILURE"}
    assert lines[7] == {"schema": "flowbook.show/1#atoms", "run": "many-1", **table[7]}


def test_a_table_has_the_fields_that_were_chosen(folder: Path) -> None:
    ended = flowbook(folder, "list", "--fields", "state, id", "--limit", "2")
    assert ended.out.splitlines() == ["state    id", "SUCCESS  empty-2", "SUCCESS  empty-1"]
    assert "there are more: --limit 20 shows them" in ended.err


WRONG = {
    "a field": (["list", "--fields", "id,stat"], "did you mean 'state'? the fields are id, "),
    "no field": (["list", "--fields", ","], "the fields are id, "),
    "a field of an atom that attempts do not have": (
        ["show", "many-1", "step-7", "--fields", "kind"],
        "the fields are round, attempt, ",
    ),
    "two formats": (["list", "--json", "--output", "csv"], "flowbook list --help"),
    "a format": (["list", "--output", "xml"], "flowbook list --help"),
    "a time": (["list", "--since", "yesterday"], "give a date (2026-05-31)"),
    "no run": (["show"], "@last or @failed; flowbook list shows the runs"),
    "a run": (["show", "vist-1"], "did you mean 'visit-1'?"),
    "a beginning that several have": (["show", "empty"], "give more of the id: empty-0, empty-1, empty-2"),
    "an atom": (["show", "visit-1", "knok"], "did you mean 'knock'?"),
    "a state of an atom": (["show", "visit-1", "--state", "lost"], "flowbook show --help"),
    "a shell": (["completion", "tcsh"], "flowbook completion --help"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_word_is_told_in_four_parts(folder: Path, case: str) -> None:
    words, todo = WRONG[case]
    ended = flowbook(folder, *words)
    assert (ended.code, ended.out) == (2, "")
    assert re.match(r"error\[FB\d+\]: .", ended.err)
    assert parts(ended).keys() == {"where", "why", "do"}
    assert todo in parts(ended)["do"]


def test_an_empty_logbook_has_no_last_run(tmp_path: Path) -> None:
    ended = flowbook(tmp_path, "show", "@last")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error[FB301]: no runs are recorded: there is no @last\n")
    assert parts(ended).keys() == {"where", "why", "do"}
    assert os.listdir(tmp_path) == []


# -- show --


def test_runs_are_named_by_when_they_were_and_how_they_ended(folder: Path) -> None:
    assert "run:      empty-2\n" in flowbook(folder, "show", "@last").out
    assert "run:      many-1\n" in flowbook(folder, "show", "@failed").out
    assert "run:      visit-1\n" in flowbook(folder, "show", "v").out


def test_of_many_atoms_what_failed_comes_first_and_the_rest_is_counted(folder: Path) -> None:
    lines = flowbook(folder, "show", "many-1").out.splitlines()
    table = next(at for at, line in enumerate(lines) if line.startswith("atom "))
    assert f"atoms:    {ATOMS}: " in lines[3]
    first, second = (line.split() for line in lines[table + 1 : table + 3])
    assert (first[:2], second[:2]) == (["step-7", "REVERT_FAILURE"], [f"step-{ATOMS - 1}", "REVERTED"])
    assert [line for line in lines if line.startswith("+")] == [
        "+180 REVERTED more: flowbook show many-1 --state reverted --output jsonl"
    ]
    assert any(line.startswith("revert failed: step-7 (") for line in lines)
    assert len(lines) <= 200


@pytest.mark.parametrize("words", [[], ["-v"], ["--state", "revert_failure"]])
def test_of_many_failures_as_many_are_shown_as_200_lines_hold(folder: Path, words: list[str]) -> None:
    lines = flowbook(folder, "show", "stuck-1", *words).out.splitlines()
    assert 150 < len(lines) <= 200
    assert re.match(r"\d+ more failures: flowbook show stuck-1 --state revert_failure", lines[-1])


def test_a_long_failure_is_cut_and_told_in_full_with_its_atom(folder: Path) -> None:
    lines = flowbook(folder, "show", "stuck-1", "las*").out.splitlines()
    assert lines.count("no") == 38
    (more,) = [line for line in lines if line.endswith("more lines: flowbook show stuck-1 last")]
    assert more.startswith("... 21 more")
    assert flowbook(folder, "show", "stuck-1", "last").out.count("no\n") >= 60


def test_atoms_are_narrowed_by_state_and_pattern(folder: Path) -> None:
    words = ["show", "many-1", "--output", "csv", "--fields", "name"]
    assert flowbook(folder, *words, "--state", "revert_failure").out.split() == ["name", "step-7"]
    assert flowbook(folder, *words, "step-[12]").out.split() == ["name", "step-1", "step-2"]
    ended = flowbook(folder, "show", "many-1", "none*")
    assert (ended.code, ended.err) == (0, "no atom matches\n")
    assert f"atoms:    {ATOMS}: " in ended.out


def test_rounds_and_notes_stand_in_the_table(folder: Path) -> None:
    lines = [line.split() for line in flowbook(folder, "show", "visit-1").out.splitlines()]
    head = next(line for line in lines if line[:1] == ["atom"])
    assert head == ["atom", "state", "round", "attempts", "took", "started", "note"]
    atom = next(line for line in lines if line[:1] == ["knock"])
    assert (atom[1:3], atom[-1]) == (["SUCCESS", "1"], "door=back")


def test_an_atom_is_shown_in_full(folder: Path) -> None:
    text = flowbook(folder, "show", "visit-1", "knock").out
    header = dict(re.findall(r"^([\w ]+): +(.+)$", text, re.MULTILINE))
    assert header["run"] == "visit-1 (SUCCESS)"
    assert header["takes"] == "attempt (from again)"
    assert header["notes"] == "door=back"
    assert "test_cli_reading.py:" in header["place"]
    attempts = [line.split()[:4] for line in text.splitlines() if re.match(r" +\d", line)]
    assert attempts == [
        ["0", "1", "EXECUTE", "FAILURE"],
        ["0", "1", "REVERT", "SUCCESS"],
        ["1", "1", "EXECUTE", "SUCCESS"],
    ]


def test_a_retry_shows_its_rounds(folder: Path) -> None:
    lines = flowbook(folder, "show", "visit-1", "again").out.splitlines()
    rounds = lines[next(at for at, line in enumerate(lines) if "what failed" in line) :]
    assert rounds == ["round  gave  what failed", *rounds[1:]]
    assert [line.split(maxsplit=2) for line in rounds[1:]] == [
        ["0", "1", "knock: ConnectionError: nobody is there"],
        ["1", "2"],
    ]


def test_an_atom_that_failed_is_shown_with_its_traceback(folder: Path) -> None:
    text = flowbook(folder, "show", "many-1", f"step-{ATOMS - 1}").out
    assert f"failed: step-{ATOMS - 1}" not in text
    assert "failed: ValueError: too far\nby one\nTraceback " in text
    assert 'raise ValueError("too far\\nby one")' in text


def test_the_attempts_of_an_atom_are_rows_for_programs(folder: Path) -> None:
    ended = flowbook(folder, "show", "visit-1", "knock", "--output", "csv", "--fields", "round,outcome")
    assert ended.out == "round,outcome\n0,FAILURE\n0,SUCCESS\n1,SUCCESS\n"


def test_a_pending_atom_says_what_it_waits_for(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    shown = flowbook(tmp_path, "show", "r1", "third")
    document: dict[str, Any] = json.loads(flowbook(tmp_path, "show", "r1", "third", "--json").out)
    waiting.process.kill()
    waiting.end()
    interrupted = flowbook(tmp_path, "show", "r1", "third").out
    assert "why not:  it waits for second (RUNNING)\n" in shown.out
    assert "why not:  the run is owned by " in shown.out
    assert document["waits_for"] == {"second": "RUNNING"}
    assert "why not:  the run was interrupted as it was RUNNING: nobody works on it\n" in interrupted
    assert "why not:  it waits for second (RUNNING)\n" in interrupted


def test_commands_to_copy_name_the_storage_if_it_was_named(folder: Path) -> None:
    lines = flowbook(folder, "show", "many-1", "--backend", "sqlite:///flowbook.db").out.splitlines()
    (command,) = [line.partition(": ")[2] for line in lines if line.startswith("+")]
    assert command.startswith("flowbook show many-1 ")
    rows = list(map(json.loads, flowbook(folder, *command.split()[1:]).out.splitlines()))
    assert {row["state"] for row in rows} == {"REVERTED"}
    assert len(rows) == ATOMS - 8


# -- streams --


def test_what_stdout_cannot_write_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS.replace('"steps"', '"流れ"'), encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1").code == 0
    ascii_only = environment(PYTHONIOENCODING="ascii")
    ended = flowbook(tmp_path, "list", env=ascii_only)
    assert (ended.code, ended.err) == (0, "")
    assert r"\u6d41\u308c" in ended.out
    assert json.loads(flowbook(tmp_path, "list", "--json", env=ascii_only).out)["runs"][0]["name"] == "流れ"
    assert json.loads(flowbook(tmp_path, "list", "--output", "jsonl", env=ascii_only).out)["name"] == "流れ"


@pytest.mark.parametrize("words", [["list"], ["show", "many-1", "--json"], ["show", "many-1", "--output", "jsonl"]])
def test_a_reader_that_goes_away_is_no_error(folder: Path, words: list[str]) -> None:
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("words", [["list"], ["show", "many-1"], ["show", "visit-1", "knock"]])
def test_what_is_not_a_terminal_gets_no_colours_and_whole_lines(folder: Path, words: list[str]) -> None:
    ended = flowbook(folder, *words, env={**environment(COLUMNS="20"), "NO_COLOR": ""})
    assert "\x1b" not in ended.out
    assert "…" not in ended.out
