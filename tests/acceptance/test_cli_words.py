"""What the command line says to wrong words, wrong URLs and wrong flows: four parts, and no traceback."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from acceptance.command_line import COMMAND, Ended, environment, flowbook

pytestmark = pytest.mark.slow

FLOWS = """
from flowbook import LinearFlow, task

@task
def mail(guest, room): ...

flow = LinearFlow("book").add(mail)

def build(count: int): return flow

def nothing(): ...

number = 3
"""

ONE = """
from flowbook import task

@task
def one(): ...

@task(provides="number")
def number(): return 1

@task
def more(n): ...
"""

WRONG = {
    "a verb": (["lst"], "FB100", "did you mean 'list'?"),
    "an option": (["list", "--stat", "FAILURE"], "FB100", "did you mean '--state'?"),
    "an option far from any": (["show", "none", "--quux", "x"], "FB100", "flowbook show --help"),
    "a choice": (["list", "--state", "lost"], "FB100", "flowbook list --help"),
    "a choice near one": (["list", "--state", "sucess"], "FB100", "did you mean 'SUCCESS'?"),
    "an option of a verb": (["--bakend", "x", "list"], "FB100", "behind the verb: flowbook VERB --backend ..."),
    "an option of a verb, before it": (["--state", "FAILURE", "list"], "FB100", "flowbook VERB --state ..."),
    "one colon": (["run", "flows.py:flow"], "FB103", "did you mean flows.py::flow?"),
    "an id for a run": (["run", "flows.py::flow", "--run-id", "@last"], "FB100", "leave out the @: last"),
    "an id for an imported run": (["import", "r1.jsonl", "--as", "@last"], "FB100", "leave out the @: last"),
    "a directory for a URL": (["list", "--backend", "."], "FB103", "did you mean dir:.?"),
    "nothing to run": (["run"], "FB100", "flowbook run --help"),
    "a scheme": (["list", "--backend", "sqlit:///x.db"], "FB105", "did you mean 'sqlite'?"),
    "no URL": (["list", "--backend", "x.db"], "FB103", "did you mean sqlite:///x.db?"),
    "an option of a URL": (["list", "--backend", "sqlite:///x.db?jornal=wal"], "FB103", "did you mean 'journal'?"),
    "a directory that is missing": (["list", "--backend", "sqlite:///none/x.db"], "FB103", "make it first"),
    "a run": (["show", "none"], "FB301", "flowbook list"),
    "a file": (["run", "none.py::flow"], "FB103", "FILE"),
    "a file without a name": (["run", "flows.py"], "FB103", "flows.py::NAME"),
    "a module": (["run", "no_such_module:flow"], "FB120", "installed"),
    "a word for a flow": (["run", "flows"], "FB103", "FILE.py::NAME"),
    "a name": (["run", "flows.py::flwo"], "FB103", "did you mean 'flow'?"),
    "no flow": (["run", "flows.py::number"], "FB104", "give a flow or a task"),
    "nothing": (["run", "flows.py::nothing"], "FB104", "what the function returns"),
    "no inputs": (["run", "flows.py::flow"], "FB101", "--store guest=... --store room=..."),
    "an input": (
        ["run", "flows.py::flow", "--param", "guest=a", "--param", "room=1", "--param", "gest=b"],
        "FB103",
        "did you mean 'guest'?",
    ),
    "a parameter": (["run", "flows.py::build", "--param", "cuont=1"], "FB103", "did you mean 'count'?"),
    "no parameter": (["run", "flows.py::build"], "FB103", "--param count="),
    "a value": (["run", "flows.py::build", "--param", "count=x"], "FB103", "int"),
    "no value": (["run", "flows.py::build", "--param", "count"], "FB103", "--param count=VALUE"),
    "an engine": (
        ["run", "flows.py::flow", "--param", "guest=a", "--param", "room=1", "--engine", "paralel"],
        "FB105",
        "did you mean 'parallel'?",
    ),
    "no verb": ([], "FB100", "flowbook --help"),
    "a verb of a group": (["backend", "upgrad"], "FB100", "did you mean 'upgrade'?"),
    "no verb of a group": (["backend"], "FB100", "flowbook backend --help"),
    "a run to export": (["export", "none"], "FB301", "flowbook list"),
    "no run to export": (["export"], "FB100", "@last"),
    "a file to export to": (["export", "r1", "--out", "none/x.jsonl"], "FB103", "a directory that you may write to"),
    "a file to import": (["import", "none.jsonl"], "FB103", "- for stdin"),
    "a folder to import": (["import", "."], "FB103", "- for stdin"),
    "no file to import": (["import"], "FB100", "flowbook import --help"),
    "a file that is no run": (["import", "flows.py"], "FB103", "what export wrote"),
    "a storage as a run": (["import", "flowbook.db"], "FB103", "what export wrote"),
    "an empty file": (["import", "empty.jsonl"], "FB103", "what export wrote"),
    "an id that is taken": (["import", "r1.jsonl"], "FB131", "--as ID"),
    "an id that is none": (["import", "r1.jsonl", "--as", ""], "FB103", "500 bytes"),
    "a storage to import into": (["import", "r1.jsonl", "--backend", "sqlit:///x.db"], "FB105", "'sqlite'?"),
    "an age": (["prune", "--older-than", "3x"], "FB100", "90s, 30m, 2h"),
    "a state to delete": (["prune", "--state", "lost"], "FB100", "flowbook prune --help"),
    "a number to keep": (["prune", "--keep", "-1"], "FB100", "flowbook prune --help"),
    "nobody to ask": (["prune"], "FB100", "--yes"),
    "a field to print": (["doctor", "--fields", "levle"], "FB100", "did you mean 'level'?"),
    "a storage to look at": (["doctor", "--backend", "sqlite:///none/x.db"], "FB103", "make it first"),
    "a storage to upgrade": (["backend", "upgrade", "--backend", "x.db"], "FB103", "did you mean sqlite:///x.db?"),
    "a field of plug-ins": (["plugins", "--fields", "nme"], "FB100", "did you mean 'name'?"),
    "a code": (["explain", "NotFond"], "FB103", "did you mean 'NotFound'?"),
    "a code far from any": (["explain", "zzzz"], "FB103", "lists all"),
    "a syntax error": (["run", "broken.py::flow"], "FB120", "mend that line"),
    "an import that fails": (["run", "imports.py::flow"], "FB120", "mend that line"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(FLOWS, encoding="utf-8")
    (tmp_path / "broken.py").write_text("x = 1\ndef flow(:\n", encoding="utf-8")
    (tmp_path / "imports.py").write_text("\nimport json\njson.loads('{')\n", encoding="utf-8")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and its document."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "one.py").write_text(ONE, encoding="utf-8")
    assert flowbook(folder, "run", "one.py::one", "--run-id", "r1").code == 0
    assert flowbook(folder, "export", "r1", "--out", "r1.jsonl").code == 0
    return folder


def parts(ended: Ended) -> dict[str, str]:
    return dict(re.findall(r"^  (where|why|do): (.+)$", ended.err, re.MULTILINE))


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_in_four_parts(folder: Path, recorded: Path, case: str) -> None:
    words, code, todo = WRONG[case]
    for name in ("flowbook.db", "r1.jsonl"):
        shutil.copy(recorded / name, folder)
    ended = flowbook(folder, *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error[{code}]: ")
    assert parts(ended).keys() == {"where", "why", "do"}
    assert todo in parts(ended)["do"]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("old", "new", "code", "why"),
    [
        ("SUCCESS", "FAILURE", "FB321", "checksum"),
        ("flowbook.run/1", "flowbook.run/2", "FB322", "version 2"),
        ('{"records":', "{", "FB321", "Expecting"),
    ],
)
def test_a_document_that_is_damaged_or_newer_exits_with_5(
    recorded: Path, tmp_path: Path, old: str, new: str, code: str, why: str
) -> None:
    text = (recorded / "r1.jsonl").read_text(encoding="ascii")
    (tmp_path / "r1.jsonl").write_text(text.replace(old, new), encoding="ascii")
    ended = flowbook(tmp_path, "import", "r1.jsonl")
    assert (ended.code, ended.out) == (5, "")
    assert ended.err.startswith(f"error[{code}]: ")
    assert parts(ended).keys() == {"where", "why", "do"}
    assert parts(ended)["where"].startswith("r1.jsonl:")
    assert why in parts(ended)["why"]
    assert flowbook(tmp_path, "list").out == ""


@pytest.mark.parametrize(("file", "line"), [("broken.py", "broken.py:2"), ("imports.py", "imports.py:3")])
def test_an_error_in_the_users_file_names_its_line_and_none_of_flowbook(folder: Path, file: str, line: str) -> None:
    ended = flowbook(folder, "run", f"{file}::flow", "-v")
    assert parts(ended)["where"] == line
    assert "importlib" not in ended.err
    assert f"flowbook{os.sep}" not in ended.err


def test_wiring_errors_name_the_lines_of_the_atoms(folder: Path) -> None:
    assert "flows.py:4" in parts(flowbook(folder, "run", "flows.py::flow"))["where"]


def test_wiring_errors_speak_of_options_and_not_of_python(folder: Path) -> None:
    ended = flowbook(folder, "run", "flows.py::flow")
    assert "give it as an input: --store guest=..." in ended.err
    assert "store={" not in ended.err


def test_a_password_is_never_printed(folder: Path) -> None:
    ended = flowbook(folder, "list", "--backend", "nothing://me:hidden-word@host/db")
    assert "hidden-word" not in ended.err
    assert "***" in ended.err


def test_a_file_that_is_no_storage_exits_with_5(folder: Path) -> None:
    (folder / "flowbook.db").write_bytes(b"no database at all" * 500)
    ended = flowbook(folder, "list")
    assert ended.code == 5
    assert ended.err.startswith("error[FB310]")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["resume", "--help"]])
def test_help_tells_the_exit_codes_and_gives_examples(folder: Path, words: list[str]) -> None:
    ended = flowbook(folder, *words)
    assert ended.code == 0
    assert "Exit codes:" in ended.out
    assert "130  interrupted" in ended.out
    assert "Examples:" in ended.out


def test_help_imports_nothing_heavy(folder: Path) -> None:
    program = "import sys\nfrom flowbook.cli.main import main\nmain(['--help'])\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    heavy = {"alembic", "futurist", "networkx", "rich", "sqlalchemy", "stevedore", "flowbook.cli.run"}
    assert heavy & set(done.stderr.split()) == set()


@pytest.mark.parametrize("words", [["explain"], ["plugins"], ["list", "--backend", "dir:runs", "--json"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_told_in_four_parts(folder: Path, words: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 5
    assert done.stderr.splitlines()[:4] == [
        "error[FB312]: stdout cannot be written",
        "  where: stdout",
        "  why: No space left on device",
        "  do: make room where stdout leads to, or lead it elsewhere; no run is lost by it",
    ]


def test_a_run_whose_results_find_a_full_disk_exits_as_what_cannot_be_written(recorded: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        command = [*COMMAND, "run", "one.py::number", "--backend", "memory:"]
        done = subprocess.run(command, cwd=recorded, stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert done.returncode == 5
    assert "SUCCESS: run" in done.stderr
    assert "error[FB312]: stdout cannot be written" in done.stderr


def test_a_damaged_record_leads_to_the_doctor_and_names_no_flow(recorded: Path, tmp_path: Path) -> None:
    shutil.copy(recorded / "flowbook.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "flowbook.db")) as database, database:
        database.execute("UPDATE records SET data = '{' WHERE kind = 'atom'")
    ended = flowbook(tmp_path, "show", "r1")
    assert ended.code == 5
    assert ended.err.startswith("error[FB307]: ")
    assert parts(ended)["do"].startswith("flowbook doctor names all that is damaged; other runs are untouched")


def test_inputs_that_differ_lead_to_another_run_by_the_words_of_the_command_line(recorded: Path) -> None:
    run = ("run", "one.py::more", "--run-id", "m1")
    assert flowbook(recorded, *run, "--store", "n=1").code == 0
    ended = flowbook(recorded, *run, "--store", "n=2", "--rerun")
    assert (ended.code, parts(ended)["where"]) == (2, "one.py::more")
    assert parts(ended)["do"].endswith("choose another --run-id")
