"""Peers wait for a run on a server whose owner is killed or stopped anywhere: one of them goes on with it in time.

The owner counts as one of another machine, so that only its lease, by the server's clock, or its session says that it
is gone. All that can happen to an owner happens at the same time, each to a run of its own: they share one lease.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from crash import peers
from crash.flows import lines_of
from crash.forks import Child, Forks
from crash.judging import judge
from crash.owners import Gate
from crash.proxy import Link, Proxy
from crash.server_places import KINDS, MODULES, Place, place_on

PEERS = 2
"""How many wait for each run."""

GOES_ON_WITHIN_S = peers.LEASE_S + 2


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    return place_on(request.param, request)


@pytest.fixture(scope="module")
def forks(fast_folder: Path) -> Iterator[Forks]:
    server = Forks(fast_folder, ["crash.peers", *MODULES])
    yield server
    server.close()


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    with Proxy(place.port) as proxy:
        yield proxy


class Case:
    """A run, its owner, which is at a gate, and the peers that wait for it."""

    where: peers.Where = "idle"

    def __init__(self, forks: Forks, folder: Path, place: Place, gates: ExitStack, proxy: Proxy | None = None) -> None:
        self.log, self.place, self.run_id, self._forks = folder / "log", place, uuid4().hex, forks
        self.gate = self._gate(folder / "gate", gates)
        conf = place.conf(proxy, **_more(place))
        what = {"log": str(self.log), "run_id": self.run_id, "gate": self.gate.path, "where": self.where}
        self.owner = forks.start("crash.peers:own", conf=conf, **what)
        self.gate.wait_for(1)
        waits = self._gate(folder / "waits", gates)
        self.peers = [self._peer(waits) for _ in range(PEERS)]
        waits.wait_for(PEERS)
        waits.open(PEERS)
        self.ended_at = 0.0

    def _gate(self, folder: Path, gates: ExitStack) -> Gate:
        folder.mkdir()
        gate = Gate(folder)
        gates.callback(gate.close)
        return gate

    def _peer(self, waits: Gate) -> Child:
        conf = self.place.conf(**_more(self.place))
        what = {"log": str(self.log), "run_id": self.run_id, "gate": waits.path}
        return self._forks.start("crash.peers:wait", conf=conf, **what)

    def end_owner(self) -> None:
        """Let happen to the owner what happens to it here."""
        self.ended_at = time.monotonic()
        self.owner.kill()
        assert self.owner.wait().was_killed

    def judged(self, expected: dict[str, Any], whole: Path) -> Counter[str]:
        """See that one peer has gone on in time, and did nothing twice; return the figures."""
        answers = {answer["pid"]: answer for answer in [peer.wait().answer for peer in self.peers]}
        lines = lines_of(self.log)
        (heir,) = {line.pid for line in lines} - {self.owner.pid}
        took_s = answers[heir]["at"] - self.ended_at
        assert took_s <= GOES_ON_WITHIN_S, f"{took_s:.1f} s"
        one, other = answers.values()
        assert one["ended"] == other["ended"]
        self.owner_is_over()
        return judge(expected, one, [answers[heir]["found"]], lines, lines_of(whole))

    def owner_is_over(self) -> None:
        """See that nothing more comes from the owner."""


class Idle(Case):
    """Killed while it holds the claim, and nothing is executed or written."""


class InExecute(Case):
    """Killed in a task."""

    where = "execute"


class InCommit(Case):
    """Killed in a transaction: its first statement has reached a database, the whole of it not ZooKeeper."""

    def __init__(self, forks: Forks, folder: Path, place: Place, gates: ExitStack, proxy: Proxy) -> None:
        super().__init__(forks, folder, place, gates, proxy)
        self._proxy = proxy

    def end_owner(self) -> None:
        is_database = self.place.kind != "zookeeper"
        self._proxy.arm(self._kill, containing=b"UPDATE heads" if is_database else self.place.commit_request)
        self.gate.open()
        assert self.owner.wait().was_killed

    def _kill(self, link: Link, request: bytes) -> None:
        self.ended_at = time.monotonic()
        os.kill(self.owner.pid, signal.SIGKILL)
        if self.place.kind != "zookeeper":
            link.ask(request)
        link.close()


class Stopped(Case):
    """Stopped in a task past its lease; in the end it goes on, and is refused."""

    where = "execute"

    def end_owner(self) -> None:
        self.ended_at = time.monotonic()
        self.owner.stop()

    def owner_is_over(self) -> None:
        written = self._records()
        self.gate.open()
        self.owner.proceed()
        assert self.owner.wait().answer == "OwnershipLost"
        assert self._records() == written

    def _records(self) -> str:
        with self.place.backend() as backend:
            records = backend.load(self.run_id)
        return json.dumps([records.rows, records.appended], sort_keys=True)


def _more(place: Place) -> dict[str, Any]:
    return {"session_timeout_s": peers.LEASE_S} if place.kind == "zookeeper" else {}


def test_one_of_those_who_wait_goes_on_in_time_wherever_the_owner_is_killed_or_stopped(
    place: Place, proxy: Proxy, forks: Forks, new_folder: Callable[[], Path], figures: Counter[str]
) -> None:
    whole = new_folder() / "log"
    expected = peers.undisturbed(str(whole), "r")
    with ExitStack() as gates:
        cases: list[Case] = [kind(forks, new_folder(), place, gates) for kind in (Idle, InExecute, Stopped)]
        cases.append(InCommit(forks, new_folder(), place, gates, proxy))
        for case in cases:
            case.end_owner()
        for case in cases:
            figures.update(case.judged(expected, whole))
    figures[f"owners on {place.kind} killed or stopped, and followed in time by one who waited"] += len(cases)
