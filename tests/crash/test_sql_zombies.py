"""Who owns a run on a database server: who stops inside a transaction is thrown out, and leases are the server's.

There an owner's death cannot be seen: who comes next waits for the end of its lease, or takes over.
"""

from __future__ import annotations

import json
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
from crash.owners import Gate, InTheFuture
from crash.proxy import Proxy
from crash.server_places import Interrupting
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from flowbook.engines.options import DEFAULT_LEASE_S
from flowbook.exceptions import FlowOwned, OwnershipLost, StorageBusy
from flowbook.persistence.backend import Claim
from flowbook.persistence.changes import Append
from flowbook.testing.backend_samples import begin, stranger

IDLE_S = 3
"""How long a server waits here for one who is stopped inside a transaction."""


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


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


@pytest.mark.parametrize("request_", ["fence", "end"])
def test_an_owner_stopped_inside_a_transaction_is_thrown_out(
    request_: str, contest: Contest, storage: Storage, figures: Counter[str]
) -> None:
    text = b"UPDATE heads" if request_ == "fence" else storage.commit_request
    stopping = Interrupting(signal.SIGSTOP, is_delivered=request_ == "fence")
    with Proxy(storage.port) as proxy, stopping, closing(storage.backend(timeout_s=0.5)) as hasty:
        hasty.open()
        proxy.arm(stopping, at=3, containing=text)
        zombie = contest.start(proxy, timeout_s=2 * IDLE_S)
        stopping.let(zombie.pid)
        zombie.wait_stopped()
        stopping.wait_done()
        began = time.monotonic()
        with pytest.raises(StorageBusy):
            hasty.claim(f"flow:{driving.RUN}", stranger(1), lease_s=60, take_over=True)
        assert contest.did(take_over=True, timeout_s=2 * IDLE_S) == "finished"
        assert time.monotonic() - began < 5 * IDLE_S
        written = contest.records()
        stopping.wake()
        zombie.proceed()
        assert zombie.wait().answer["did"] == "OwnershipLost"
        assert contest.records() == written
    figures["stale writes to servers refused"] += 1


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
