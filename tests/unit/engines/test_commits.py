"""Commit policies: how many commits a run takes, what is in the logbook when somebody is told, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook import Every, LinearFlow, Notice, Task, engines
from flowbook.engines import commits
from flowbook.exceptions import NotPossible
from flowbook.persistence import Backend, Query, fetch
from flowbook.testing.executor_tasks import wait_until
from flowbook.testing.faults import Counting
from unit.engines.tasks import Say

ENTRY = 1
"""The commit that creates a run."""


def _chain(calls: list[str], count: int = 20) -> LinearFlow:
    return LinearFlow("f").add(*[Say(f"s{number}", calls) for number in range(count)])


def _commits(backend: Backend, **options: Any) -> int:
    counting = Counting(backend)
    engines.run(_chain([]), backend=counting, run_id="r", **options)
    return counting.calls["commit"]


@pytest.mark.parametrize(
    ("policy", "count"),
    [("each", ENTRY + 21), (Every(1, 1e6), ENTRY + 20), (Every(5, 1e6), ENTRY + 4), ("end", ENTRY + 1)],
)
def test_a_policy_says_how_many_commits_a_run_takes(policy: Any, count: int, backend: Backend) -> None:
    assert _commits(backend, commit=policy) == count
    assert backend.load("r").kind("flow")["r"]["state"] == "SUCCESS"
    assert len(backend.load("r").appended["attempt"]) == 20


def test_many_changes_are_committed_whatever_the_policy(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MOST_WAITING", 12)  # of 3 an atom
    assert _commits(backend, commit="end") == ENTRY + 5


def test_seconds_count_from_the_first_end_that_waits(backend: Backend) -> None:
    class Clock:
        at = 0.0

        def now(self) -> float:
            return self.at

    class Tick(Task):
        def execute(self) -> None:
            clock.at += 1

    clock, counting = Clock(), Counting(backend)
    flow = LinearFlow("f").add(*[Tick(f"t{number}") for number in range(12)])
    engines.run(flow, backend=counting, commit=Every(1_000, seconds=2.5), clock=clock)
    assert counting.calls["commit"] == ENTRY + 12 / 4


@pytest.mark.parametrize("policy", [Every(1_000, 1e6), "end"])
def test_the_end_is_committed_before_it_is_told(policy: Any, backend: Backend) -> None:
    seen: list[str] = []

    def look(notice: Notice) -> None:
        seen.append(backend.load("r").kind("flow")["r"]["state"])

    engine = engines.load(_chain([]), backend=backend, run_id="r", commit=policy)
    for state in ("SUCCESS", "SUSPENDED"):
        engine.notifier.register(state, look)
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend() if notice.atom == "s3" else None)
    engine.run()
    engine.run()
    assert seen == ["SUSPENDED", "SUCCESS"]


def test_an_interrupt_loses_nothing_that_waited(backend: Backend, calls: list[str]) -> None:
    class Interrupt(Say):
        def execute(self) -> str:
            if "s20" not in calls:
                calls.append("s20")
                raise KeyboardInterrupt
            return super().execute()

    def flow() -> LinearFlow:
        return _chain(calls).add(Interrupt("s20", calls))

    with pytest.raises(KeyboardInterrupt):
        engines.run(flow(), backend=backend, run_id="r", commit="end")
    rows = backend.load("r").kind("atom")
    assert {name for name, row in rows.items() if row["state"] == "SUCCESS"} == {f"s{number}" for number in range(20)}
    engines.run(flow(), backend=backend, run_id="r", commit="end")
    assert calls == [f"s{number}" for number in range(20)] + ["s20", "s20"]


def test_never_leaves_no_trace_and_gives_results() -> None:
    backend = fetch("memory:")
    engine = engines.load(Say("a", [], provides="said"), backend=backend, run_id="r", commit="never")
    engine.run()
    assert engine.storage.fetch("said") == "a"
    assert backend.find(Query()) == []


@pytest.mark.parametrize("policy", ["always", None, 3, "every"])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    with pytest.raises(NotPossible, match=r"give 'each', 'end', 'never' or flowbook\.Every\(100, seconds=1\.0\)"):
        engines.load(Say("a", []), commit=policy)


@pytest.mark.parametrize(("atoms", "seconds"), [(0, 1), (True, 1), (1.5, 1), (1, 0), (1, float("nan")), (1, "1")])
def test_every_needs_atoms_and_seconds(atoms: Any, seconds: Any) -> None:
    with pytest.raises(NotPossible, match="of a commit is"):
        Every(atoms, seconds)


def test_what_waits_is_committed_in_time_while_an_atom_runs(backend: Backend) -> None:
    seen: list[dict[str, str]] = []

    class Look(Task):
        """Runs until its predecessor is in the logbook."""

        def execute(self) -> None:
            wait_until(lambda: _states(backend).get("first") == "SUCCESS")
            seen.append(_states(backend))

    flow = LinearFlow("f").add(Say("first", []), Look("look"))
    engines.run(flow, backend=backend, run_id="r", engine="parallel", max_workers=1, commit=Every(1_000, seconds=0.05))
    assert seen == [{"first": "SUCCESS", "look": "RUNNING"}]


def _states(backend: Backend) -> dict[str, str]:
    return {name: row["state"] for name, row in backend.load("r").kind("atom").items()}
