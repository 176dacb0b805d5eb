"""The traces of decision 0001 are what the code does, and its fence refuses whom the page says it refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doc import cases
from doc.pages import table, text_of
from doc.tracing import Trace
from flowbook.exceptions import OwnershipLost, StorageBusy
from flowbook.flows import Depth
from flowbook.persistence import Backend, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner

PAGE = text_of("doc/design/0001-the-seams.rst")
FLOW = Put("flow", "r", {"id": "r", "state": "RUNNING"})


@pytest.mark.parametrize(
    "case",
    [
        cases.run_chain,
        cases.run_siblings,
        cases.run_siblings_heard_together,
        cases.run_siblings_heard_apart,
        cases.suspend_on_success,
        cases.suspend_on_reverted,
        pytest.param(cases.tell_progress, marks=pytest.mark.slow),
        cases.crash_and_resume,
        cases.run_nested_retries,
        cases.suspend_before_a_round,
        cases.wait_for_a_round,
        cases.ignore_flow,
    ],
)
def test_a_trace_of_the_page_is_what_the_code_does(
    case: Callable[[Trace], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace()
    trace.watch(monkeypatch)
    case(trace)
    assert table(PAGE, case.__name__.replace("_", "-")) == trace.rows


@pytest.mark.parametrize("row", table(PAGE, "decider-depths"), ids=lambda row: row[0])
def test_a_depth_ignores_what_the_page_says(row: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    depth, *told = row
    trace = Trace()
    trace.watch(monkeypatch)
    cases.ignore(Depth(depth))
    answered = next(step for step in trace.rows if step[1].startswith("Answered"))
    assert told == [answered[2], answered[5], str(len(trace.rows) - 1)]


def test_the_page_names_every_depth() -> None:
    assert [row[0] for row in table(PAGE, "decider-depths")] == list(Depth)


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db?timeout_s=0.1"
    with fetch(url) as opened:
        yield opened


def test_what_a_stopped_owner_writes_after_a_takeover_is_refused(backend: Backend) -> None:
    zombie = backend.commit(backend.claim("flow:r", current_owner(), lease_s=30), [FLOW])
    newer = backend.claim("flow:r", current_owner(), lease_s=30, take_over=True)
    with pytest.raises(OwnershipLost):
        backend.commit(zombie, [Put("atom", "a", {"state": "SUCCESS"})])
    with pytest.raises(OwnershipLost):
        backend.renew(zombie, lease_s=30)
    assert backend.renew(zombie, lease_s=0) == []
    backend.commit(newer, [Put("atom", "a", {"state": "RUNNING"})])
    assert backend.load("r").kind("atom") == {"a": {"state": "RUNNING"}}


def test_what_an_owner_writes_under_an_older_number_is_refused(backend: Backend) -> None:
    first = backend.claim("flow:r", current_owner(), lease_s=30)
    backend.commit(first, [FLOW])
    with pytest.raises(OwnershipLost):
        backend.commit(first, [FLOW])


def test_what_an_owner_writes_after_giving_up_is_refused(backend: Backend) -> None:
    claim = backend.claim("flow:r", current_owner(), lease_s=30)
    backend.renew(claim, lease_s=0)
    with pytest.raises(OwnershipLost):
        backend.commit(claim, [FLOW])


def test_one_stopped_inside_a_commit_on_sqlite_makes_others_busy_at_their_deadline(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with fetch(f"sqlite:///{path}?timeout_s=0.1") as backend:
        backend.claim("flow:r", current_owner(), lease_s=30)
        stopped = sqlite3.connect(path, isolation_level=None)
        stopped.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy):
            backend.claim("flow:r", current_owner(), lease_s=30, take_over=True)
        stopped.execute("ROLLBACK")
        stopped.close()
        assert backend.claim("flow:r", current_owner(), lease_s=30).epoch == 2
