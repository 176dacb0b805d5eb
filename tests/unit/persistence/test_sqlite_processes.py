"""Several processes and one file: the living are left alone, the dead are succeeded at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowbook.exceptions import FlowOwned
from flowbook.persistence import Query
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from flowbook.persistence.sql.backend import SqliteBackend
from flowbook.testing.backend_samples import begin, ids

pytestmark = pytest.mark.slow

ENGINE = """
import sys
from flowbook.exceptions import OwnershipLost
from flowbook.persistence import fetch
from flowbook.persistence.changes import Put
from flowbook.testing.backend_samples import begin
backend = fetch(sys.argv[1])
claim = begin(backend)
print("claimed", flush=True)
sys.stdin.readline()
try:
    backend.commit(claim, [Put("atom", "by the first", {})])
    print("committed", flush=True)
except OwnershipLost:
    print("lost", flush=True)
"""

FORKER = """
import os, sys
from flowbook.exceptions import FlowOwned
from flowbook.persistence import fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import begin
backend = fetch(sys.argv[1])
claim = begin(backend)
session = backend._database._sessions.current()
child = os.fork()
if child == 0:
    try:
        backend.claim("flow:f", current_owner(), lease_s=30)
        os._exit(1)
    except FlowOwned:
        pass
    other = begin(backend, "of the child")
    backend.commit(other, [Put("atom", "a", {})])
    os._exit(0 if backend._database._sessions.current() is not session else 2)
_, status = os.waitpid(child, 0)
claim = backend.commit(claim, [Put("atom", "a", {})])
assert backend._database._sessions.current() is session
print(os.waitstatus_to_exitcode(status), flush=True)
sys.stdin.readline()
"""

OPENER = """
import sys
from flowbook.persistence import fetch
from flowbook.testing.backend_samples import begin
print("ready", flush=True)
sys.stdin.readline()
with fetch(sys.argv[1]) as backend:
    begin(backend, sys.argv[2])
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db?timeout_s=30"


@pytest.fixture
def backend(url: str) -> Iterator[SqliteBackend]:
    with SqliteBackend(url) as backend:
        yield backend


@contextmanager
def program(text: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", text, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_killed_engine_is_succeeded_at_once(url: str, backend: SqliteBackend) -> None:
    with program(ENGINE, url) as engine:
        assert hear(engine) == "claimed"
        with pytest.raises(FlowOwned) as caught:
            backend.claim("flow:f", current_owner(), lease_s=30)
        assert caught.value.owner.endswith(f":{engine.pid}")
        engine.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT)  # its zombie stays
        claim = backend.claim("flow:f", current_owner(), lease_s=30)
        backend.commit(claim, [Put("atom", "a", {})])


def test_a_stopped_engine_is_alive_and_loses_to_one_that_takes_over(url: str, backend: SqliteBackend) -> None:
    with program(ENGINE, url) as engine:
        assert hear(engine) == "claimed"
        engine.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, engine.pid, os.WSTOPPED)
        with pytest.raises(FlowOwned):
            backend.claim("flow:f", current_owner(), lease_s=30)
        backend.claim("flow:f", current_owner(), lease_s=30, take_over=True)
        engine.send_signal(signal.SIGCONT)
        tell(engine)
        assert hear(engine) == "lost"
    assert set(backend.load("f").rows) == {"flow"}


def test_a_closed_backend_that_is_used_again_is_alive_again(url: str, backend: SqliteBackend) -> None:
    claim = begin(backend)
    backend.close()
    backend.commit(claim, [])
    with program(ENGINE, url) as engine:  # it cannot claim the flow, and ends
        assert hear(engine) == ""
    backend.commit(claim.__class__(claim.key, claim.epoch, claim.seq + 1), [])


def test_a_forked_child_has_connections_and_claims_of_its_own(url: str, backend: SqliteBackend) -> None:
    with program(FORKER, url) as parent:
        assert hear(parent) == "0"
        assert sorted(ids(backend, Query())) == ["f", "of the child"]
        with pytest.raises(FlowOwned):
            backend.claim("flow:f", current_owner(), lease_s=30)
        claim = backend.claim("flow:of the child", current_owner(), lease_s=30)  # the child is dead
        backend.commit(claim, [])


def test_processes_that_make_a_file_at_the_same_time_all_succeed(url: str, backend: SqliteBackend) -> None:
    with (
        program(OPENER, url, "1") as one,
        program(OPENER, url, "2") as two,
        program(OPENER, url, "3") as three,
        program(OPENER, url, "4") as four,
    ):
        openers = (one, two, three, four)
        assert [hear(opener) for opener in openers] == ["ready"] * 4
        for opener in openers:
            tell(opener)
        assert [opener.wait() for opener in openers] == [0] * 4
    assert sorted(ids(backend, Query())) == ["1", "2", "3", "4"]
