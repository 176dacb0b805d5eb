"""The flow: look for the modules, parse them side by side in chunks, draw conclusions, write the page."""

from __future__ import annotations

import platform
from pathlib import Path

from flowbook import Flow, GraphFlow, LinearFlow, UnorderedFlow, task
from flowbook.examples.stdlib_report import findings, modules, page, picture
from flowbook.examples.stdlib_report.findings import Imports
from flowbook.examples.stdlib_report.modules import Function, Module

PARTS = 60


@task
def scan(folder: str, parts: int) -> list[list[str]]:
    """Return the files of the modules below ``folder``, in ``parts`` chunks."""
    return modules.chunks_of(modules.find_files(Path(folder)), parts)


@task
def parse(folder: str, files: list[str]) -> list[Module]:
    """Return the facts of each file."""
    return [modules.read_module(Path(folder), file) for file in files]


def report_flow(parts: int = PARTS) -> Flow:
    """Return the flow; it takes ``folder``, where the sources are, and ``out``, the page to write."""
    files = [f"files_{n}" for n in range(parts)]
    parsed = [f"parsed_{n}" for n in range(parts)]
    parse_all = UnorderedFlow("parse all")
    for n in range(parts):
        parse_all.add(parse.atom(f"parse {n}", rebind={"files": files[n]}, provides=parsed[n]))
    return LinearFlow("stdlib report").add(
        scan.atom(inject={"parts": parts}, provides=files),
        parse_all,
        collect.atom(requires=parsed),
        GraphFlow("conclude").add(imports, circles, packages, largest, drawing, html),
        write,
    )


@task(provides="everything")
def collect(**parsed: list[Module]) -> list[Module]:
    """Return all modules in the order of their names."""
    return sorted((module for chunk in parsed.values() for module in chunk), key=lambda module: module.name)


@task(provides="imports")
def imports(everything: list[Module]) -> Imports:
    """Return who imports whom."""
    return findings.import_graph(everything)


@task(provides="circles")
def circles(imports: Imports) -> list[tuple[list[str], list[str]]]:
    """Return each group of modules that import each other, with the shortest circle in it."""
    groups = findings.import_circles(imports)
    return [(group, findings.shortest_circle(group, imports)) for group in groups]


@task(provides="packages")
def packages(everything: list[Module], imports: Imports) -> Imports:
    """Return who imports whom among the top-level packages."""
    tops = [module.name for module in everything if module.is_package and "." not in module.name]
    return findings.package_graph(imports, tops)


@task(provides="largest")
def largest(everything: list[Module]) -> list[Function]:
    """Return the largest functions."""
    return findings.largest_functions(everything, page.FUNCTIONS_SHOWN)


@task(provides="drawing")
def drawing(packages: Imports) -> str:
    """Return the picture of the packages, as SVG."""
    return picture.draw(packages)


@task(provides="html")
def html(
    everything: list[Module],
    imports: Imports,
    circles: list[tuple[list[str], list[str]]],
    largest: list[Function],
    drawing: str,
) -> str:
    """Return the page."""
    return page.render(platform.python_version(), everything, imports, circles, largest, drawing)


@task
def write(html: str, out: str) -> int:
    """Write the page; written twice, it is the same."""
    return Path(out).write_text(html, encoding="utf-8")
