"""What follows from the facts: who imports whom, in which circles, and which functions are the largest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import networkx as nx

from flowbook.examples.stdlib_report.modules import Function, Module

Imports = dict[str, list[str]]
"""Each module's name with the sorted names of the modules that it imports when it is loaded."""


def import_graph(modules: Iterable[Module]) -> Imports:
    """Return who imports whom among ``modules``; an import from outside of them is left out."""
    given = list(modules)
    known = {module.name for module in given}
    return {
        module.name: sorted({found for name in module.imports if (found := _known(name, known))} - {module.name})
        for module in given
    }


def _known(name: str, known: Collection[str]) -> str:
    """Return the module that an imported name means: itself, or what it is taken out of; nothing when it is foreign."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def package_graph(imports: Mapping[str, Sequence[str]], packages: Collection[str]) -> Imports:
    """Return the same graph between top-level packages: one imports another when any module of it does."""
    graph: dict[str, set[str]] = {package: set() for package in sorted(packages)}
    for module, targets in imports.items():
        source = module.partition(".")[0]
        if source in graph:
            tops = {target.partition(".")[0] for target in targets}
            graph[source] |= (tops & graph.keys()) - {source}
    return {package: sorted(targets) for package, targets in graph.items()}


def import_circles(imports: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the groups of modules that all lead to each other, the largest first."""
    components = nx.strongly_connected_components(nx.DiGraph(imports))
    groups = [sorted(component) for component in components if len(component) > 1]
    return sorted(groups, key=lambda group: (-len(group), group))


def shortest_circle(group: Sequence[str], imports: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the shortest way from a module of ``group`` back to itself, its first module at both ends."""
    members = set(group)
    ways = [way for start in sorted(group) if (way := _way_back(start, members, imports))]
    return min(ways, key=lambda way: (len(way), way))


def _way_back(start: str, members: Collection[str], imports: Mapping[str, Sequence[str]]) -> list[str]:
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:  # it grows: breadth first
        for target in imports[way[-1]]:
            if target == start:
                return [*way, start]
            if target in members and target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def largest_functions(modules: Iterable[Module], count: int) -> list[Function]:
    """Return the ``count`` functions with most lines, the largest first."""
    functions = [function for module in modules for function in module.functions]
    functions.sort(key=lambda function: (-function.lines, function.module, function.line))
    return functions[:count]
