"""What an import may bring along; the arrows between modules are checked by ``tox -e lint``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.project import modules, place

HEAVY = {"alembic", "click", "cryptography", "futurist", "networkx", "rich", "sqlalchemy", "stevedore"}

# These run what they read, and records come from files and servers that others can write to.
RUN_WHAT_THEY_READ = {
    "eval",
    "exec",
    "marshal.load",
    "marshal.loads",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "shelve.open",
    "yaml.load",
}


@pytest.mark.slow
def test_importing_flowbook_imports_none_of_its_requirements(tmp_path: Path) -> None:
    program = (
        "import sys, flowbook; [getattr(flowbook, name) for name in flowbook.__all__]; "
        "engines = flowbook.engines; [getattr(engines, name) for name in engines.__all__]; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"flowbook.engines.engine", "flowbook.flows.compilation"} <= set(loaded)
    assert HEAVY & set(loaded) == set()


def test_no_module_of_the_house_enters_by_the_front_door() -> None:
    """``flowbook/__init__`` stands above all layers: to import from it is an arrow up."""
    above = {"examples", "testing", "__init__.py"}
    assert [
        place(path, node)
        for path, module in modules("flowbook")
        if path.parts[1] not in above
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module == "flowbook"
    ] == []


def test_nothing_in_the_package_runs_what_it_reads() -> None:
    assert [
        f"{place(path, node)} {name}"
        for path, module in modules("flowbook")
        for node in ast.walk(module)
        for name in _named(node)
        if name in RUN_WHAT_THEY_READ
    ] == []


def _named(node: ast.AST) -> list[str]:
    """Return the dotted names that ``node`` calls or takes out of a module."""
    match node:
        case ast.Call(func=function):
            return [ast.unparse(function)]
        case ast.ImportFrom(module=module, names=names):
            return [f"{module}.{name.name}" for name in names]
        case _:
            return []
