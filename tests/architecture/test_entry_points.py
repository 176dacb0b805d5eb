"""Every name that flowbook is found by leads somewhere, and a page tells of it."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, distribution

import pytest

from architecture.project import ROOT

ENTRY_POINTS = tuple(distribution("flowbook").entry_points)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda point: f"{point.group}:{point.name}")
def test_every_entry_point_loads(entry_point: EntryPoint) -> None:
    assert callable(entry_point.load())


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda point: f"{point.group}:{point.name}")
def test_a_page_of_the_documentation_names_every_entry_point(entry_point: EntryPoint) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "doc").rglob("*.rst")]
    assert any(_tells_of(entry_point, page) for page in pages), "no page has the name beside its group"


def _tells_of(entry_point: EntryPoint, page: str) -> bool:
    """A script is told of as ````script```` or ````script verb````, a plug-in beside its group."""
    named = re.search(rf"``{re.escape(entry_point.name)}\b", page) is not None
    return named and (entry_point.group == "console_scripts" or f"``{entry_point.group}``" in page)
