"""SIGINT and SIGTERM at any point of ``flowbook run``: it is suspended at once, says so, and goes on to the same end.

All points are tried with ``FLOWBOOK_FULL=1``, else a sample that is always the same.
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from acceptance.command_line import TIMEOUT_S, Ended, Started, flowbook
from daemons.storages import ALL, kinds, new_storage
from flowbook import FlowState, engines
from flowbook.cli.exits import Exit
from flowbook.exceptions import NotFound
from flowbook.persistence import fetch
from flowbook.views import view_run

ATOMS = 40
PAUSE_S = 0.02
"""How long an atom takes at least, in the process that gets the signal."""

STOPS_WITHIN_S = 2.0
"""On a machine that has a processor for each process that wants one; `_limit_s` is longer where it has not."""

LOOK_EVERY_S = 0.5
"""How often it is seen that a run still lives."""

ENGINES = {"serial": (), "parallel": ("--engine", "parallel", "--max-workers", "2")}
WORDS = ("run", "many.py::flow", "--run-id", "r1", "--progress", "quiet")

FLOW = """
import os
import time
from flowbook import UnorderedFlow, task

NOTES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "notes")


def make(number):
    @task(name=f"t{number}", provides=f"n{number}")
    def work():
        with open(NOTES, "w") as notes:
            notes.write(f"{number}\\n")
        time.sleep(float(os.environ.get("PAUSE_S", "0")))
        return number

    return work


flow = UnorderedFlow("many").add(*map(make, range(ATOMS)))
""".replace("ATOMS", str(ATOMS))


class Point(NamedTuple):
    """Where a signal comes: so many seconds after so many atoms have begun; 0 atoms is the start of the process."""

    atoms: int
    later_s: float
    signal: signal.Signals
    engine: str

    @property
    def is_amid(self) -> bool:
        """Whether the run is under way then, however slow the machine is."""
        return 0 < self.atoms < ATOMS


def points(kind: str, *, full: bool) -> list[Point]:
    """Return the points to try: amid the run, and where it begins and ends, before and after it can be suspended."""
    chance = random.Random(kind)
    found = []
    for _ in range(10 if full else 1):
        for one in (signal.SIGINT, signal.SIGTERM):
            for atoms in (0, chance.randint(1, ATOMS // 2), ATOMS):
                later_s = chance.uniform(0, 0.8) if atoms == 0 else chance.uniform(0, 2 * PAUSE_S)
                found.append(Point(atoms, later_s, one, chance.choice(list(ENGINES))))
    edges = [each for each in found if not each.is_amid]
    return found if full else [*(each for each in found if each.is_amid), chance.choice(edges)]


class Notes:
    """What the atoms say when they begin: a pipe with a name, of which the test keeps both ends open."""

    def __init__(self, folder: Path) -> None:
        os.mkfifo(folder / "notes")
        self._pipe = os.open(folder / "notes", os.O_RDWR | os.O_NONBLOCK)
        self._heard = b""

    def wait_for(self, count: int, started: Started) -> None:
        """Wait until so many atoms of a run have begun."""
        until = time.monotonic() + TIMEOUT_S
        while self._heard.count(b"\n") < count:
            assert time.monotonic() < until, "no atom begins"
            if select.select([self._pipe], [], [], LOOK_EVERY_S)[0]:
                self._heard += os.read(self._pipe, 65536)
            else:
                assert started.process.poll() is None, started.end()

    def all(self) -> list[int]:
        """Return the atoms that have begun, in their order."""
        while select.select([self._pipe], [], [], 0)[0]:
            self._heard += os.read(self._pipe, 65536)
        return [int(word) for word in self._heard.split()]

    def close(self) -> None:
        os.close(self._pipe)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds(*ALL))
def test_wherever_a_signal_comes_a_run_is_suspended_within_2_s_and_goes_on_to_the_same_end(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, figures: Counter[str], full: bool
) -> None:
    for number, point in enumerate(points(kind, full=full)):
        folder = tmp_path / str(number)
        folder.mkdir()
        url = new_storage(kind, request, folder)
        with closing(Notes(folder)) as notes:
            ended, took_s = signalled(folder, url, notes, point)
            _check_end(ended, took_s, point)
            if kind != "memory":
                _check_the_rest(folder, url, notes)
        figures[f"runs signalled, {kind}"] += 1
        figures[f"of them suspended, {kind}"] += ended.code == Exit.SUSPENDED
        figures[f"ms from signal to end, {kind}"] += int(1000 * took_s)


def signalled(folder: Path, url: str, notes: Notes, point: Point) -> tuple[Ended, float]:
    """Run the flow in a process of its own that gets a signal; return how it ended, and how long that took."""
    (folder / "many.py").write_text(FLOW, encoding="utf-8")
    started = Started(folder, *WORDS, "--backend", url, *ENGINES[point.engine], PAUSE_S=str(PAUSE_S))
    try:
        notes.wait_for(point.atoms, started)
        time.sleep(point.later_s)  # where it comes is a matter of chance: the same must come of it everywhere
        began = time.monotonic()
        started.process.send_signal(point.signal)
        return started.end(), time.monotonic() - began
    finally:
        started.kill()
        Started.all.remove(started)


def _check_end(ended: Ended, took_s: float, point: Point) -> None:
    assert took_s < _limit_s(), (point, ended)
    if point.is_amid:
        assert ended.code == Exit.SUSPENDED, (point, ended)
        assert "SUSPENDED: run r1" in ended.err
        assert "Traceback" not in ended.err
    # Before it can be suspended, and when it is at its end, a signal does what it does to any program in Python.
    begins = point.atoms == 0 and "KeyboardInterrupt" in ended.err
    assert begins or ended.code in {Exit.OK, Exit.SUSPENDED, Exit.INTERRUPTED, -point.signal}, (point, ended)


def _limit_s() -> float:
    return STOPS_WITHIN_S * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def _check_the_rest(folder: Path, url: str, notes: Notes) -> None:
    """Continue the run; each atom has then been executed once, and gives what it gives without a signal."""
    with fetch(url) as backend:
        try:
            found = view_run(backend, "r1")
            assert found.state in (FlowState.SUSPENDED, FlowState.SUCCESS, FlowState.PENDING)
            assert found.owner is None
            engines.resume(backend, "r1", allow=[str(folder / "many.py")])
        except NotFound:
            assert flowbook(folder, *WORDS, "--backend", url).code == Exit.OK
        assert view_run(backend, "r1").state == FlowState.SUCCESS
        results = {f"n{number}": number for number in range(ATOMS)}
        assert engines.resume(backend, "r1", allow=[str(folder / "many.py")]) == results
    assert sorted(notes.all()) == list(range(ATOMS))
