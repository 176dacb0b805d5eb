"""Owners of runs on servers are stopped anywhere, replaced, and wake: nothing that they do counts any more.

They stop inside an attempt, beside a commit, and inside a transaction: before its end has reached the server, which
then gets it late, and before its reply has come back. ``FLOWBOOK_FULL=1`` stops many, else few, always the same.
``FLOWBOOK_CRASH_POINT`` picks one, as a failure names it.
"""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from crash import driving
from crash.flows import CANONICAL, lines_of
from crash.forks import Child, Forks
from crash.judging import IN_FLIGHT, judge
from crash.points import crashed_at, most_commits, sample
from crash.proxy import Proxy
from crash.server_places import INSIDE, KINDS, MODULES, Interrupting, Place, Undisturbed, place_on
from flowbook.engines.options import DEFAULT_LEASE_S
from flowbook.exceptions import FlowOwned, NotFound
from flowbook.persistence import Backend
from flowbook.states import FINISHED
from flowbook.testing.faults import Counting

STOPPED = {True: 700, False: 12}
"""How many owners are stopped on each server: in full, and in the sample."""

PAST_THEIR_LEASE = {True: 100, False: 3}
"""How many of them are not taken over, but waited for until their leases end."""

AT_ONCE = 20
LEASE_S = 3
LOOK_EVERY_S = 0.1
PATIENCE_S = 4
"""How long the owners wait for a server; it waits half as long for those who stop inside a transaction."""


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    return place_on(request.param, request)


@pytest.fixture(scope="module")
def forks(fast_folder: Path) -> Iterator[Forks]:
    server = Forks(fast_folder, ["crash.driving", *MODULES])
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed(fast_folder: Path) -> Undisturbed:
    return Undisturbed(fast_folder)


_Answer = TypeVar("_Answer")

Run = Callable[..., dict[str, Any]]
"""`crash.driving.drive`, or what calls it."""


class Zombie:
    """A process that works on a run until it stops at a point, ``FLOW ENGINE WHEN NUMBER``, and then has an heir."""

    def __init__(self, folder: Path, point: str) -> None:
        self.point = point
        self.flow, self.engine, self.when, number = point.split()
        self.number, self.run_id = int(number), uuid4().hex
        self._log = folder / "log"
        self._interrupting: Interrupting | None = None
        self.look: dict[str, Any] = {}
        self._state_found = ""
        self._answer: dict[str, Any] = {}
        self._written, self._lines_written = "", 0

    def start(self, forks: Forks, place: Place, stack: ExitStack, lease_s: float) -> None:
        """Start the process; to ZooKeeper its lease is that of its session."""
        what = {"flow": self.flow, "engine": self.engine, "log": str(self._log), "run_id": self.run_id}
        start = partial(forks.start, "crash.driving:run_until_woken", **what, lease_s=lease_s)
        if self.when not in INSIDE:
            session: dict[str, Any] = {"session_timeout_s": lease_s} if place.kind == "zookeeper" else {}
            crash = {"when": self.when, "commit": self.number}
            self._child: Child = start(conf=place.conf(**session), crash=crash)
            return
        proxy = stack.enter_context(Proxy(place.port))
        self._interrupting = stack.enter_context(Interrupting(signal.SIGSTOP, is_delivered=self.when == "sent"))
        proxy.arm(self._interrupting, at=self.number, containing=place.commit_request)
        self._child = start(conf=place.conf(proxy, timeout_s=PATIENCE_S), crash={})
        self._interrupting.let(self._child.pid)

    def has_stopped(self) -> bool:
        """Wait until it has stopped or ended."""
        if not self._child.has_stopped():
            assert self._child.wait().answer == "finished"
            assert self.engine == "parallel"
            return False
        if self._interrupting is not None:
            self._interrupting.wait_done()
        return True

    def be_replaced(self, backend: Backend, run: Run) -> None:
        """Have an heir finish the run."""
        self.look = driving.look(backend, str(self._log), self.run_id)
        self._state_found = state_of(backend, self.run_id)
        self._answer = run(self.flow, Counting(backend), engine=self.engine, log=str(self._log), run_id=self.run_id)
        self._written, self._lines_written = records_of(backend, self.run_id), len(lines_of(self._log))

    def wake(self) -> None:
        """Let it go on, and what it had sent with it."""
        if self._interrupting is not None:
            self._interrupting.wake()
        self._child.proceed()

    def judge(self, backend: Backend, undisturbed: Undisturbed) -> Counter[str]:
        """Check that it wrote nothing since; return what came of it."""
        came_of_it = self._child.wait().answer
        assert records_of(backend, self.run_id) == self._written
        expected, expected_lines = undisturbed.run(self.flow, self.engine)
        lines = lines_of(self._log)
        figures = judge(expected, self._answer, [self.look], lines[: self._lines_written], expected_lines)
        self._does_only_what_it_had_begun()
        if came_of_it == "OwnershipLost":
            figures["stale writes to servers refused"] += 1
        elif came_of_it in ("StorageUnavailable", "StorageBusy") and self.when in INSIDE:
            figures["stale writes of those who slept past their patience refused"] += 1
        else:
            assert came_of_it in ("FlowOwned", "finished")
            assert self._state_found in ("", "PENDING", "SUSPENDED", *FINISHED), "it had something to write"
            figures["owners who had nothing to write any more"] += 1
        return figures

    def _does_only_what_it_had_begun(self) -> None:
        begun = {
            (atom, IN_FLIGHT[state], round_, reverts if state == "REVERTING" else executes)
            for atom, (state, executes, reverts, round_) in self.look["atoms"].items()
            if state in IN_FLIGHT
        }
        lines = lines_of(self._log)
        done = [(line.atom, line.direction, line.round, line.attempt) for line in lines]
        assert {*done[self._lines_written :]} <= begun
        assert max(Counter(done).values(), default=0) <= 1, "done twice"


