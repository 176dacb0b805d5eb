"""Each error has a page, found by its code and by its name."""

from __future__ import annotations

import re

import pytest

from flowbook.exceptions import NotPossible
from flowbook.views.explanations import Explanation, explain, explanations, explanations_document

PAGES = explanations()


def test_there_is_a_page_for_each_code_and_no_code_has_two() -> None:
    assert len(PAGES) > 30
    assert [page.code for page in PAGES] == sorted({page.code for page in PAGES})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_a_page_says_what_why_and_what_to_do_with_an_example(page: Explanation) -> None:
    title, rule, empty, summary = page.page.splitlines()[:4]
    assert title == f"{page.code}: {page.name}"
    assert (rule, empty) == ("=" * len(title), "")
    assert page.summary.startswith(summary)
    assert page.summary.endswith(".")
    parts = re.findall(r"^(.+)\n-+$", page.page, re.MULTILINE)
    assert parts == ["Why it happens", "What to do", "Example"]
    assert "\n::\n\n    " in page.page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_an_example_of_the_command_line_shows_its_own_code(page: Explanation) -> None:
    assert set(re.findall(r"error\[(\w+)\]", page.page)) <= {page.code}


@pytest.mark.parametrize("word", ["FB301", "fb301", "301", "NotFound", "notfound"])
def test_a_page_is_found_by_code_number_and_name(word: str) -> None:
    assert explain(word).code == "FB301"


@pytest.mark.parametrize(
    ("word", "near"), [("NotFond", "did you mean 'NotFound'?"), ("fb_301", "did you mean 'FB301'?")]
)
def test_a_word_that_is_nearly_one_names_the_nearest(word: str, near: str) -> None:
    with pytest.raises(NotPossible, match="no error is called") as caught:
        explain(word)
    assert caught.value.todo == near
    assert caught.value.where
    assert caught.value.why


def test_a_word_that_is_far_from_any_is_answered_with_the_list() -> None:
    with pytest.raises(NotPossible) as caught:
        explain("zzzzzz")
    assert "lists all" in caught.value.todo


def test_the_document_has_the_page() -> None:
    document = explanations_document([explain("FB301")])
    assert document["errors"] == [
        {"code": "FB301", "name": "NotFound", "summary": explain("301").summary, "page": explain("301").page}
    ]
