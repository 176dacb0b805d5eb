"""Python modules as facts: where they are, what they import when they are loaded, which functions they have."""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

LEFT_OUT = frozenset({"test", "tests", "idle_test"})
"""Folders that are not looked into; nor are those that no import leads to, such as site-packages."""


PARSER = threading.Lock()
"""Some releases of CPython 3.11 fail with a SystemError when two threads build syntax trees at a time (gh-106905)."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function or method: the module it is in, its qualified name, where it begins, how many lines it has."""

    module: str
    name: str
    line: int
    lines: int


@dataclass(frozen=True, slots=True)
class Module:
    """One module. ``imports`` are dotted names, as far as the text says; whether they are modules is not known here."""

    name: str
    is_package: bool
    lines: int
    imports: tuple[str, ...]
    functions: tuple[Function, ...]


def find_files(folder: Path) -> list[str]:
    """Return the Python files below ``folder`` that can be imported, tests left out, relative to it and sorted."""
    found = (path.relative_to(folder) for path in folder.rglob("*.py"))
    return sorted(path.as_posix() for path in found if _is_importable(path.with_suffix("").parts))


def _is_importable(parts: Sequence[str]) -> bool:
    return LEFT_OUT.isdisjoint(parts) and all(part.isidentifier() for part in parts)


def chunks_of(files: Sequence[str], parts: int) -> list[list[str]]:
    """Return ``files`` cut into ``parts`` runs whose lengths differ by one at most; neighbours stay together."""
    cuts = [len(files) * n // parts for n in range(parts + 1)]
    return [list(files[start:end]) for start, end in pairwise(cuts)]


def read_module(folder: Path, file: str) -> Module:
    """Return the facts of one file. Raises SyntaxError when it is not Python."""
    source = (folder / file).read_bytes()
    with PARSER:
        tree = ast.parse(source, file)
    name, is_package = name_of(file)
    around = name if is_package else name.rpartition(".")[0]
    imports = {target for node in _run_on_import(tree) for target in _targets(node, around)}
    functions = tuple(_functions(tree, name))
    return Module(name, is_package, source.count(b"\n"), tuple(sorted(imports)), functions)


def name_of(file: str) -> tuple[str, bool]:
    """Return the name under which a file is imported, and whether it is a package.

    >>> name_of("json/__init__.py"), name_of("json/decoder.py")
    (('json', True), ('json.decoder', False))
    """
    *folders, last = file.removesuffix(".py").split("/")
    is_package = last == "__init__"
    return ".".join(folders if is_package else [*folders, last]), is_package


def _run_on_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements that loading a module may run: none in functions, nor for type checkers or scripts."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_never_true_on_import(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            waiting.extend(ast.iter_child_nodes(node))


def _is_never_true_on_import(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")


def _targets(node: ast.AST, around: str) -> list[str]:
    """Return the names that an import statement asks for, absolute; ``around`` is the package that it stands in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = around.split(".")[: len(around.split(".")) - node.level + 1] if node.level else []
    base += [node.module] if node.module else []
    return [".".join([*base, alias.name]) for alias in node.names]


def _functions(tree: ast.AST, module: str) -> Iterator[Function]:
    waiting = [(tree, "")]
    while waiting:
        node, outer = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{outer}{child.name}"
                waiting.append((child, f"{name}."))
                if not isinstance(child, ast.ClassDef):
                    yield Function(module, name, child.lineno, (child.end_lineno or child.lineno) - child.lineno + 1)
            elif not isinstance(child, ast.expr):
                waiting.append((child, outer))
