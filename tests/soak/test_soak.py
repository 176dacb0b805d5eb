"""Many small flows in one process: what it holds does not grow, on any backend.

A few hundred of them are run always, and memory is counted allocation by allocation; ``tox -e soak`` runs 10,000 on
each backend, and asks the system what the process holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from daemons.process import LOOPBACK, Daemon
from daemons.storages import ALL, ON_SERVERS, kinds, new_storage
from daemons.zookeeper import four_letters

TESTS = Path(__file__).resolve().parent.parent

SAMPLE = 60
GROWTH_OF_A_SAMPLE_BYTES = 64 * 1024
FULL = 1_000
FULL_PARTS = 10
GROWTH_BYTES = 5 * 1024 * 1024
SERVER_NOTICES_WITHIN_S = 30.0
PAUSE_S = 0.02

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells what a process holds")


class Soaked:
    """A process that runs small flows, as many at once as it is told to."""

    def __init__(self, url: str, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "soak.soaking", url, *options],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, flows: int) -> dict[str, int]:
        """Run flows, and return what the process holds after them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{flows}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        held: dict[str, int] = json.loads(line)
        return held

    def __enter__(self) -> Soaked:
        return self

    def __exit__(self, *error: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@pytest.fixture(params=kinds(*ALL))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], int]]:
    """Return the URL of an empty storage, and what counts the connections to it."""
    url = new_storage(request.param, request, tmp_path)
    if request.param not in ON_SERVERS:
        return url, lambda: 0
    server: Daemon = request.getfixturevalue(ON_SERVERS[request.param][0])
    return url, lambda: COUNTS[request.param](server)


def connections_of_postgresql(server: Daemon) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flowbook'"
    with psycopg.connect(server.url) as connection:
        return int(connection.execute(query).fetchall()[0][0])


def connections_of_mysql(server: Daemon) -> int:
    connection = pymysql.connect(host=LOOPBACK, port=server.port, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.processlist WHERE command != 'Daemon'")
        return int(cursor.fetchall()[0][0])


def connections_of_zookeeper(server: Daemon) -> int:
    said = dict(line.partition(": ")[::2] for line in four_letters(server.port, "srvr").splitlines())
    return int(said["Connections"])


COUNTS: dict[str, Callable[[Daemon], int]] = {
    "postgresql": connections_of_postgresql,
    "mysql": connections_of_mysql,
    "zookeeper": connections_of_zookeeper,
}


def settled(count: Callable[[], int], expected: int) -> int:
    """Return ``expected`` as soon as it is counted, else what is counted at last: a server hears of a hang-up later."""
    deadline = time.monotonic() + SERVER_NOTICES_WITHIN_S
    while (found := count()) != expected and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    return found


def soak(url: str, connections: Callable[[], int], parts: int, flows: int, *options: str) -> Iterator[dict[str, Any]]:
    """Yield what is held after each part, the first of which is to warm up; ``connections`` among it."""
    before = connections()
    with Soaked(url, *options) as process:
        for _ in range(parts + 1):
            held = process.run(flows)
            own = 1 if url.startswith(("postgresql", "mysql", "zookeeper")) else 0
            yield {**held, "connections": settled(connections, before + own) - before}


@pytest.mark.slow
def test_a_process_holds_no_more_after_many_flows_than_after_a_few(
    storage: tuple[str, Callable[[], int]], full: bool
) -> None:
    url, connections = storage
    parts = soak(url, connections, FULL_PARTS, FULL) if full else soak(url, connections, 3, SAMPLE, "trace")
    first, *later = list(parts)

    for what in ("descriptors", "threads", "connections"):
        assert [held[what] for held in later] == [first[what]] * len(later), what
    if full:
        growth = later[-1]["memory_bytes"] - first["memory_bytes"]
        print(f"{url.partition(':')[0]}: {growth / 1024:.0f} KiB more, {first} and then {later[-1]}")
        assert growth <= GROWTH_BYTES
    else:
        growth = later[-1]["traced_bytes"] - later[0]["traced_bytes"]
        assert growth <= GROWTH_OF_A_SAMPLE_BYTES
