"""Tables and lists of the reference say what the code says, and leave nothing out."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields

import pytest

import flowbook
from doc.pages import ROOT, blocks, pages, table, text_of
from flowbook import atoms, engines, flows, persistence
from flowbook.engines.options import Options
from flowbook.exceptions import FlowbookError

_ERROR = re.compile(r"^``(FB\d{3})`` ``(\w+)``$", re.MULTILINE)
_TABLE = re.compile(r":delim: \|\n(?: *:\w+:.*\n)*? *:header: (.*)\n(?: *:\w+:.*\n)*\n(.*)\n")
"""The headings and the first row of a table whose cells are set apart by ``|``."""

_NOT_OPTIONS_OF_USERS = {"closes_backend", "run_id", "factory"}
_APART = {"examples", "migrations", "__main__"}


def test_every_error_code_has_an_entry_under_its_class() -> None:
    told = dict(_ERROR.findall(text_of("doc/reference/errors.rst")))
    assert told == {error.code: error.__name__ for error in _errors() if error is not FlowbookError}


def test_no_two_errors_have_the_same_code() -> None:
    codes = [error.code for error in _errors()]
    assert sorted(codes) == sorted(set(codes))


def _errors() -> Iterator[type[FlowbookError]]:
    """Yield every error of the package that has a code of its own."""
    for module in pkgutil.walk_packages(flowbook.__path__, "flowbook."):
        if _APART.isdisjoint(module.name.split(".")):
            importlib.import_module(module.name)
    waiting: list[type[FlowbookError]] = [FlowbookError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if "code" in vars(error) and error.__module__.startswith("flowbook."):
            yield error


def test_the_table_of_options_names_every_option_with_its_default() -> None:
    told = {row[0]: row[1] for row in table(text_of("doc/reference/engines.rst"), "options")}
    options = Options(run_id="r")
    defaults = {
        one.name: getattr(options, one.name) for one in fields(Options) if one.name not in _NOT_OPTIONS_OF_USERS
    }
    assert told == {name: _shown(default) for name, default in defaults.items()}


def _shown(default: object) -> str:
    plain = isinstance(default, str | bool | float | dict | None)
    return str(default) if plain else type(default).__name__


@pytest.mark.parametrize("module", [flowbook, atoms, engines, flows, persistence], ids=lambda module: module.__name__)
def test_a_page_names_every_public_name(module: object) -> None:
    text = "\n".join(text_of(page) for page in pages())
    names: list[str] = vars(module)["__all__"]
    assert [name for name in names if not re.search(rf"(``|\.){name}\b", text)] == []


def test_what_the_readme_shows_of_an_example_is_its_source() -> None:
    copies = [block for block in blocks(text_of("README.rst")) if block.not_run.startswith("a copy of ")]
    assert copies
    for block in copies:
        assert block.text.strip() in text_of(block.not_run.removeprefix("a copy of "))
        assert len(block.text.strip().splitlines()) <= 20


def test_the_hello_flow_of_the_readme_has_at_most_8_lines() -> None:
    hello = next(block for block in blocks(text_of("README.rst")) if block.language == "python")
    assert "engines.run" in hello.text
    assert len([line for line in hello.text.splitlines() if line.strip()]) <= 8


@pytest.mark.parametrize("page", pages(), ids=str)
def test_a_folder_of_tests_that_a_page_names_exists(page: object) -> None:
    named = re.findall(r"``(tests/[\w/.]+)``", text_of(str(page)))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_table_has_as_many_headings_as_columns() -> None:
    tables = [(page, *found) for page in pages() for found in _TABLE.findall(text_of(page))]
    assert len(tables) > 20
    assert [table for table in tables if table[1].count("|") != table[2].count("|")] == []
