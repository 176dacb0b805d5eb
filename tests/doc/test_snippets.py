"""Every piece of code in the documentation runs, and commands exist and print what the page says."""

from __future__ import annotations

import doctest
import gc
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from doc.pages import ROOT, Block, blocks, pages, text_of

_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_OPERATORS = {"&&", "||", "|", ";", ">", ">>", "#"}


def _with_code() -> list[Path]:
    return [page for page in pages() if any(block.language != "text" for block in blocks(text_of(page)))]


@pytest.mark.slow
@pytest.mark.parametrize("page", _with_code(), ids=str)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one page share their names and a folder; one with a file's name as caption is that file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctest, "traceback", types.SimpleNamespace(**vars(traceback) | {_NAME: _exception_in_one}))
    module = types.ModuleType(f"page_{re.sub(r'[^a-z]', '_', page.stem)}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = set(sys.modules)
    try:
        for block in blocks(text_of(page)):
            if not block.not_run:
                _run(block, page, tmp_path, vars(module))
        vars(module).clear()
        gc.collect()  # what a page leaves open is told here and now
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]


def _exception_in_one(kind: type[BaseException], error: BaseException) -> list[str]:
    """Return an exception with its notes as one line: of several, doctest of the first Pythons 3.11 sees the last."""
    return ["".join(traceback.format_exception_only(kind, error))]


_NAME = traceback.format_exception_only.__name__


def _run(block: Block, page: Path, folder: Path, names: dict[str, Any]) -> None:
    if block.language == "python" and block.caption:
        (folder / block.caption).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        above = "\n" * (block.line - 1)  # so that a traceback says the line of the page
        exec(compile(above + block.text, str(ROOT / page), "exec", dont_inherit=True), names)
    elif block.language == "doctest":
        _run_doctest(block, page, names)
    elif block.language == "console":
        for command, expected in _commands(block.text):
            if command.startswith("python "):
                assert _matches(expected, printed := _printed(command, folder)), printed


def _run_doctest(block: Block, page: Path, names: dict[str, Any]) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, str(page), str(page), block.line - 1)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert report == [], "".join(report)


def _printed(command: str, folder: Path) -> str:
    """Return what a Python program prints, to either stream, in the order of printing."""
    _, *arguments = shlex.split(command)
    program = subprocess.run(
        [sys.executable, "-u", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return program.stdout


def _matches(expected: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(expected, printed, _FLAGS)


@pytest.mark.parametrize("page", _with_code(), ids=str)
def test_a_command_that_a_page_shows_exists(page: Path) -> None:
    """Its verb and its options are those of ``flowbook``; values are not looked at."""
    if importlib.util.find_spec("flowbook.cli.main") is None:
        pytest.skip("there is no command line yet")
    from flowbook.cli.main import cli

    for block in blocks(text_of(page)):
        if block.language == "console":
            for command, _ in _commands(block.text):
                for words in _calls_of_flowbook(command):
                    _check_words(cli, words)


def _calls_of_flowbook(command: str) -> Iterator[list[str]]:
    words = [*shlex.split(command, comments=True), ";"]
    while words:
        end = next(at for at, word in enumerate(words) if word in _OPERATORS)
        if words[:1] == ["flowbook"]:
            yield words[1:end]
        words = words[end + 1 :]


def test_the_words_that_are_looked_up_leave_the_help_of_commands_as_it_is() -> None:
    """A command keeps the words for its help from when they are first asked for; all tests of a process share them."""
    group = click.Group("g", context_settings={"help_option_names": ["-h", "--help"]})
    verb = click.Command("verb")
    group.add_command(verb)
    _check_words(group, ["verb", "--help"])
    help_option = verb.get_help_option(click.Context(verb))
    assert help_option is not None
    assert help_option.opts == ["-h", "--help"]


def _check_words(command: click.Command, words: list[str]) -> None:
    context = click.Context(command, **command.context_settings)
    for word in words:
        if word.startswith("-"):
            known = {name for one in command.get_params(context) for name in [*one.opts, *one.secondary_opts]}
            assert word.partition("=")[0] in known, f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            verb = command.get_command(context, word)
            assert verb is not None, f"{command.name} has no verb {word}"
            command, context = verb, click.Context(verb, parent=context)


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block, and what is shown below it."""
    command, shown = "", ""
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        else:
            shown += line + "\n"
    if command:
        yield command, shown
