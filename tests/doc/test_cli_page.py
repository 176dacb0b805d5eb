"""The page of the command line says what holds for all verbs, and leaves none of them out."""

from __future__ import annotations

import re

from doc.pages import table, text_of
from flowbook.cli.choosing import CHOICES
from flowbook.cli.exits import Exit
from flowbook.cli.main import VERBS
from flowbook.cli.options import PROGRESS_VARIABLE, WAYS
from flowbook.cli.output import FORMATS
from flowbook.cli.session import BACKEND_VARIABLE, DEFAULT_BACKEND
from flowbook.cli.tables import LINES_MAX

PAGE = text_of("doc/reference/cli.rst")


def test_the_page_leads_to_each_verb_in_the_order_of_the_help() -> None:
    assert re.findall(r"^   cli/(\w+)$", PAGE, re.MULTILINE) == [*VERBS, "documents"]


def test_the_table_of_exit_codes_is_whole() -> None:
    assert [int(code) for code, _ in table(PAGE, "exit-codes")] == sorted(Exit)


def test_each_way_to_show_progress_is_told() -> None:
    assert re.findall(r"^``(\w+)`` +\S", _section("Progress"), re.MULTILINE) == list(WAYS)


def test_the_variables_formats_and_defaults_are_those_of_the_commands() -> None:
    assert {BACKEND_VARIABLE, PROGRESS_VARIABLE} <= set(re.findall(r"^``(\w+)`` ", _section("Variables"), re.MULTILINE))
    assert f"``--output {'|'.join(FORMATS)}``" in PAGE
    assert f"``{DEFAULT_BACKEND}``" in _section("Where runs are recorded")
    assert f"More than {LINES_MAX} lines" in PAGE
    assert CHOICES == 10
    assert "the ten newest are offered" in PAGE


def _section(title: str) -> str:
    """Return the text from a heading to the next one."""
    _, _, text = PAGE.partition(f"\n{title}\n{'-' * len(title)}\n")
    return re.split(r"\n.+\n-{3,}\n", text)[0]
