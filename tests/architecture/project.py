"""The files of the project, as the architecture tests read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FOLDERS = (".ci", "doc", "flowbook", "tests", "tools")
_SUFFIXES = {".cfg", ".ini", ".rst", ".toml"}  # of files in the root, where people leave other things too
_MADE_BY_TOOLS = {"__pycache__", "_build"}


def files() -> Iterator[Path]:
    """Return every file that belongs to the project, and none that its tools make."""
    yield from (path for path in ROOT.iterdir() if path.suffix in _SUFFIXES)
    for folder in _FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and _MADE_BY_TOOLS.isdisjoint(path.relative_to(ROOT).parts):
                yield path


def texts() -> Iterator[tuple[Path, str]]:
    """Return the path, seen from the root, and the text of every file that is text."""
    for path in files():
        try:
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def modules(folder: str = "") -> Iterator[tuple[Path, ast.Module]]:
    """Return the path, seen from the root, and the syntax of every Python module in ``folder``."""
    for path, text in texts():
        if path.suffix == ".py" and path.is_relative_to(folder):
            yield path, ast.parse(text)


def place(path: Path, node: ast.stmt | ast.expr) -> str:
    return f"{path}:{node.lineno}"
