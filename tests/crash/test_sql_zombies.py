"""Owners of runs on database servers are stopped or killed anywhere, and replaced: one writes, and nothing twice.

There an owner's death cannot be seen: who comes next waits for the end of its lease, or takes over. Leases are judged
by the server's clock.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from crash import driving
from crash.flows import lines_of
from crash.forks import Child, Forks
from crash.judging import judge
from crash.owners import Gate, InTheFuture
from crash.proxy import Link, Proxy
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from flowbook.engines.options import DEFAULT_LEASE_S
from flowbook.exceptions import FlowOwned, OwnershipLost
from flowbook.persistence.backend import Claim
from flowbook.persistence.changes import Append
from flowbook.testing.backend_samples import begin, stranger

COMMITS = 6
"""What a run of the four atoms commits: it is made, it starts, and four attempts end."""

SAMPLE = 1
FLOWS = ["linear", "reverting", "retried"]
IDLE_S = 3
"""How long a server waits here for one who is stopped inside a transaction."""


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


@pytest.fixture
def another(storage: Storage, request: pytest.FixtureRequest) -> Callable[[], Storage]:
    """Make one more storage on the same server."""
    return lambda: storage_on(storage.kind, server_of(storage.kind, request))


@pytest.fixture
def gate(new_folder: Callable[[], Path]) -> Iterator[Callable[[], Gate]]:
    with ExitStack() as gates:

        def make() -> Gate:
            gate = Gate(new_folder())
            gates.callback(gate.close)
            return gate

        yield make


class Contest:
    """One run on a server, and the processes that want it."""

    def __init__(self, forks: Forks, folder: Path, storage: Storage) -> None:
        self.log = folder / "log"
        self._forks, self._storage = forks, storage

    def start(self, proxy: Proxy | None = None, *, timeout_s: float = 20, **how: Any) -> Child:
        conf = self._storage.conf(proxy, timeout_s=timeout_s)
        return self._forks.start("crash.owners:contend", conf=conf, log=str(self.log), **how)

    def did(self, **how: Any) -> str:
        """Return what came of a process that wants the run."""
        return str(self.start(**how).wait().answer["did"])

    def executed(self) -> list[tuple[str, int]]:
        return [(line.atom, line.attempt) for line in lines_of(self.log)]

    def records(self) -> str:
        """Return all that the logbook holds of the run."""
        with self._storage.backend() as backend:
            records = backend.load(driving.RUN)
        return json.dumps([records.rows, records.appended], sort_keys=True)


@pytest.fixture
def contest(forks: Forks, new_folder: Callable[[], Path], storage: Storage) -> Contest:
    with storage.backend():  # the schema is there
        return Contest(forks, new_folder(), storage)


def test_an_owner_stopped_inside_a_task_writes_nothing_after_a_takeover(
    contest: Contest, gate: Callable[[], Gate], figures: Counter[str]
) -> None:
    held = gate()
    zombie = contest.start(gate=held.path)
    held.wait_for(1)
    zombie.stop()
    assert contest.did(gate=held.path) == "FlowOwned"
    assert contest.did(gate=held.path, take_over=True) == "finished"
    written = contest.records()
    held.open()
    zombie.proceed()
    assert zombie.wait().answer["did"] == "OwnershipLost"
    assert contest.records() == written
    assert contest.executed() == [("a", 1), ("b", 1), ("b", 2), ("c", 1), ("d", 1)]
    figures["owners on servers stopped, overtaken and refused"] += 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_owner_stopped_beside_a_commit_writes_nothing_after_a_takeover(
    when: str,
    forks: Forks,
    new_folder: Callable[[], Path],
    another: Callable[[], Storage],
    storage: Storage,
    figures: Counter[str],
    full: bool,
) -> None:
    every = range(2, COMMITS)
    for at in every if full else random.Random(f"{when} {storage.kind}").sample(every, SAMPLE):
        contest = Contest(forks, new_folder(), another())
        zombie = contest.start(stop_at=(when, at))
        zombie.wait_stopped()
        _overtake(contest, zombie)
        figures["owners on servers stopped, overtaken and refused"] += 1


def _overtake(contest: Contest, zombie: Child) -> None:
    """Take over from a process that has stopped; then let it go on."""
    assert contest.did(take_over=True) == "finished"
    written = contest.records()
    zombie.proceed()
    assert zombie.wait().answer["did"] == "OwnershipLost"
    assert contest.records() == written
    times = Counter(contest.executed())
    assert set(times.values()) == {1}
    assert {atom for atom, _ in times} == {*"abcd"}
    assert len(times) <= 5  # four, and the one that was in flight


class Stopping:
    """Stops a process when its request comes; the server gets it nevertheless."""

    def __init__(self) -> None:
        self.pid, self._is_done = 0, threading.Event()

    def __call__(self, link: Link, request: bytes) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        link.ask(request)
        self._is_done.set()

    def wait(self) -> None:
        assert self._is_done.wait(30)


def _stopped_at(contest: Contest, proxy: Proxy, start: Gate, text: bytes, at: int, timeout_s: float) -> Child:
    """Return a process that has stopped when it had sent a request."""
    stopping = Stopping()
    proxy.arm(stopping, at=at, containing=text)
    zombie = contest.start(proxy, timeout_s=timeout_s, start=start.path)
    start.wait_for(1)
    stopping.pid = zombie.pid
    start.open()
    stopping.wait()
    zombie.wait_stopped()
    return zombie


def test_an_owner_stopped_inside_a_transaction_is_thrown_out(
    contest: Contest, storage: Storage, gate: Callable[[], Gate], figures: Counter[str]
) -> None:
    with Proxy(storage.port) as proxy:
        zombie = _stopped_at(contest, proxy, gate(), b"UPDATE heads", 3, 2 * IDLE_S)
        began = time.monotonic()
        assert contest.did(take_over=True, timeout_s=0.5) == "StorageBusy"
        assert contest.did(take_over=True, timeout_s=2 * IDLE_S) == "finished"
        assert time.monotonic() - began < 5 * IDLE_S
        written = contest.records()
        zombie.proceed()
        assert zombie.wait().answer["did"] == "OwnershipLost"
        assert contest.records() == written
    figures["owners on servers stopped, overtaken and refused"] += 1


def test_an_owner_stopped_after_its_commit_was_sent_is_told_so_and_writes_no_more(
    contest: Contest, storage: Storage, gate: Callable[[], Gate], figures: Counter[str]
) -> None:
    with Proxy(storage.port) as proxy:
        zombie = _stopped_at(contest, proxy, gate(), storage.commit_request, 4, 20)
        _overtake(contest, zombie)
    figures["owners on servers stopped, overtaken and refused"] += 1


@pytest.mark.parametrize("timeout_s", [0.1, 1, 10, 1000])
def test_one_who_says_nothing_in_a_transaction_is_thrown_out_before_a_lease_ends(
    timeout_s: float, storage: Storage
) -> None:
    with closing(storage.backend(timeout_s=timeout_s)) as backend:
        if storage.kind == "postgresql":
            asked = "SELECT setting::float / 1000 FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
        else:
            asked = "SELECT @@idle_transaction_timeout"
        ((idle_s,),) = backend._database.read(asked, ())
        assert 1 <= idle_s <= DEFAULT_LEASE_S / 3
        assert idle_s <= max(1, timeout_s / 2)  # before others who wait for its locks give up


# -- leases --


class LongAgo:
    """A clock that stood still when the epoch began."""

    def now(self) -> float:
        return 0.0


@pytest.mark.parametrize("clock", [LongAgo(), InTheFuture()], ids=["behind", "ahead"])
def test_a_lease_is_judged_by_the_clock_of_the_server_alone(clock: Any, storage: Storage) -> None:
    left = "SELECT lease_until - since FROM claims WHERE claim = 'flow:f'"
    with closing(storage.backend()) as right, closing(storage.backend(clock=clock)) as wrong:
        for first, second in ((right, wrong), (wrong, right)):
            claim = first.claim("flow:f", stranger(1), lease_s=60)
            with pytest.raises(FlowOwned) as caught:
                second.claim("flow:f", stranger(2), lease_s=60)
            assert caught.value.lease_left_s is not None
            assert 30 < caught.value.lease_left_s <= 60
            first.renew(claim, lease_s=500)
            ((lease_s,),) = storage.ask(left)
            assert 500 <= lease_s < 530
            first.renew(claim, lease_s=1e-6)
            heir = second.claim("flow:f", stranger(3), lease_s=60)  # the lease is over
            assert heir.epoch > claim.epoch
            second.renew(heir, lease_s=0)


def test_a_clock_put_back_in_autumn_ends_no_lease(storage: Storage) -> None:
    if storage.kind == "postgresql":
        zone = "SELECT set_config('TimeZone', 'Europe/Berlin', false)"
    else:
        zone = "SELECT @@session.time_zone"
    with closing(storage.backend()) as backend:
        found = backend._database.read(zone, ())
        assert storage.kind == "postgresql" or found == [("+00:00",)]
        ((now,),) = [(backend._database.write(backend._database.now),)]
        assert abs(now - time.time()) < 60


@pytest.mark.parametrize("count", [2, 4, 8])
def test_of_those_who_claim_a_new_run_at_once_one_owns_it(
    count: int, storage: Storage, forks: Forks, gate: Callable[[], Gate], figures: Counter[str], full: bool
) -> None:
    rounds = 1000 if full else 25
    with storage.backend():
        gates = [gate(), gate()]
    how = {"conf": storage.conf(timeout_s=20), "gates": [each.path for each in gates], "rounds": rounds}
    children = [forks.start("crash.owners:race", **how) for _ in range(count)]
    began = time.monotonic()
    for round_ in range(rounds + 1):
        gates[round_ % 2].wait_for(count)
        gates[round_ % 2].open(count)
    took_s = time.monotonic() - began
    came_of_it = list(zip(*[child.wait().answer for child in children], strict=True))
    assert len(came_of_it) == rounds
    for each in came_of_it:
        assert Counter(each)["owner"] == 1, each
    written = storage.ask("SELECT count(*), count(DISTINCT claim) FROM appended")
    assert [tuple(row) for row in written] == [(rounds, rounds)]
    figures["races for a new claim on servers"] += rounds
    figures[f"races a minute, {count} processes, {storage.kind}"] += int(60 * rounds / took_s)


def test_a_claim_waits_for_a_destruction_and_begins_anew(storage: Storage) -> None:
    with closing(storage.backend()) as backend, closing(storage.connect()) as other:
        old = begin(backend)
        backend.renew(old, lease_s=0)
        cursor = other.cursor()
        cursor.execute("DELETE FROM heads WHERE claim = 'flow:f'")
        got: list[Claim] = []
        claiming = threading.Thread(target=lambda: got.append(backend.claim("flow:f", stranger(), lease_s=60)))
        claiming.start()
        storage.wait_until_somebody_waits()
        cursor.execute("UPDATE heads SET epoch = 100 WHERE claim = ''")
        other.commit()
        claiming.join()
        assert got == [Claim("flow:f", 101, 0)]
        backend.commit(got[0], [Append("attempt", "a", {})])
        with pytest.raises(OwnershipLost):
            backend.commit(old, [Append("attempt", "a", {})])


# -- a process is killed at a commit, another one finishes its work --


@pytest.mark.parametrize("engine", driving.ENGINES)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_process_killed_at_any_commit_is_replaced(
    flow: str,
    engine: str,
    storage: Storage,
    another: Callable[[], Storage],
    forks: Forks,
    new_folder: Callable[[], Path],
    figures: Counter[str],
    full: bool,
) -> None:
    def run(function: str, on: Storage, log: Path, crash: dict[str, object], found: str = "") -> Any:
        how = {"flow": flow, "engine": engine, "conf": on.conf(timeout_s=20), "log": str(log), "crash": crash}
        return forks.call(f"crash.{function}", **how, found=found)

    whole = new_folder() / "log"
    expected = run("driving:run", storage, whole, {}).answer
    every = [(when, at) for at in range(1, expected["commits"] + 1) for when in ("before", "after")]
    for when, at in every if full else random.Random(f"{flow} {engine} {storage.kind}").sample(every, SAMPLE):
        folder, on = new_folder(), another()
        end, looks = run("driving:run", on, folder / "log", {"when": when, "commit": at}), []
        assert end.was_killed or engine == "parallel"
        if end.was_killed:
            end = run("sql_storages:run_taking_over", on, folder / "log", {}, found=str(folder / "found"))
            looks.append(json.loads((folder / "found").read_text()))
            figures[f"killed at a commit to {storage.kind}"] += 1
        figures.update(judge(expected, end.answer, looks, lines_of(folder / "log"), lines_of(whole)))
