"""``import taskflow`` answered by flowbook, and the bounds of the package that answers."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from architecture.project import ROOT, modules, place

TREE = Path("flowbook", "taskflow")

THEIR_TESTS = re.compile(r"\btaskflow\.tests?\b|\btests\.u\w+|\btest_\w+")


def said(program: str, folder: Path) -> list[str]:
    """Return what a program of its own prints, by words."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_their_names_give_our_own_modules(tmp_path: Path) -> None:
    program = """
import flowbook.taskflow
flowbook.taskflow.install()
from unittest import mock
import taskflow.patterns.graph_flow
from taskflow.patterns import linear_flow as theirs
from flowbook.taskflow.patterns import linear_flow as ours
print(theirs is ours, taskflow is flowbook.taskflow, ours.__name__, ours.__spec__.name)
print(isinstance(taskflow.patterns.graph_flow.Flow("f"), flowbook.taskflow.flow.Flow))
with mock.patch("taskflow.patterns.linear_flow.Flow", 7):
    print(ours.Flow)
"""
    name = "flowbook.taskflow.patterns.linear_flow"
    assert said(program, tmp_path) == ["True", "True", name, name, "True", "7"]


def test_our_module_may_be_imported_after_theirs(tmp_path: Path) -> None:
    program = """
from flowbook.taskflow import install
install()
import taskflow.states, sys
import flowbook.taskflow.states
print(flowbook.taskflow.states is taskflow.states, sys.modules["taskflow.states"] is taskflow.states)
"""
    assert said(program, tmp_path) == ["True", "True"]


def test_nothing_is_imported_before_it_is_asked_for(tmp_path: Path) -> None:
    program = """
import sys
from flowbook.taskflow import install
install()
import taskflow
print("below:", *(name for name in sys.modules if name.startswith("flowbook.taskflow.")))
import taskflow.deciders
print("below:", *(name for name in sys.modules if name.startswith("flowbook.taskflow.")))
"""
    assert said(program, tmp_path) == ["below:", "below:", "flowbook.taskflow.deciders"]


def test_to_install_twice_is_to_install_once(tmp_path: Path) -> None:
    program = """
import sys
from flowbook.taskflow import install
before = len(sys.meta_path)
install()
import taskflow
install()
print(len(sys.meta_path) - before)
"""
    assert said(program, tmp_path) == ["1"]


def test_a_module_that_is_not_there_is_missed_under_the_name_asked_for(tmp_path: Path) -> None:
    program = """
from flowbook.taskflow import install
install()
for name in ("taskflow.nowhere", "taskflow.patterns.nowhere", "taskflowers"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error.name)
"""
    assert said(program, tmp_path) == ["taskflow.nowhere", "taskflow.patterns.nowhere", "taskflowers"]


def test_a_taskflow_that_is_imported_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "taskflow").mkdir()
    (tmp_path / "taskflow" / "__init__.py").write_text("", encoding="utf-8")
    program = """
import sys
import taskflow
from flowbook.exceptions import InvalidState
from flowbook.taskflow import install
finders = list(sys.meta_path)
try:
    install()
except InvalidState as error:
    print(taskflow.__file__ in str(error), sys.meta_path == finders, sys.modules["taskflow"] is taskflow)
"""
    assert said(program, tmp_path) == ["True", "True", "True"]


def test_a_taskflow_that_is_only_installed_is_stood_in_for(tmp_path: Path) -> None:
    (tmp_path / "taskflow").mkdir()
    (tmp_path / "taskflow" / "__init__.py").write_text("raise SystemExit('theirs')", encoding="utf-8")
    program = "from flowbook.taskflow import install; install(); import taskflow; print(taskflow.__name__)"
    assert said(program, tmp_path) == ["flowbook.taskflow"]


# -- bounds --


def test_nothing_else_in_flowbook_imports_it_but_an_example() -> None:
    assert [
        f"{place(path, node)} {name}"
        for path, module in modules("flowbook")
        if not path.is_relative_to(TREE) and not path.is_relative_to("flowbook/examples")
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imported(node)
        if f"{name}.".startswith("flowbook.taskflow.")
    ] == []


def test_the_tree_stays_under_3500_lines() -> None:
    total = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in _files())
    assert 0 < total < 3500


def test_each_of_its_modules_says_what_it_adapts() -> None:
    assert [str(path) for path, module in modules(str(TREE)) if not ast.get_docstring(module)] == []


def test_none_of_its_modules_names_a_test_of_the_ancestor() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if THEIR_TESTS.search(line)
    ] == []


def _files() -> list[Path]:
    return sorted((ROOT / TREE).rglob("*.py"))


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield what a statement imports, by full names; nothing in flowbook is imported by relative ones."""
    for alias in node.names:
        yield alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
