"""Commit policies: the records end as under ``each``; a crash takes back what waited, and never what was saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crash import driving
from crash.flows import CANONICAL, lines_of
from crash.judging import judge_saved
from crash.points import commit_of, crashed_at, every_commit, sample
from flowbook import Every
from flowbook.engines.commits import CommitPolicy
from flowbook.exceptions import StorageUnavailable
from flowbook.persistence import fetch
from flowbook.persistence.backend import FlowRecords
from flowbook.testing.faults import Counting

WAITING: dict[str, CommitPolicy] = {
    "two": Every(2, seconds=1e6),
    "five": Every(5, seconds=1e6),
    "seconds": Every(1_000, seconds=12),  # of a clock on which a second passes at each look
    "end": "end",
}
FLOWS = [flow for flow in CANONICAL if flow != "many"]


def _book() -> Counting:
    return Counting(fetch("memory:?strict=true"))


def _without_times(records: FlowRecords) -> Any:
    """Return the records as plain values, without times; what is under way is recorded anyhow."""

    def plain(row: Any) -> Any:
        return {name: value for name, value in row.items() if not name.endswith("_at")}

    rows = {kind: {key: plain(row) for key, row in of.items()} for kind, of in records.rows.items() if kind != "input"}
    kinds = records.appended.items()
    return rows, {kind: {key: [plain(row) for row in of[key]] for key in sorted(of)} for kind, of in kinds}


@pytest.mark.parametrize("policy", WAITING)
@pytest.mark.parametrize("flow", FLOWS)
def test_records_end_as_if_each_had_been_committed(flow: str, policy: str, tmp_path: Path) -> None:
    each, some = _book(), _book()
    expected = driving.drive(flow, each, engine="serial", log=str(tmp_path / "each"))
    ended = driving.drive(flow, some, engine="serial", log=str(tmp_path / "some"), commit=WAITING[policy])
    assert ended["ended"] == expected["ended"]
    assert _without_times(some.load("r")) == _without_times(each.load("r"))
    assert ended["commits"] < expected["commits"]


@pytest.mark.parametrize("engine", driving.ENGINES)
@pytest.mark.parametrize("policy", WAITING)
@pytest.mark.parametrize("flow", FLOWS)
def test_an_engine_that_breaks_off_is_replaced(
    flow: str, policy: str, engine: str, new_folder: Callable[[], Path], request: Any, figures: Counter[str], full: bool
) -> None:
    def log() -> str:
        return str(new_folder() / "log")

    how: dict[str, Any] = {"engine": engine, "commit": WAITING[policy]}
    whole = log()
    expected = driving.drive(flow, _book(), log=whole, **how)
    every = every_commit(expected["commits"])
    for point in sample(every, f"{flow} {policy} {engine}", count=None if full else 2):
        with crashed_at(request.node, point):
            backend, path = _book(), log()
            try:
                driving.drive(flow, driving.Mortal(backend, **commit_of(point)), log=path, **how)
            except StorageUnavailable:
                figures["broken off under a policy"] += 1
            found = driving.look(backend, path)
            end = driving.drive(flow, backend, log=path, **how)
            figures.update(judge_saved(expected, end, found, lines_of(path), lines_of(whole)))
