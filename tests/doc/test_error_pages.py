"""The pages of errors are of the errors that there are, and the documentation shows what ``flowbook explain`` does."""

from __future__ import annotations

import re

import pytest

from doc.pages import ROOT, text_of
from flowbook.cli.main import VERBS
from flowbook.views.explanations import Explanation, explanations

PAGES = explanations()
ENTRIES = dict(re.findall(r"^``(FB\d{3})`` ``(\w+)``$", text_of("doc/reference/errors.rst"), re.MULTILINE))
"""What the reference tells of, class by code; another test sees that these are all there are."""


def test_each_code_has_a_page_and_each_page_a_code() -> None:
    assert {page.code: page.name for page in PAGES} == ENTRIES


def test_each_page_stands_in_the_documentation() -> None:
    included = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "doc/reference/errors").iterdir()}
    assert included == {page.code: f".. include:: ../../../flowbook/explanations/{page.code}.rst\n" for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_a_page_names_no_error_and_no_verb_that_is_not_there(page: Explanation) -> None:
    verbs = set(re.findall(r"(?:``|\$ )flowbook (?:-v )?([a-z]+)", page.page))
    assert set(re.findall(r"\bFB\d+", page.page)) - ENTRIES.keys() == set()
    assert verbs - VERBS.keys() == set()


def test_the_pages_are_installed_with_the_package() -> None:
    assert "explanations/*.rst" in text_of("setup.cfg")
