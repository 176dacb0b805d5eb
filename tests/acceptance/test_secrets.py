"""Canaries in secrets and URLs: whatever the command line prints, and whatever it leaves on the disk, holds none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from acceptance.command_line import Ended, environment, flowbook
from acceptance.leaky import ADDRESS, ENV, FILE, FOUND, LEAKY, SECRETS
from flowbook.secrets import new_key

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "leaky.py").write_text(LEAKY, encoding="utf-8")
    (tmp_path / "pin").write_text(f"{FILE}\n", encoding="utf-8")
    return folder


@pytest.fixture
def keys() -> dict[str, str]:
    return dict(environment(SHOP_PASSWORD=ENV, FLOWBOOK_SECRET_KEYS=new_key()))


def _without_canaries(ended: Ended) -> Ended:
    assert [word for word in FOUND if word in ended.out + ended.err] == [], ended
    return ended


def _on_disk(folder: Path, but_for: tuple[str, ...] = ()) -> list[str]:
    """Return the canaries in the files of a folder, each with its file; the program itself, which names them, apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "leaky.py" and path.suffix != ".pyc"]
    assert files
    texts = {path.name: path.read_bytes().decode("utf-8", "replace") for path in files}
    for word in but_for:
        texts = {name: text.replace(word, "") for name, text in texts.items()}
    return [f"{word} in {name}" for name, text in texts.items() for word in FOUND if word in text]


def test_no_verb_prints_a_secret_and_no_file_holds_one(folder: Path, keys: dict[str, str]) -> None:
    at = ("--backend", "sqlite:///runs.db")
    begin = ("run", *SECRETS, *ADDRESS, *at)

    ended = _without_canaries(flowbook(folder, *begin, "leaky.py::flow", "--run-id", "good", env=keys))
    assert ended.code == 0, ended
    assert "kept = " in ended.out
    assert "asking with *** ***" in ended.err

    ended = _without_canaries(flowbook(folder, "-v", *begin, "leaky.py::failing", "--run-id", "bad", env=keys))
    assert ended.code == 3, ended
    assert "Refused: ('*** at db://me:***@host/x?token=***', ***)" in ended.err

    again = ("leaky.py::failing", "--run-id", "bad", "--rerun", "--progress", "json")
    assert _without_canaries(flowbook(folder, "-v", *begin, *again, env=keys)).code == 3
    resume = ("resume", "bad", "--allow", "leaky.py", "--rerun", *at)
    assert _without_canaries(flowbook(folder, "-v", *resume, env=keys)).code == 3

    unkeyed = environment()  # to look at a run nobody needs what it needed
    for words in _reading(folder):
        ended = _without_canaries(flowbook(folder, *words, *at, env=unkeyed))
        assert ended.code == 0, (words, ended)
    assert _on_disk(folder, but_for=("canary-stored",)) == []  # it was given as plain text, and not as a secret


def _reading(folder: Path) -> list[tuple[str, ...]]:
    words: list[tuple[str, ...]] = []
    for run in ("good", "bad"):
        words += [("show", run), ("-v", "show", run, "--json"), ("show", run, "keep"), ("-v", "show", run, "keep")]
        words += [("export", run, "--out", f"{run}.jsonl")]
    words += [("-v", "show", "bad"), ("show", "bad", "fail", "--json"), ("-v", "show", "bad", "fail")]
    words += [("graph", "bad", "--format", how) for how in ("text", "svg", "json")]
    return [*words, ("list", "--json"), ("watch", "good"), ("prune", "--dry-run", "--older-than", "0s")]


def test_an_exported_run_holds_no_secret_and_is_resumed_elsewhere_with_the_same_places(
    folder: Path, keys: dict[str, str]
) -> None:
    begin = ("run", *SECRETS, "--store", "address=here", "leaky.py::failing", "--run-id", "bad")
    assert _without_canaries(flowbook(folder, *begin, env=keys)).code == 3
    exported = _without_canaries(flowbook(folder, "export", "bad"))
    (folder / "bad.jsonl").write_text(exported.out, encoding="utf-8")
    assert flowbook(folder, "import", "bad.jsonl", "--backend", "dir:other").code == 0
    again = ("resume", "bad", "--allow", "leaky.py", "--rerun", "--backend", "dir:other")
    assert _without_canaries(flowbook(folder, *again, env=keys)).code == 3
    ended = _without_canaries(flowbook(folder, *again))
    assert ended.code == 2
    assert _on_disk(folder) == []


def test_a_resume_that_lacks_a_secret_says_what_where_why_and_what_to_do(folder: Path, keys: dict[str, str]) -> None:
    begin = ("run", *SECRETS, "--store", "address=here", "leaky.py::failing", "--run-id", "bad")
    assert flowbook(folder, *begin, env=keys).code == 3
    before = {path: path.read_bytes() for path in folder.glob("*.db*")}
    lacking = {name: value for name, value in keys.items() if name != "SHOP_PASSWORD"}
    ended = flowbook(folder, "resume", "bad", "--allow", "leaky.py", "--rerun", env=lacking)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[:4] == [
        "error[FB113]: input 'password' is not there: environment variable SHOP_PASSWORD is not set",
        "  where: sqlite:///flowbook.db",
        "  why: environment variable SHOP_PASSWORD is not set",
        "  do: set SHOP_PASSWORD in the environment of this process",
    ]
    assert {path: path.read_bytes() for path in folder.glob("*.db*")} == before


@pytest.mark.parametrize("word", ["password", "password=canary-plain", "password=env:", "canary-plain", "=env:X"])
def test_a_secret_that_is_no_place_is_refused_and_not_repeated(folder: Path, word: str) -> None:
    ended = _without_canaries(flowbook(folder, "run", "leaky.py::flow", "--secret", word))
    assert (ended.code, ended.out) == (2, "")
    what, where, why, do, _ = ended.err.splitlines()
    assert "does not say where the secret lies" in what
    assert (where, why[:5]) == ("  where: --secret", "  why")
    assert "env:VARIABLE" in do


def test_a_secret_given_twice_is_refused(folder: Path) -> None:
    ended = flowbook(folder, "run", "leaky.py::flow", "--secret", "a=env:A", "--secret", "a=env:B")
    assert (ended.code, ended.out) == (2, "")
    assert "'a' is given twice" in ended.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:canary-url@127.0.0.1:1/db?timeout_s=0.1",
        "mysql://me:canary-url@127.0.0.1:1/db?timeout_s=0.1",
        "postgresql://me:canary/url@xq7z@127.0.0.1:1/db?timeout_s=0.1",
        "postgresql://me:canary-url?xq7z@127.0.0.1:1/db",
        "postgresql://me:canary-url#xq7z@127.0.0.1:1/db?timeout_s=0.1",
        "mysql://me:canary-url?a=xq7z@127.0.0.1:1/db",
        "zookeeper://me:canary-url?a=xq7z@127.0.0.1:1/db",
        "sqlite:///runs.db?password=canary-url",
        "sqlite://me:canary-url@host/runs.db",
        "dir:runs?secret_key=canary-url",
        "nosuch://me:canary-url@host/x",
        "zookeeper://127.0.0.1:1/x?timeout_s=0.1&sasl_password=canary-url",
        "memory://me:canary-url@host",
    ],
)
def test_no_password_of_a_url_is_printed(folder: Path, url: str) -> None:
    for words in (
        ("-v", "list", "--json"),
        ("-v", "run", "leaky.py::flow", "--secret", "password=env:HOME", "--secret", f"pin=file:{os.devnull}"),
    ):
        _without_canaries(flowbook(folder, *words, "--backend", url))
