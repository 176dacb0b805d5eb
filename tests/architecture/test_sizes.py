"""How large things may grow; over the limit is a second idea, to be put elsewhere."""

from __future__ import annotations

import ast

from architecture.project import ROOT, modules, place, texts

ONE_SITTING = (  # the five files that tell how flowbook works
    "flowbook/states.py",
    "flowbook/flows/compilation.py",
    "flowbook/engines/core/step.py",
    "flowbook/engines/engine.py",
    "flowbook/persistence/backend.py",
)


def test_no_module_has_more_than_500_lines() -> None:
    lines = {str(path): len(text.splitlines()) for path, text in texts() if path.suffix == ".py"}
    assert {path: count for path, count in lines.items() if count > 500} == {}


def test_no_function_has_more_than_60_lines_apart_from_its_docstring() -> None:
    lengths = {
        f"{place(path, node)} {node.name}": _lines_without_docstring(node)
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in lengths.items() if count > 60} == {}


def test_no_class_has_more_than_20_methods_apart_from_tests() -> None:
    counts = {
        f"{place(path, node)} {node.name}": _methods(node)
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
    }
    assert {name: count for name, count in counts.items() if count > 20} == {}


def test_the_five_files_that_tell_how_it_works_have_less_than_1000_lines_together() -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in ONE_SITTING}
    assert sum(lines.values()) < 1000, lines


def _lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = _line_count(function)
    if ast.get_docstring(function) is not None:
        lines -= _line_count(function.body[0])
    return lines


def _line_count(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _methods(cls: ast.ClassDef) -> int:
    functions = [node for node in cls.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return len({function.name for function in functions if not function.name.startswith("test_")})