def state_of(backend: Backend, run_id: str) -> str:
    """Return the state of a run, nothing where there is none."""
    try:
        return str(backend.load(run_id).kind("flow")[run_id]["state"])
    except NotFound:
        return ""


def records_of(backend: Backend, run_id: str) -> str:
    """Return all that the logbook holds of a run."""
    records = backend.load(run_id)
    return json.dumps([records.rows, records.appended], sort_keys=True)


class Graveyard:
    """Where owners are stopped, replaced and woken, many at once."""

    def __init__(self, forks: Forks, place: Place, undisturbed: Undisturbed, new_folder: Callable[[], Path]) -> None:
        self.place, self._forks, self._undisturbed, self._new_folder = place, forks, undisturbed, new_folder

    def points(self, *, inside: bool) -> list[str]:
        """Return where owners can be stopped: in each attempt, beside each commit, and inside each transaction."""
        found = []
        for flow in [name for name in CANONICAL if name != "many"]:
            for engine in driving.ENGINES:
                expected, lines = self._undisturbed.run(flow, engine)
                every = [f"in {number}" for number in range(1, len(lines) + 1)]
                every += self.place.points(most_commits(expected, engine))
                found += [f"{flow} {engine} {point}" for point in every if inside or point.split()[0] not in INSIDE]
        return found

    def stop_replace_and_wake(
        self, points: Sequence[str], run: Run, node: pytest.Item, *, lease_s: float = DEFAULT_LEASE_S
    ) -> Counter[str]:
        """Stop owners at some points, have ``run`` finish what they began, and wake them; return what came of it."""
        figures: Counter[str] = Counter()
        with ExitStack() as stack, self.place.backend() as backend:
            zombies = [Zombie(self._new_folder(), point) for point in points]

            def each(act: Callable[[Zombie], _Answer]) -> list[_Answer]:
                answers = []
                for zombie in zombies:
                    with crashed_at(node, zombie.point):
                        answers.append(act(zombie))
                return answers

            each(lambda zombie: zombie.start(self._forks, self.place, stack, lease_s))
            zombies = [
                zombie for zombie, has_stopped in zip(zombies, each(Zombie.has_stopped), strict=True) if has_stopped
            ]
            each(lambda zombie: zombie.be_replaced(backend, run))
            each(Zombie.wake)
            for came_of_it in each(lambda zombie: zombie.judge(backend, self._undisturbed)):
                figures.update(came_of_it)
        return figures


@pytest.fixture
def graveyard(forks: Forks, place: Place, undisturbed: Undisturbed, new_folder: Callable[[], Path]) -> Graveyard:
    return Graveyard(forks, place, undisturbed, new_folder)


def test_an_owner_stopped_anywhere_writes_nothing_after_a_takeover(
    graveyard: Graveyard, request: pytest.FixtureRequest, figures: Counter[str], full: bool
) -> None:
    points = sample(graveyard.points(inside=True), graveyard.place.kind, count=STOPPED[full])
    for some in batches(points):
        figures.update(graveyard.stop_replace_and_wake(some, partial(driving.drive, take_over=True), request.node))


def test_an_owner_stopped_past_its_lease_is_replaced_without_a_word_and_writes_nothing(
    graveyard: Graveyard, request: pytest.FixtureRequest, figures: Counter[str], full: bool
) -> None:
    points = sample(graveyard.points(inside=False), graveyard.place.kind, count=PAST_THEIR_LEASE[full])
    for some in batches(points):
        figures.update(graveyard.stop_replace_and_wake(some, drive_when_it_may, request.node, lease_s=LEASE_S))


def batches(points: Sequence[str]) -> list[Sequence[str]]:
    """Return the points in parts that are tried together."""
    return [points[start : start + AT_ONCE] for start in range(0, len(points), AT_ONCE)]


def drive_when_it_may(*flow: Any, **how: Any) -> dict[str, Any]:
    """Run a flow as soon as its owner's lease is over."""
    deadline = time.monotonic() + 10 * LEASE_S
    while True:
        try:
            return driving.drive(*flow, **how)
        except FlowOwned:
            assert time.monotonic() < deadline
            time.sleep(LOOK_EVERY_S)
