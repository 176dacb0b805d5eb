"""An engine at work while its database server has trouble: nothing is lost, nothing is done twice, and it is quick.

What a fault adds is the time from the call of a commit to its return, without the time in which the server itself was
away (from the moment it is killed until it answers again), and without what a commit takes otherwise.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from crash import driving
from crash.flows import Step, lines_of, note
from crash.judging import judge
from crash.proxy import Proxy, cut, lose_reply
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from crash.timing import Span, Timed, added_s, at_p99, beyond_s, usual_s
from daemons.mariadb import mariadb
from daemons.postgresql import postgresql
from daemons.process import Daemon
from flowbook import FlowState, LinearFlow, Task, UnorderedFlow, engines
from flowbook.persistence import fetch
from flowbook.persistence.sql.backend import SqliteBackend
from flowbook.testing.faults import Counting

ADDED_AT_MOST_S = 1.0

FLOWS = ["linear", "reverting", "retried", "suspended"]
SAMPLE = 1
"""How many of the requests of a run are disturbed, unless all are."""

FAULTS = {"cut": cut, "reply lost": lose_reply}


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_whose_connection_is_lost_at_any_request_goes_on(
    fault: str, flow: str, storage: Storage, tmp_path: Path, figures: Counter[str], full: bool
) -> None:
    expected = driving.drive(
        flow, Counting(fetch("memory:?strict=true")), engine="serial", log=str(tmp_path / "expected")
    )
    lines = lines_of(tmp_path / "expected")

    def drive(at: int) -> tuple[int, list[Span]]:
        log = str(tmp_path / f"log {at}")
        with Proxy(storage.port) as proxy, closing(storage.backend(proxy)) as inner:
            inner.open()
            opened, backend = proxy.requests, Timed(inner)
            proxy.arm(FAULTS[fault], at=at)
            answer = driving.drive(flow, backend, engine="serial", log=log)
            requests = proxy.requests - opened
            assert proxy.is_armed == (at > requests)
            figures[f"connections of an engine to {storage.kind} lost"] += not proxy.is_armed
            inner.destroy(driving.RUN)
        judge(expected, answer, [], lines_of(log), lines)
        return requests, backend.commits

    requests, undisturbed = drive(sys.maxsize)
    every, added = range(1, requests + 1), []
    for at in every if full else random.Random(f"{flow} {fault} {storage.kind}").sample(every, SAMPLE):
        _, commits = drive(at)
        added.append(max(end - began for began, end in commits) - usual_s(undisturbed))
    assert at_p99(added) < ADDED_AT_MOST_S
    figures[f"ms added at p99 by '{fault}' in '{flow}' on {storage.kind}"] = round(1000 * at_p99(added))


# -- a server that undoes what it was asked for --

CODES = {"postgresql": ["40001", "40P01", "55P03", "57014"], "mariadb": [1213, 1205, 1020, 1317]}
"""Serialization failure, deadlock, lock not to be had, statement cancelled."""

TROUBLE = {
    "postgresql": """
        CREATE SEQUENCE troubles;
        CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE number bigint := nextval('troubles');
        BEGIN
            IF number % 3 <> 0 THEN RAISE EXCEPTION 'so' USING ERRCODE = (ARRAY[{codes}])[number % 4 + 1]; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER trouble BEFORE UPDATE OF seq ON heads FOR EACH ROW EXECUTE FUNCTION trouble();
    """,
    "mariadb": """
        CREATE SEQUENCE troubles;
        CREATE TRIGGER trouble BEFORE UPDATE ON heads FOR EACH ROW BEGIN
            DECLARE number, code INT;
            SET number = NEXTVAL(troubles);
            SET code = ELT(number % 4 + 1, {codes});
            IF number % 3 <> 0 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = code, MESSAGE_TEXT = 'so'; END IF;
        END;
    """,
}
"""Two of three times that the head of a claim is stepped, the server says that it cannot do that just now."""


def test_a_run_goes_on_whatever_a_server_undoes(
    storage: Storage, tmp_path: Path, figures: Counter[str], full: bool
) -> None:
    log, names = str(tmp_path / "log"), [f"s{number}" for number in range(500 if full else 20)]
    with storage.backend() as inner:
        undone = TROUBLE[storage.kind].format(codes=", ".join(map(repr, CODES[storage.kind])))
        storage.ask(undone)
        backend = Timed(inner)
        flow = LinearFlow("undone").add(*map(Step, names))
        made = engines.load(flow, {"log": log}, backend=backend, run_id="r")
        made.run()
        attempts = backend.load("r").appended["attempt"]
    assert made.state is FlowState.SUCCESS
    assert [line.atom for line in lines_of(log)] == names
    assert {len(rows) for rows in attempts.values()} == {1}
    ((asked,),) = storage.ask(
        "SELECT nextval('troubles')" if storage.kind == "postgresql" else "SELECT NEXTVAL(troubles)"
    )
    undone_count = asked - 1 - len(backend.commits)
    assert undone_count > len(names)
    taken = [end - began for began, end in backend.commits]
    assert at_p99(taken) < ADDED_AT_MOST_S
    figures[f"transactions undone by {storage.kind}"] += undone_count
    figures[f"ms taken at p99 by commits that {storage.kind} undid"] = round(1000 * at_p99(taken))


class Locking(Step):
    """Has somebody else lock the file, for a moment in which its result is to be saved."""

    def execute(self, log: str, **given: int) -> int:
        LOCKERS[log].lock()
        return super().execute(log, **given)


class Locker:
    """Locks a SQLite file for up to a twentieth of a second."""

    def __init__(self, path: Path) -> None:
        self.held: list[Span] = []
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        self._chance = random.Random(1)
        self._thread = threading.Thread()

    def lock(self) -> None:
        """Return when the file is locked; a thread unlocks it."""
        self.wait()
        self._connection.execute("BEGIN IMMEDIATE")
        self._thread = threading.Thread(target=self._unlock, args=(time.monotonic(),))
        self._thread.start()

    def _unlock(self, since: float) -> None:
        threading.Event().wait(self._chance.random() / 20)
        self._connection.execute("ROLLBACK")
        self.held.append((since, time.monotonic()))

    def wait(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        self.wait()
        self._connection.close()


LOCKERS: dict[str, Locker] = {}
"""By the log of the flow that asks for them."""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_run_goes_on_whoever_else_locks_the_file(
    journal: str, tmp_path: Path, figures: Counter[str], full: bool
) -> None:
    log, names = str(tmp_path / "log"), [f"s{number}" for number in range(1000 if full else 20)]
    with (
        SqliteBackend(f"sqlite:///{tmp_path / 'runs.db'}?journal={journal}") as inner,
        closing(Locker(tmp_path / "runs.db")) as locker,
    ):
        LOCKERS[log], backend = locker, Timed(inner)
        made = engines.load(LinearFlow("locked").add(*map(Locking, names)), {"log": log}, backend=backend, run_id="r")
        made.run()
        locker.wait()
        attempts = backend.load("r").appended["attempt"]
    assert made.state is FlowState.SUCCESS
    assert [line.atom for line in lines_of(log)] == names
    assert {len(rows) for rows in attempts.values()} == {1}
    added = beyond_s(backend.commits, locker.held)
    assert len(added) > len(names) / 2
    assert at_p99(added) < ADDED_AT_MOST_S
    figures[f"commits that met a lock of SQLite ({journal})"] += len(added)
    figures[f"ms taken at p99 by those beyond the lock ({journal})"] = round(1000 * at_p99(added))


# -- a server that crashes --


class Crashing(Task):
    """Asks for the next crash of the server, which comes while the atoms after it run."""

    def execute(self, log: str) -> None:
        note(log)
        CRASHES[log].crash()


class Crashes:
    """Crashes a server and starts it again, once at a time, in a thread of its own."""

    def __init__(self, server: Daemon) -> None:
        self.away: list[Span] = []
        self._server = server
        self._chance = random.Random(1)
        self._thread = threading.Thread()

    def crash(self) -> None:
        """Begin the next crash, when the last one is over."""
        self.wait()
        self._thread = threading.Thread(target=self._crash)
        self._thread.start()

    def _crash(self) -> None:
        threading.Event().wait(self._chance.random() / 20)
        since = time.monotonic()
        self._chance.choice([self._server.kill, self._server.stop_at_once])()
        self._server.start()
        self.away.append((since, time.monotonic()))

    def wait(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()


CRASHES: dict[str, Crashes] = {}
"""By the log of the flow that asks for them."""


@pytest.mark.parametrize("engine", ["serial", "parallel"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_crashes_again_and_again_loses_nothing_and_does_nothing_twice(
    kind: str, engine: str, tmp_path: Path, figures: Counter[str], full: bool
) -> None:
    if not full and (kind, engine) not in {("postgresql", "parallel"), ("mariadb", "serial")}:
        pytest.skip("FLOWBOOK_FULL=1 runs it")
    log, rounds = str(tmp_path / "log"), (50 if full else 2)
    with {"postgresql": postgresql, "mariadb": mariadb}[kind]() as server:
        storage = storage_on(kind, server)
        crashes = CRASHES[log] = Crashes(server)
        flow = LinearFlow("crashes")
        for i in range(rounds):
            steps = [Step(f"s{i}n{j}") for j in range(10)]
            flow.add(Crashing(f"c{i}"), UnorderedFlow(f"u{i}").add(*steps))
        with closing(storage.backend(timeout_s=30)) as inner:
            backend = Timed(inner)
            made = engines.load(flow, {"log": log}, backend=backend, run_id="r", engine=engine)
            made.run()
            crashes.wait()
            records = backend.load("r")
    assert len(crashes.away) == rounds
    assert made.state is FlowState.SUCCESS
    assert {row["state"] for row in records.kind("atom").values()} == {"SUCCESS"}
    lines = Counter(line.atom for line in lines_of(log))
    assert set(lines.values()) == {1}
    assert len(lines) == 11 * rounds
    assert {len(rows) for rows in records.appended["attempt"].values()} == {1}
    added = added_s(backend.commits, crashes.away)
    assert at_p99(added) < ADDED_AT_MOST_S
    figures[f"crashes of a {kind} server under an engine"] += len(crashes.away)
    figures[f"commits of a {engine} engine that met a crash of {kind}"] += len(added)
    figures[f"ms added at p99 to those ({kind}, {engine})"] = round(1000 * at_p99(added))
