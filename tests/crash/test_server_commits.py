"""A process that works on a run on a server is killed beside or inside any commit; another one finishes its work.

The flow then ends as it does in memory where nothing happens, and nothing that was saved is done again. All of it runs
with ``FLOWBOOK_FULL=1``, else a sample that is always the same. ``FLOWBOOK_CRASH_POINT`` picks one place to crash at,
as a failure names it.

A database server cannot see that an owner is dead: who comes next would wait for the end of its lease, and takes over
here at once, as somebody does who knows better. A client of ZooKeeper on the same machine sees it, and just claims.
"""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from crash import driving
from crash.flows import CANONICAL, Line, lines_of
from crash.forks import Child, End, Forks
from crash.judging import judge
from crash.points import commit_of, crashed_at, most_commits, sample
from crash.proxy import Proxy
from crash.server_places import INSIDE, KINDS, MODULES, Interrupting, Place, Undisturbed, place_on

SAMPLE = 1
MOST = 200
"""At how many places each flow is killed in full: all but those of the largest flow, which has some hundreds more."""

SEVERAL = 200
"""How often a run is crashed several times on each server; a sample has twice SAMPLE of them."""

WHERE = {
    "before": "before a commit to a server",
    "after": "after a commit to a server",
    "unsent": "in a transaction whose end had not reached the server",
    "sent": "before the reply to a transaction",
}


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    return place_on(request.param, request)


@pytest.fixture(scope="module")
def forks(fast_folder: Path) -> Iterator[Forks]:
    server = Forks(fast_folder, ["crash.driving", *MODULES])
    yield server
    server.close()


@pytest.fixture(scope="module")
def proxy(place: Place) -> Iterator[Proxy]:
    with Proxy(place.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def undisturbed(fast_folder: Path) -> Undisturbed:
    return Undisturbed(fast_folder)


class Processes:
    """The processes that work on one run on a server, one after the other: each but the last one crashes."""

    def __init__(self, forks: Forks, folder: Path, place: Place, proxy: Proxy, flow: str, engine: str) -> None:
        self._forks, self._folder, self._place, self._proxy = forks, folder, place, proxy
        self._log = str(folder / "log")
        self._found: list[Path] = []
        self._what = {"flow": flow, "engine": engine, "log": self._log, "run_id": uuid4().hex}

    @property
    def lines(self) -> list[Line]:
        return lines_of(self._log)

    @property
    def looks(self) -> list[dict[str, Any]]:
        """What each heir found."""
        return [json.loads(found.read_text()) for found in self._found]

    def run(self, point: str = "", *, is_heir: bool = False) -> End:
        """Run until the end, or until it is killed at ``point``; an heir looks first what is left."""
        how: dict[str, Any] = {}
        if is_heir:
            self._found.append(self._folder / f"found-{len(self._found)}")
            how = {"found": str(self._found[-1]), "take_over": self._place.kind != "zookeeper"}
        when, _, number = point.partition(" ")
        if when in INSIDE:
            return self._run_inside(when, int(number), how)
        return self._start(crash=commit_of(point) if point else {}, **how).wait()

    def _run_inside(self, when: str, number: int, how: dict[str, Any]) -> End:
        """Run until the end, or until the transaction of that number is under way."""
        killing = Interrupting(signal.SIGKILL, is_delivered=when == "sent")
        self._proxy.arm(killing, at=number, containing=self._place.commit_request)
        child = self._start(self._proxy, crash={}, **how)
        killing.let(child.pid)
        end = child.wait()
        self._proxy.disarm()
        return end

    def _start(self, proxy: Proxy | None = None, **how: Any) -> Child:
        return self._forks.start("crash.driving:run", **self._what, conf=self._place.conf(proxy), **how)


class Begin:
    """Begins runs at one place."""

    def __init__(self, forks: Forks, new_folder: Callable[[], Path], place: Place, proxy: Proxy) -> None:
        self.place = place
        self._forks, self._new_folder, self._proxy = forks, new_folder, proxy

    def __call__(self, flow: str, engine: str) -> Processes:
        return Processes(self._forks, self._new_folder(), self.place, self._proxy, flow, engine)


@pytest.fixture
def begin(forks: Forks, new_folder: Callable[[], Path], place: Place, proxy: Proxy) -> Begin:
    return Begin(forks, new_folder, place, proxy)


@pytest.fixture
def at(request: pytest.FixtureRequest) -> Callable[[object], Any]:
    """Tell where a failure was crashed, and how to see it again."""
    return partial(crashed_at, request.node)


@pytest.mark.parametrize("engine", driving.ENGINES)
@pytest.mark.parametrize("flow", CANONICAL)
def test_a_process_killed_at_any_commit_is_replaced(
    flow: str, engine: str, begin: Begin, undisturbed: Undisturbed, at: Any, figures: Counter[str], full: bool
) -> None:
    expected, lines = undisturbed.run(flow, engine)
    every = begin.place.points(most_commits(expected, engine))
    for point in sample(every, f"{flow} {begin.place.kind} {engine}", count=MOST if full else SAMPLE):
        with at(point):
            case = begin(flow, engine)
            end = case.run(point)
            assert end.was_killed or engine == "parallel"
            if end.was_killed:
                end = case.run(is_heir=True)
                figures[f"killed {WHERE[point.split()[0]]}"] += 1
            figures.update(judge(expected, end.answer, case.looks, case.lines, lines))


def test_it_may_be_killed_again_and_again(
    begin: Begin, undisturbed: Undisturbed, at: Any, figures: Counter[str], full: bool
) -> None:
    for point in sample([str(seed) for seed in range(SEVERAL)], begin.place.kind, count=None if full else 2 * SAMPLE):
        with at(point):
            chance = random.Random(point)
            flow, engine = chance.choice([*CANONICAL]), chance.choice([*driving.ENGINES])
            expected, lines = undisturbed.run(flow, engine)
            every = begin.place.points(most_commits(expected, engine))
            case = begin(flow, engine)
            end = case.run(chance.choice(every))
            for _ in range(chance.randint(1, 2)):
                if end.was_killed:
                    end = case.run(chance.choice(every), is_heir=True)
            if end.was_killed:
                end = case.run(is_heir=True)
            figures["killed several times"] += len(case.looks) > 1
            figures.update(judge(expected, end.answer, case.looks, case.lines, lines))
