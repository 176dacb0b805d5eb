"""The page of benchmarks says what was measured."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

import pytest

from architecture.project import ROOT

PAGES = ROOT / "doc" / "benchmarks"
TOOLS = ROOT / "tools" / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what imports a module of the tools."""
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.syspath_prepend(TOOLS / "peers")
    return import_module


def test_the_tables_are_those_of_the_figures(bench: Any) -> None:
    figures = json.loads((PAGES / "figures.json").read_text(encoding="utf-8"))
    for name, text in bench("compare").tables(figures).items():
        assert (PAGES / f"{name}.txt").read_text(encoding="utf-8") == text


def test_a_goal_is_met_missed_or_not_measured(bench: Any) -> None:
    measured = bench("measuring").Measured
    found = {
        "run chain": {
            "flowbook": measured("flowbook", 10, [{"seconds": 1.0, "cpu_s": 1.0}] * 3),
            "dask.get of tuples": measured("dask.get of tuples", 10, [{"seconds": 2.0, "cpu_s": 2.0}] * 3),
        },
        "threads fan": {
            "flowbook": measured("flowbook", 10, [{"seconds": 10.0, "cpu_s": 1.0}] * 3),
            "bare": measured("bare", 10, [{"seconds": 1.0, "cpu_s": 1.0}] * 3),
            "parsl": measured("parsl", 10, why_not="no such module"),
        },
    }
    judged = {goal.says: goal for goal in bench("goals").judged(found)}
    chain = judged["memory, chain of 10,000, against dask.get"]
    pool = judged["memory, fan of 10,000 on 8 threads, of a bare pool"]
    parsl = judged["memory, fan of 10,000 on 8 threads, against parsl"]
    assert (chain.measured, chain.met) == ("2.00 x", True)
    assert (pool.measured, pool.met) == ("0.10 x", False)
    assert (parsl.measured, parsl.met) == ("not measured: no such module", None)


@pytest.mark.parametrize(("seconds", "cpu_s", "met"), [(0.0025, 0.002, False), (0.0025, 0.001, True)])
def test_a_chain_on_a_quick_storage_is_judged_by_its_own_time(
    bench: Any, seconds: float, cpu_s: float, met: bool
) -> None:
    measured = bench("measuring").Measured
    found = {
        "durable sqlite": {
            "flowbook": measured("flowbook", 10, [{"seconds": seconds, "cpu_s": cpu_s}]),
            "bare": measured("bare", 10, [{"seconds": 0.001, "cpu_s": 0.0005}]),
        }
    }
    (goal,) = [goal for goal in bench("goals").judged(found) if goal.says == "durable chain on SQLite, of bare"]
    assert goal.met is met


def test_the_page_includes_every_written_file_and_no_other() -> None:
    page = (PAGES.with_suffix(".rst")).read_text(encoding="utf-8")
    included = re.findall(r"^\.\. (?:include|image):: benchmarks/(\S+)$", page, re.MULTILINE)
    assert sorted(included) == sorted(path.name for path in PAGES.iterdir() if path.suffix != ".json")


def test_one_command_writes_the_parts_of_all_tools() -> None:
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    writing = {path.stem for path in TOOLS.glob("*.py") if "write_goals(" in path.read_text(encoding="utf-8")} - {
        "page"
    }
    (commands,) = re.findall(r"^\[testenv:bench-goals\]$.*?^commands =\n((?:    .*\n)+)", tox, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"python tools/bench/(\w+)\.py --write$", commands, re.MULTILINE)) == writing
    assert all((PAGES / f"{name}.txt").exists() for name in writing)


def goals_of_scale(bench: Any) -> Any:
    return bench("scale").judged([], {}, 1_000, 100_000)


def goals_of_executors(bench: Any) -> Any:
    tool = bench("executors")
    return tool.judged(*tool.series(tool.options().parse_args([])))


def goals_of_reading(bench: Any) -> Any:
    return bench("reading").judged([], 100_000)


TOLD = {"scale": goals_of_scale, "executors": goals_of_executors, "reading": goals_of_reading}


@pytest.mark.parametrize("tool", TOLD)
def test_every_goal_of_a_tool_stands_on_the_page_with_what_was_measured(bench: Any, tool: str) -> None:
    table, _, machine = (PAGES / f"{tool}.txt").read_text(encoding="utf-8").partition("\n\nMeasured on: ")
    rows = [line.strip().split(" | ") for line in table.splitlines()[4:]]
    assert [(says, bound) for says, bound, *_ in rows] == [(goal.says, goal.bound) for goal in TOLD[tool](bench)]
    for _, _, measured, met in rows:
        assert met == "not measured" if measured.startswith("not measured: ") else met in ("met", "**not met**")
    assert "cores" in machine


@pytest.mark.parametrize("tool", TOLD)
def test_a_goal_of_a_tool_that_was_left_out_says_so(bench: Any, tool: str) -> None:
    goals = TOLD[tool](bench)
    assert goals
    assert {(goal.measured, goal.met) for goal in goals} == {("not measured: left out", None)}


@pytest.mark.parametrize(("took", "met"), [(0.13, True), (0.14, False)])
def test_an_atom_of_a_large_flow_may_cost_a_little_more(bench: Any, took: float, met: bool) -> None:
    scale = bench("scale")
    other = {("run", 10): [9.0, 1.0], ("run", 100): [10.0]}
    cases = [scale.Case("memory", "chain", other), scale.Case("memory", "fan", {**other, ("run", 100): [100 * took]})]
    whats = ("revert", "resume", "both", "compile", "enter")
    for case in cases:
        case.seconds.update({(what, count): [1.0] for what in whats for count in (10, 100)})
    run, *_ = scale.judged(cases, {}, 10, 100)
    assert (run.measured, run.met) == (f"chain 1.00, fan {10 * took:.2f}", met)


@pytest.mark.parametrize(("links", "met"), [(1.0, False), (2.0, True)])
def test_links_may_take_memory_too(bench: Any, links: float, met: bool) -> None:
    kept = bench("scale").judged([], {"chain": (1_700.0, links)}, 10, 100)[-1]
    assert kept.met is met


def test_a_ratio_is_that_of_neighbours(bench: Any) -> None:
    executors = bench("executors")
    bare = executors.Case("bare", print, seconds=[1.0, 10.0, 1.0])
    ours = executors.Case("ours", print, "bare", seconds=[2.0, 20.0, 1.0])
    assert executors.Series("", [ours, bare]).of_bare("ours") == 0.5


@pytest.mark.parametrize(("seconds", "lines", "met"), [(1.0, 200, True), (1.1, 200, False), (1.0, 201, False)])
def test_a_command_is_to_be_quick_and_short(bench: Any, seconds: float, lines: int, met: bool) -> None:
    reading = bench("reading")
    shown, *_ = reading.judged([reading.Read("SQLite", "show many", seconds, lines)], 10)
    assert shown.met is met
