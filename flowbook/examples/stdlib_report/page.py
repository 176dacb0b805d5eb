"""The page: one HTML file with its style and picture inside, that needs nothing else and reads in light and dark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from flowbook.examples.stdlib_report.modules import Function, Module

FUNCTIONS_SHOWN = 25
IMPORTED_SHOWN = 15

_STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --ink: #1d2226; --soft: #5d676f; --line: #dcdfdd;
  --panel: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --page: #14181b; --ink: #e6e9eb; --soft: #9aa6af; --line: #2d353b;
  --panel: #1a1f23; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 76rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .4rem; }
p { margin: .4rem 0; max-width: 46rem; }
.soft { color: var(--soft); }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem 2.6rem; margin: 1.6rem 0 0; padding: 0; list-style: none; }
.numbers b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0 0; padding: .8rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 10px; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 56rem; height: auto; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin-top: .6rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem 1.6rem .28rem 0; text-align: left; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
td.number, th.number { text-align: right; }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
li { margin: .5rem 0; }
"""


def render(
    version: str,
    modules: Sequence[Module],
    imports: Mapping[str, Sequence[str]],
    circles: Sequence[tuple[Sequence[str], Sequence[str]]],
    largest: Iterable[Function],
    drawing: str,
) -> str:
    """Return the page as HTML: the same text for the same arguments."""
    title = f"The standard library of Python {escape(version)}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
            '<p class="soft">Who imports whom, in which circles, and which functions are the largest. Its tests and '
            "installed packages are left out.</p>",
            _numbers(modules, imports, circles),
            _packages(drawing),
            _circles(circles),
            _most_imported(imports),
            _largest(largest),
            "</body>\n</html>\n",
        ]
    )


def _numbers(modules: Sequence[Module], imports: Mapping[str, Sequence[str]], circles: Sequence[object]) -> str:
    numbers = {
        "modules": len(modules),
        "lines": sum(module.lines for module in modules),
        "functions": sum(len(module.functions) for module in modules),
        "imports between them": sum(map(len, imports.values())),
        "circles": len(circles),
    }
    items = "".join(f"<li><b>{number:,}</b> {escape(what)}</li>" for what, number in numbers.items())
    return f'<ul class="numbers">{items}</ul>'


def _packages(drawing: str) -> str:
    return (
        "<h2>Packages</h2>\n<p>An arrow leads from a package to one that it imports when it is loaded; packages that "
        "import each other are <b>orange</b>. Those that import no other package, and are imported by none, "
        f"are not shown.</p>\n<figure>{drawing}</figure>"
    )


def _circles(circles: Sequence[tuple[Sequence[str], Sequence[str]]]) -> str:
    items = [f"<li>{_way(way)}{_members(group, way)}</li>" for group, way in circles]
    told = "".join(items) or "<li>There are none.</li>"
    return (
        "<h2>Circles</h2>\n<p>Counted are imports that run when a module is loaded: none inside functions, and none "
        f"for type checkers.</p>\n<ol>{told}</ol>"
    )


def _way(way: Sequence[str]) -> str:
    return " → ".join(map(_code, way))


def _members(group: Sequence[str], way: Sequence[str]) -> str:
    """Return who else is in the circles through the shortest way, if anybody is."""
    others = [name for name in group if name not in way]
    return f'<br/><span class="soft">in longer ones also {", ".join(map(_code, others))}</span>' if others else ""


def _most_imported(imports: Mapping[str, Sequence[str]]) -> str:
    counts = Counter(target for targets in imports.values() for target in targets)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:IMPORTED_SHOWN]
    rows = [f'<td class="number">{count:,}</td><td>{_code(name)}</td>' for name, count in ranked]
    return "<h2>Most imported modules</h2>\n" + _table('<th class="number">by modules</th><th>module</th>', rows)


def _largest(functions: Iterable[Function]) -> str:
    rows = [
        f'<td class="number">{function.lines:,}</td><td>{_code(function.name)}</td><td>{_code(function.module)}</td>'
        f'<td class="number">{function.line:,}</td>'
        for function in functions
    ]
    heads = '<th class="number">lines</th><th>function</th><th>module</th><th class="number">from line</th>'
    return "<h2>Largest functions</h2>\n" + _table(heads, rows)


def _table(heads: str, rows: Iterable[str]) -> str:
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="table"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
