"""What ``doc/from_taskflow.rst`` tells: the names exist, the differences are those that the tests excuse."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable

import pytest

from differential.differences import DIFFERENCES
from doc.pages import table, text_of
from flowbook.taskflow import engines
from flowbook.taskflow.engines.worker_based.worker import Worker
from flowbook.taskflow.exceptions import NotImplementedError
from flowbook.taskflow.jobs import backends as boards
from flowbook.taskflow.patterns import linear_flow
from flowbook.taskflow.persistence import backends

PAGE = text_of("doc/from_taskflow.rst")

ROWS = table(PAGE, "names")

LEFT_OUT = [line for line in text_of("doc/taskflow_tests_left_out.txt").splitlines() if not line.startswith("#")]

WHERE = {"both", "flowbook.taskflow", "flowbook's own"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_name_is_where_the_page_says(row: tuple[str, ...]) -> None:
    theirs, ours = row
    names = [f"flowbook.taskflow.{name}" for name in theirs.split(", ")]
    if not ours.startswith("none"):
        names += ours.split(", ")
    assert [name for name in names if pkgutil.resolve_name(name) is None] == []


NOT_THERE: dict[str, Callable[[], object]] = {
    "job boards": lambda: boards.fetch("board", {"board": "zookeeper"}),
    "workers": lambda: Worker("exchange", "topic", []),
    "engine": lambda: engines.load(linear_flow.Flow("f"), engine="workers"),
    "mysql": lambda: backends.fetch("mysql+pymysql://localhost/logbooks"),
    "postgresql": lambda: backends.fetch("postgresql://localhost/logbooks"),
    "zookeeper": lambda: backends.fetch("zookeeper://localhost"),
}


@pytest.mark.parametrize("what", NOT_THERE)
def test_what_is_not_there_yet_says_so(what: str) -> None:
    with pytest.raises(NotImplementedError, match=" yet"):
        NOT_THERE[what]()


@pytest.mark.parametrize("name", ["conductors", "jobs.base"])
def test_a_module_that_is_not_there_yet_cannot_be_imported(name: str) -> None:
    assert f"taskflow.{name}" in PAGE
    with pytest.raises(ModuleNotFoundError, match=f"taskflow.{name}"):
        importlib.import_module(f"flowbook.taskflow.{name}")


def test_the_page_tells_the_differences_that_are_excused_and_no_others() -> None:
    told = sorted(row[0] for row in table(PAGE, "differences"))
    assert told == sorted(one.name for one in DIFFERENCES)


@pytest.mark.parametrize("name", ["differences", "more"])
def test_a_difference_is_told_with_its_reason_and_where_it_is_seen(name: str) -> None:
    rows = table(PAGE, name)
    assert all(all(row) for row in rows)
    assert {row[3] for row in rows} <= WHERE
    assert len({row[0] for row in rows}) == len(rows) > 10


def test_the_tests_left_out_are_few_and_each_has_its_reason() -> None:
    assert 0 < len(LEFT_OUT) <= 40
    known = re.compile(r"(unit(\.\w+)+::\w+::test_\w+|examples::\w+) \| \S.{10,}")
    assert [line for line in LEFT_OUT if not known.fullmatch(line)] == []
    assert sorted(set(LEFT_OUT)) == LEFT_OUT
