"""A process is killed at every commit, and at every other step to storage; another one finishes its work.

The flow then ends as if nothing had happened, and nothing that was saved is done again. All of it runs with
``FLOWBOOK_FULL=1``, else a sample that is always the same. ``FLOWBOOK_CRASH_POINT`` picks one place to crash at, as
a failure names it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crash import driving
from crash.flows import CANONICAL, Line, lines_of
from crash.forks import End, Forks
from crash.judging import judge
from crash.points import commit_of, crashed_at, every_commit, every_write_torn, most_commits, sample
from flowbook.exceptions import NotFound, OwnershipLost, StorageBusy, StorageUnavailable
from flowbook.persistence import Backend, Query, fetch
from flowbook.testing import backend_samples
from flowbook.testing.faults import Counting, CrashAtCommit

LIVE: dict[str, dict[str, object]] = {"memory": {}, "strict_memory": {"strict": True}}
FILES = {"wal": "sqlite:///{}/runs.db", "rollback": "sqlite:///{}/runs.db?journal=delete", "dir": "dir:{}/runs"}
NEVER_SAMPLED = [("linear", "wal", "serial"), ("reverting", "wal", "serial"), ("reverting", "dir", "serial")]

CRASHES_OF_FILES = ["before", "after", "torn"]

SAMPLE = 2
SEVERAL = 300
"""How often each flow is crashed several times; a sample has SAMPLE of them."""


class Processes:
    """The processes that work on one run in one file, one after the other: each but the last one crashes."""

    def __init__(self, forks: Forks, folder: Path, flow: str, storage: str, engine: str) -> None:
        self._forks = forks
        self._folder = folder
        self._log = str(folder / "log")
        self._found: list[Path] = []
        self._what = {
            "flow": flow,
            "conf": {"connection": FILES[storage].format(folder)},
            "engine": engine,
            "log": self._log,
        }

    @property
    def lines(self) -> list[Line]:
        return lines_of(self._log)

    @property
    def looks(self) -> list[dict[str, Any]]:
        """What each process but the first one found; one may be killed before it has made the logbook to look at."""
        return [json.loads(found.read_text()) for found in self._found if found.exists()]

    def run(self, *, rerun: bool = False, **crash: object) -> End:
        """Run until the end, or until the crash."""
        return self._forks.call("crash.driving:run", **self._what, crash=crash, rerun=rerun)

    def resume(self, *, rerun: bool = False, **crash: object) -> End:
        """Look what is left, and run until the end, or until the crash."""
        found = self._folder / f"found-{len(self._found)}"
        self._found.append(found)
        return self._forks.call("crash.driving:run", **self._what, crash=crash, rerun=rerun, found=str(found))


Begin = Callable[[str, str, str], Processes]


@pytest.fixture
def begin(forks: Forks, new_folder: Callable[[], Path]) -> Begin:
    return lambda flow, storage, engine: Processes(forks, new_folder(), flow, storage, engine)


@pytest.fixture
def at(request: pytest.FixtureRequest) -> Callable[[object], Any]:
    """Tell where a failure was crashed, and how to see it again."""
    return partial(crashed_at, request.node)


@pytest.mark.parametrize("engine", driving.ENGINES)
@pytest.mark.parametrize("storage", FILES)
@pytest.mark.parametrize("flow", CANONICAL)
def test_a_process_killed_at_any_commit_is_replaced(
    flow: str, storage: str, engine: str, begin: Begin, at: Any, figures: Counter[str], full: bool
) -> None:
    whole = begin(flow, storage, engine)
    expected = whole.run().answer
    every = every_commit(most_commits(expected, engine)) + every_write_torn(expected["writes"])
    all_of_them = full or (flow, storage, engine) in NEVER_SAMPLED
    for point in sample(every, f"{flow} {storage} {engine}", count=None if all_of_them else SAMPLE):
        with at(point):
            case = begin(flow, storage, engine)
            end = case.run(**commit_of(point))
            assert end.was_killed or engine == "parallel"
            figures["killed" if end.was_killed else "ended before they were to be killed"] += 1
            if end.was_killed:
                end = case.resume()
            figures.update(judge(expected, end.answer, case.looks, case.lines, whole.lines))


@pytest.mark.parametrize("engine", driving.ENGINES)
@pytest.mark.parametrize("storage", LIVE)
@pytest.mark.parametrize("flow", CANONICAL)
def test_an_engine_that_breaks_off_at_any_commit_is_replaced(
    flow: str,
    storage: str,
    engine: str,
    new_folder: Callable[[], Path],
    at: Any,
    figures: Counter[str],
    full: bool,
) -> None:
    def log() -> str:
        return str(new_folder() / "log")

    def new() -> Counting:
        return Counting(fetch({"connection": "memory:", **LIVE[storage]}))

    whole = log()
    expected = driving.drive(flow, new(), engine=engine, log=whole)
    every = every_commit(most_commits(expected, engine))
    for point in sample(every, f"{flow} {storage} {engine}", count=None if full else SAMPLE):
        with at(point):
            backend, looks, path = new(), [], log()
            try:
                end = driving.drive(flow, driving.Mortal(backend, **commit_of(point)), engine=engine, log=path)
            except StorageUnavailable:
                looks.append(driving.look(backend, path))
                end = driving.drive(flow, backend, engine=engine, log=path)
            assert looks or engine == "parallel"
            figures["broken off" if looks else "ended before they were to be broken off"] += 1
            figures.update(judge(expected, end, looks, lines_of(path), lines_of(whole)))


@pytest.mark.parametrize("engine", driving.ENGINES)
@pytest.mark.parametrize("flow", ["linear", "reverting", "suspended", "progress"])
def test_a_commit_that_fails_once_ends_the_run_and_harms_nothing(
    flow: str, engine: str, new_folder: Callable[[], Path], at: Any, figures: Counter[str]
) -> None:
    def broken() -> None:
        raise StorageBusy("memory:", "for once")

    def drive(backend: Backend, log: str) -> dict[str, Any]:
        return driving.drive(flow, backend, engine=engine, log=log)

    whole = str(new_folder() / "log")
    expected = drive(Counting(fetch("memory:?strict=true")), whole)
    for point in sample(every_commit(most_commits(expected, engine)), flow, count=None):
        with at(point):
            when, commit = commit_of(point).values()
            inner, looks, log = fetch("memory:?strict=true"), [], str(new_folder() / "log")
            try:
                end = drive(CrashAtCommit(inner, at=commit, when=when, crash=broken), log)
            except (StorageBusy, OwnershipLost):
                looks.append(driving.look(inner, log))
                end = drive(inner, log)
            figures["commits that failed once"] += 1
            figures.update(judge(expected, end, looks, lines_of(log), lines_of(whole)))


@pytest.mark.parametrize("flow", CANONICAL)
def test_it_may_be_killed_again_and_again(flow: str, begin: Begin, at: Any, figures: Counter[str], full: bool) -> None:
    expected: dict[tuple[str, str], tuple[Any, Any]] = {}
    for point in sample([str(seed) for seed in range(SEVERAL)], flow, count=None if full else SAMPLE):
        with at(point):
            chance = random.Random(f"{flow} {point}")
            what = flow, chance.choice([*FILES]), chance.choice([*driving.ENGINES])
            if what[1:] not in expected:
                whole = begin(*what)
                expected[what[1:]] = whole.run().answer, whole.lines
            answer, lines = expected[what[1:]]
            case = begin(*what)
            every = every_commit(most_commits(answer, what[2])) + every_write_torn(answer["writes"])
            end = case.run(**commit_of(chance.choice(every)))
            for _ in range(chance.randint(1, 2)):
                if end.was_killed:
                    end = case.resume(**commit_of(chance.choice(every)))
            if end.was_killed:
                end = case.resume()
            figures["killed"] += len(case.looks)
            figures["killed twice"] += len(case.looks) == 2
            figures["killed three times"] += len(case.looks) == 3
            figures.update(judge(answer, end.answer, case.looks, case.lines, lines))


@pytest.mark.parametrize("storage", ["wal", "dir"])
@pytest.mark.parametrize("flow", ["linear", "reverting", "failing_revert"])
def test_a_rerun_killed_at_any_commit_is_continued(
    flow: str, storage: str, begin: Begin, at: Any, figures: Counter[str], full: bool
) -> None:
    whole = begin(flow, storage, "serial")
    whole.run()
    expected = whole.run(rerun=True).answer
    every = every_commit(int(expected["commits"]))
    for point in sample(every, f"{flow} {storage}", count=None if full else 2 * SAMPLE):
        with at(point):
            case = begin(flow, storage, "serial")
            case.run()
            assert case.run(rerun=True, **commit_of(point)).was_killed
            end = case.resume(rerun=point != every[-1])  # a finished rerun would be run a third time
            figures["killed"] += 1
            figures.update(judge(expected, end.answer, case.looks, case.lines, whole.lines))


@pytest.mark.parametrize(
    ("flow", "storage"), [("linear", "wal"), ("reverting", "wal"), ("suspended", "wal"), ("suspended", "dir")]
)
def test_a_process_killed_before_any_call_of_storage_is_replaced(
    flow: str, storage: str, begin: Begin, at: Any, figures: Counter[str]
) -> None:
    whole = begin(flow, storage, "serial")
    expected = whole.run().answer
    every = [str(call) for call in range(1, expected["calls"] + 1)]
    for point in sample(every, flow, count=None):
        with at(point):
            case = begin(flow, storage, "serial")
            assert case.run(call=int(point)).was_killed
            end = case.resume()
            figures["killed"] += 1
            figures.update(judge(expected, end.answer, case.looks, case.lines, whole.lines))


@pytest.mark.parametrize("storage", ["wal", "rollback"])
@pytest.mark.parametrize("flow", ["failing", "reverting"])
def test_a_process_killed_before_any_statement_is_replaced(
    flow: str, storage: str, begin: Begin, at: Any, figures: Counter[str], full: bool
) -> None:
    whole = begin(flow, storage, "serial")
    expected = whole.run(statement=0).answer
    every = [str(statement) for statement in range(1, expected["statements"] + 1)]
    for point in sample(every, f"{flow} {storage}", count=None if full else 10 * SAMPLE):
        with at(point):
            case = begin(flow, storage, "serial")
            assert case.run(statement=int(point)).was_killed
            end = case.resume()
            figures["killed inside a transaction or beside one"] += 1
            figures.update(judge(expected, end.answer, case.looks, case.lines, whole.lines))


@pytest.mark.parametrize("flow", ["failing", "suspended"])
def test_a_process_killed_at_any_call_of_files_is_replaced(
    flow: str, begin: Begin, at: Any, figures: Counter[str], full: bool
) -> None:
    whole = begin(flow, "dir", "serial")
    expected = whole.run().answer
    every = [f"{when} {call + 1}" for call in range(expected["calls_of_files"]) for when in CRASHES_OF_FILES]
    for point in sample(every, flow, count=None if full else 10 * SAMPLE):
        with at(point):
            when, _, call = point.partition(" ")
            case = begin(flow, "dir", "serial")
            assert case.run(when=when, call_of_files=int(call)).was_killed
            end = case.resume()
            figures["killed at a call of files"] += 1
            figures.update(judge(expected, end.answer, case.looks, case.lines, whole.lines))


def test_a_run_whose_destroyer_is_killed_is_there_or_gone(
    forks: Forks, new_folder: Callable[[], Path], at: Any, figures: Counter[str]
) -> None:
    def logbook() -> dict[str, Any]:
        conf = {"connection": FILES["dir"].format(new_folder())}
        with fetch(conf) as backend:
            for run in ("kept", "gone"):
                backend.renew(backend_samples.begin(backend, run), lease_s=0)
        return conf

    def destroy(conf: dict[str, Any], when: str, call: int) -> End:
        return forks.call("crash.owners:destroy", conf=conf, key="gone", when=when, at=call)

    count = destroy(logbook(), "before", 0).answer
    for point in sample([f"{when} {call + 1}" for call in range(count) for when in CRASHES_OF_FILES], "", count=None):
        with at(point):
            conf = logbook()
            when, _, call = point.partition(" ")
            assert destroy(conf, when, int(call)).was_killed
            with fetch(conf) as backend:
                found = {one.flow: one.state for one in backend.find(Query())}
                assert found in ({"kept": "RUNNING"}, {"kept": "RUNNING", "gone": "RUNNING"})
                assert ("gone" in found) is not is_gone(backend, "gone")
                backend.renew(backend_samples.begin(backend, "gone", state="SUCCESS"), lease_s=0)
                assert backend.load("gone").kind("flow")["gone"]["state"] == "SUCCESS"
                backend.destroy("gone")
                assert is_gone(backend, "gone")
            assert {one.name for one in Path(conf["connection"].partition(":")[2], "flow").iterdir()} == {"kept"}
            figures["destroyers killed"] += 1


def is_gone(backend: Backend, run: str) -> bool:
    try:
        backend.load(run)
    except NotFound:
        return True
    return False


@pytest.mark.parametrize("storage", ["wal", "dir"])
def test_beyond_the_last_commit_nothing_is_killed(storage: str, begin: Begin) -> None:
    expected = begin("linear", storage, "serial").run().answer
    end = begin("linear", storage, "serial").run(commit=expected["commits"] + 1)
    assert not end.was_killed
    assert end.answer["ended"] == expected["ended"]


@pytest.mark.parametrize("storage", FILES)
def test_a_storage_killed_before_it_was_claimed_holds_nothing(storage: str, begin: Begin) -> None:
    case = begin("linear", storage, "serial")
    assert case.run(call=1).was_killed
    case.resume()
    assert case.looks == [{"lines": 0, "atoms": {}}]
