"""The page of benchmarks says what was measured."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

from architecture.project import ROOT

PAGES = ROOT / "doc" / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what imports a module of the comparison."""
    monkeypatch.syspath_prepend(ROOT / "tools" / "bench" / "peers")
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
