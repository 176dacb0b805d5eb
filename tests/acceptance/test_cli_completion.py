"""What shells are told while a command line is typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.command_line import COMMAND, TIMEOUT_S, environment, flowbook
from flowbook import LinearFlow, engines, persistence, task

pytestmark = pytest.mark.slow


@task
def charge() -> None: ...


@task
def check() -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    with persistence.fetch(f"sqlite:///{folder}/flowbook.db") as backend:
        for run_id in ("order-1", "order-2", "stay-1"):
            engines.run(LinearFlow("pay").add(charge, check), backend=backend, run_id=run_id)
    with persistence.fetch(f"sqlite:///{folder}/other.db") as backend:
        engines.run(LinearFlow("pay").add(charge), backend=backend, run_id="other-1")
    return folder


def offered(folder: Path, line: str, **variables: str) -> list[str]:
    """Return what bash is told when Tab is pressed at the end of ``line``."""
    at = len(line.split()) - (not line.endswith(" "))
    env = environment(_FLOWBOOK_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(at), **variables)
    ended = flowbook(folder, env=env)
    assert (ended.code, ended.err) == (0, "")
    return [word.partition(",")[2] for word in ended.out.split()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("flowbook sh", ["show"]),
        ("flowbook --v", ["--version", "--verbose"]),
        ("flowbook show --fi", ["--fields"]),
        ("flowbook list --output js", ["json", "jsonl"]),
        ("flowbook show order", ["order-2", "order-1"]),
        ("flowbook show ", ["stay-1", "order-2", "order-1"]),
        ("flowbook show @", ["@last", "@failed"]),
        ("flowbook resume st", ["stay-1"]),
        ("flowbook list or", ["order-2", "order-1"]),
        ("flowbook show order-1 ch", ["charge", "check"]),
        ("flowbook show @last cha", ["charge"]),
        ("flowbook show --backend sqlite:///other.db o", ["other-1"]),
        ("flowbook run shop.py::flow --on-change re", ["refuse"]),
        ("flowbook export order-1 --out runs.", ["runs."]),
        ("flowbook show --backend sqlite:///other.db other-1 ", ["charge"]),
    ],
)
def test_verbs_options_runs_and_atoms_are_offered(folder: Path, line: str, words: list[str]) -> None:
    assert offered(folder, line) == words


def test_the_environment_names_the_storage(folder: Path) -> None:
    assert offered(folder, "flowbook show o", FLOWBOOK_BACKEND="sqlite:///other.db") == ["other-1"]


@pytest.mark.parametrize(
    "line",
    [
        "flowbook show r",
        "flowbook show none ",
        "flowbook nonsense x",
        "flowbook show --backend sqlite:///none/x.db r",
        "flowbook show --backend nonsense r",
        "flowbook show --backend sqlite:///broken.db r",
    ],
)
def test_where_nothing_can_be_read_nothing_is_offered_told_or_made(tmp_path: Path, line: str) -> None:
    (tmp_path / "broken.db").write_text("no database", encoding="utf-8")
    assert offered(tmp_path, line) == []
    assert os.listdir(tmp_path) == ["broken.db"]


@pytest.mark.parametrize(
    "word", ["sh", "show order", "--v", "show --fi", "run --on-change re", "resume --backend sqlite:///other.db o"]
)
def test_verbs_options_and_runs_are_offered_without_what_takes_long_to_import(folder: Path, word: str) -> None:
    line = f"flowbook {word}"
    program = (
        "import sys\nfrom flowbook.cli.main import main\n"
        "try:\n    main([])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_FLOWBOOK_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, env=environment(**variables), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout
    heavy = {
        "alembic",
        "rich",
        "sqlalchemy",
        "stevedore",
        "flowbook.cli.options",
        "flowbook.cli.trouble",
        "flowbook.engines",
        "flowbook.persistence.backend",
        "flowbook.views",
    }
    assert heavy & set(done.stderr.split()) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(tmp_path: Path, shell: str) -> None:
    named = flowbook(tmp_path, "completion", shell)
    assert (named.code, named.err) == (0, "")
    assert "_FLOWBOOK_COMPLETE" in named.out
    assert flowbook(tmp_path, "completion", env=environment(SHELL=f"/bin/{shell}")) == named


@pytest.mark.parametrize("shell", ["/bin/tcsh", ""])
def test_a_shell_that_is_not_known_is_told_in_four_parts(tmp_path: Path, shell: str) -> None:
    ended = flowbook(tmp_path, "completion", env=environment(SHELL=shell))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[:4] == [
        f"error[FB100]: which shell? $SHELL is {shell!r}",
        "  where: flowbook completion",
        "  why: there are scripts for bash, zsh and fish",
        "  do: name it: flowbook completion bash, flowbook completion zsh, flowbook completion fish",
    ]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_with_its_script(folder: Path) -> None:
    script = flowbook(folder, "completion", "bash").out
    program = folder / "flowbook"
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    typed = "COMP_WORDS=(flowbook show order); COMP_CWORD=2; _flowbook_completion ./flowbook; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{typed}"],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["order-2", "order-1"], "")
