"""Several processes want the same run: one works on it, and it is replaced when it is gone, never before."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from crash import driving
from crash.flows import lines_of
from crash.forks import Child, Forks
from crash.owners import Gate
from crash.rounds import play_rounds, racing
from flowbook.exceptions import FlowOwned, OwnershipLost
from flowbook.persistence import Backend, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.owners import Owner, current_owner
from flowbook.persistence.sql.backend import SqliteBackend
from flowbook.testing.backend_samples import stranger

FILES = {"wal": "sqlite:///{}/runs.db", "rollback": "sqlite:///{}/runs.db?journal=delete", "dir": "dir:{}/runs"}
BLOCKS = 8
ROUNDS = {True: 25, False: 5}
"""How many owners are killed in a block: in full, and in the sample."""

RACES = {True: 1500, False: 30}
"""How often processes race for a claim alone, for each number of processes."""

COMMITS = 6
"""What a run of the four atoms commits: it is made, it starts, and four attempts end."""

KEY = f"flow:{driving.RUN}"
FOREIGN = Owner(host="elsewhere", boot="another boot", namespace="another", pid=1, started=1, lock=1)


class LongAgo:
    """A clock that stood still when the epoch began."""

    def now(self) -> float:
        return 0.0


class Contest:
    """One run in a file of its own, and the processes that want it."""

    def __init__(self, forks: Forks, new_folder: Callable[[], Path], gates: ExitStack, storage: str) -> None:
        folder = new_folder()
        self.conf = {"connection": FILES[storage].format(folder)}
        self.log = folder / "log"
        self._forks = forks
        self._new_folder = new_folder
        self._gates = gates

    def gate(self) -> Gate:
        gate = Gate(self._new_folder())
        self._gates.callback(gate.close)
        return gate

    def start(self, *, conf: dict[str, object] | None = None, **how: Any) -> Child:
        return self._forks.start("crash.owners:contend", conf={**self.conf, **(conf or {})}, log=str(self.log), **how)

    def start_holding(self, keys: list[str], gate: Gate) -> Child:
        """Start a process that claims keys, comes to a gate, and waits there."""
        return self._forks.start("crash.owners:hold", conf=self.conf, keys=keys, gate=gate.path)

    def start_together(self, count: int, **how: Any) -> list[Child]:
        """Start processes that all wait at a barrier before they reach for the run."""
        barrier = self.gate()
        children = [self.start(start=barrier.path, **how) for _ in range(count)]
        barrier.wait_for(count)
        barrier.open(count)
        return children

    def executed(self) -> list[tuple[str, int]]:
        """Return the atoms that were executed, and in which attempt, in that order."""
        return [(line.atom, line.attempt) for line in lines_of(self.log)]

    def records(self) -> str:
        """Return all that the logbook holds of the run."""
        with fetch(self.conf) as backend:
            records = backend.load(driving.RUN)
        return json.dumps([records.rows, records.appended], sort_keys=True, default=repr)


def what_came_of(child: Child) -> dict[str, Any]:
    """Return what a process has to say at its end, but not how often it called for files."""
    answer: dict[str, Any] = child.wait().answer
    del answer["calls_of_files"]
    return answer


Begin = Callable[[], Contest]


@pytest.fixture(params=FILES)
def storage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def begin(forks: Forks, new_folder: Callable[[], Path], storage: str) -> Iterator[Begin]:
    with ExitStack() as gates:
        yield lambda: Contest(forks, new_folder, gates, storage)


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_of_several_processes_one_does_all_the_work(
    count: int,
    storage: str,
    forks: Forks,
    new_folder: Callable[[], Path],
    figures: Counter[str],
    full: bool,
) -> None:
    folder = new_folder()
    conf = {"connection": FILES[storage].format(folder)}
    figures.update(play_rounds(forks, folder, conf, count=count, rounds=500 if full else 20))


def test_of_several_threads_that_claim_a_run_in_memory_one_has_it(figures: Counter[str], full: bool) -> None:
    backend, count = fetch("memory:"), 8
    barrier = threading.Barrier(count)

    def race(number: int) -> list[str]:
        return [claimed(number, round_) for round_ in range(1000 if full else 50)]

    def claimed(number: int, round_: int) -> str:
        barrier.wait(30)
        try:
            claim = backend.claim(f"flow:{round_}", stranger(number + 1), lease_s=1000)
            backend.commit(claim, [Put("atom", "a", {"of": number})])
        except FlowOwned as error:
            return type(error).__name__
        return "owner"

    with ThreadPoolExecutor(count) as threads:
        for answers in zip(*threads.map(race, range(count)), strict=True):
            assert sorted(answers) == ["FlowOwned"] * (count - 1) + ["owner"]
            figures["races for a claim"] += 1


@pytest.mark.parametrize("count", range(2, 9))
@pytest.mark.parametrize("storage", ["dir"])
def test_of_several_processes_that_claim_a_run_one_has_it(
    count: int, begin: Begin, forks: Forks, new_folder: Callable[[], Path], figures: Counter[str], full: bool
) -> None:
    contest, rounds = begin(), RACES[full]
    with fetch(contest.conf) as backend:
        for round_ in range(rounds):
            before = round_ % 3  # a run that nobody has seen, one whose owner is dead, one that was given up
            if before:
                backend.claim(f"flow:{round_}", FOREIGN, lease_s=0)
            if before == 2:
                backend.renew(backend.claim(f"flow:{round_}", FOREIGN, lease_s=1), lease_s=0)
    with racing(forks, new_folder(), "crash.owners:race", rounds, count, conf=contest.conf) as children:
        came_of_it = [child.wait().answer for child in children]
    for answers in zip(*came_of_it, strict=True):
        assert sorted(answers) == ["FlowOwned"] * (count - 1) + ["owner"]
        figures["races for a claim"] += 1


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize("storage", ["wal", "dir"])
def test_a_killed_owner_is_replaced_at_once(block: int, begin: Begin, figures: Counter[str], full: bool) -> None:
    for _ in range(ROUNDS[full]):
        contest = begin()
        held = contest.gate()
        first = contest.start_together(2, gate=held.path)
        held.wait_for(1)
        winner_pid = lines_of(contest.log)[-1].pid
        (winner,), (loser,) = ([c for c in first if (c.pid == winner_pid) is mine] for mine in (True, False))
        assert what_came_of(loser) == {"did": "FlowOwned", "resumed": "None", "executed": []}
        winner.kill()  # nobody waits for it yet: it stays a zombie
        heirs = [what_came_of(child) for child in contest.start_together(2, gate=held.path)]
        assert winner.wait().was_killed
        (heir,) = (answer for answer in heirs if answer["executed"])
        assert heir == {
            "did": "finished",
            "resumed": "1 saved, 1 interrupted, 2 to go",
            "executed": ["b", "c", "d"],
        }
        assert contest.executed() == [("a", 1), ("b", 1), ("b", 2), ("c", 1), ("d", 1)]
        figures["owners killed and replaced at once"] += 1


def test_an_owner_of_several_runs_keeps_them_all(begin: Begin) -> None:
    contest = begin()
    gate = contest.gate()
    keys = [f"flow:{number}" for number in range(3)]
    owner = contest.start_holding(keys, gate)
    gate.wait_for(1)
    with fetch(contest.conf) as backend:
        for key in keys:
            with pytest.raises(FlowOwned):
                backend.claim(key, current_owner(), lease_s=30)
        owner.kill()
        for key in keys:
            backend.claim(key, current_owner(), lease_s=30)


def test_the_claim_of_another_machine_counts_until_its_lease_ends(begin: Begin) -> None:
    contest = begin()
    with fetch(contest.conf) as backend:
        backend.claim(KEY, FOREIGN, lease_s=1000)
    assert contest.start().wait().answer["did"] == "FlowOwned"
    assert contest.executed() == []
    assert contest.start(take_over=True).wait().answer["executed"] == [*"abcd"]


def test_the_claim_of_another_machine_is_free_after_its_lease(begin: Begin, storage: str) -> None:
    contest = begin()
    kind: Callable[..., Backend] = DirectoryBackend if storage == "dir" else SqliteBackend
    with kind(contest.conf, clock=LongAgo()) as backend:
        claim = backend.claim(KEY, FOREIGN, lease_s=30)
        assert contest.start().wait().answer["executed"] == [*"abcd"]
        with pytest.raises(OwnershipLost):
            backend.commit(claim, [Put("atom", "a", {"state": "RUNNING"})])


def test_a_stopped_owner_is_alive_and_writes_nothing_after_a_takeover(begin: Begin) -> None:
    contest = begin()
    held = contest.gate()
    zombie = contest.start(gate=held.path)
    held.wait_for(1)
    zombie.stop()
    assert contest.start(gate=held.path).wait().answer["did"] == "FlowOwned"
    heir = contest.start(gate=held.path, take_over=True).wait().answer
    assert (heir["did"], heir["executed"]) == ("finished", [*"bcd"])
    written = contest.records()
    held.open()
    zombie.proceed()
    assert what_came_of(zombie) == {"did": "OwnershipLost", "resumed": "None", "executed": [*"ab"]}
    assert contest.records() == written
    assert contest.executed() == [("a", 1), ("b", 1), ("b", 2), ("c", 1), ("d", 1)]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, COMMITS + 1))
def test_an_owner_stopped_beside_a_commit_writes_nothing_after_a_takeover(
    at: int, when: str, begin: Begin, figures: Counter[str]
) -> None:
    contest = begin()
    zombie = contest.start(stop_at=(when, at))
    zombie.wait_stopped()
    is_over = (when, at) == ("after", COMMITS)
    assert contest.start().wait().answer["did"] == ("finished" if is_over else "FlowOwned")
    assert contest.start(take_over=True).wait().answer["did"] == "finished"
    written = contest.records()
    zombie.proceed()
    assert zombie.wait().answer["did"] == ("finished" if is_over else "OwnershipLost")
    assert contest.records() == written
    times = Counter(contest.executed())
    assert set(times.values()) == {1}
    assert {atom for atom, _ in times} == {*"abcd"}
    assert len(times) <= 5  # four, and the one that was in flight
    figures["owners stopped, overtaken and refused"] += 1


@pytest.mark.parametrize("storage", ["wal", "rollback"])
@pytest.mark.parametrize("at", range(2, COMMITS))
def test_an_owner_stopped_inside_a_commit_lets_others_give_up_in_time(at: int, begin: Begin) -> None:
    contest = begin()
    with fetch(contest.conf) as backend:
        backend.open()
    owner = contest.start(stop_at=("inside", at))
    owner.wait_stopped()
    hasty: dict[str, object] = {"timeout_s": 0.05}
    for take_over in (False, True):
        assert contest.start(conf=hasty, take_over=take_over).wait().answer["did"] == "StorageBusy"
    owner.proceed()
    assert what_came_of(owner) == {"did": "finished", "resumed": "None", "executed": [*"abcd"]}


@pytest.mark.parametrize("storage", ["wal", "rollback"])
def test_an_owner_killed_inside_a_commit_is_replaced_at_once(begin: Begin) -> None:
    contest = begin()
    with fetch(contest.conf) as backend:
        backend.open()
    owner = contest.start(stop_at=("inside", 4))
    owner.wait_stopped()
    owner.kill()
    assert contest.start().wait().answer["did"] == "finished"
    assert [atom for atom, _ in contest.executed()] == [*"aabcd"]
