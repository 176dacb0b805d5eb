"""Living, stopped, dead and undead processes are told apart."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flowbook.persistence.owners import LivenessFile, Owner, current_owner, lives_by_pid

HOLDER = """
import json, sys, time
from flowbook.persistence.owners import LivenessFile, current_owner
file = LivenessFile(sys.argv[1])
file.hold()
print(json.dumps(current_owner().to_row()), flush=True)
sys.stdin.read()
"""

FORKER = """
import os, sys
from flowbook.persistence.owners import LivenessFile, current_owner
file = LivenessFile(sys.argv[1])
file.hold()
parent = current_owner()
read, write = os.pipe()
child = os.fork()
if child == 0:
    mine = current_owner()
    seen = file.is_alive(parent), file.is_alive(mine), mine.lock != parent.lock, mine.pid == os.getpid()
    os.write(write, repr(seen).encode())
    os._exit(0)
os.waitpid(child, 0)
print(os.read(read, 1000).decode(), current_owner() == parent)
"""

FORKER_OF_A_HOLDER = """
import json, os, sys
from flowbook.persistence.owners import LivenessFile, Owner, current_owner
file = LivenessFile(sys.argv[1])
file.hold()
read, write = os.pipe()
stop, go = os.pipe()
child = os.fork()
if child == 0:
    file.hold()
    os.write(write, json.dumps(current_owner().to_row()).encode())
    os.read(stop, 1)
    os._exit(0)
owner = Owner.from_row(json.loads(os.read(read, 1000)))
alive = file.is_alive(owner)
os.write(go, b"x")
os.waitpid(child, 0)
print(alive, file.is_alive(owner))
"""

LOOKER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(file, fcntl.LOCK_SH, 1, 7)
print("looking", flush=True)
sys.stdin.read()
"""

SEE = """
import json, sys
from flowbook.persistence.owners import LivenessFile, Owner
print(LivenessFile(sys.argv[1]).is_alive(Owner(**json.loads(sys.argv[2]))))
"""


@contextmanager
def holder(path: Path) -> Iterator[tuple[subprocess.Popen[str], Owner]]:
    """Yield a process that keeps its byte of the lock file locked, and it as an owner."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        row = process.stdout.readline()
        try:
            yield process, Owner.from_row(json.loads(row))
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db.lock"


@pytest.fixture
def file(path: Path) -> Iterator[LivenessFile]:
    file = LivenessFile(path)
    yield file
    file.release()


def wait_until_zombie(pid: int) -> None:
    """Wait for the end of a child without reaping it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_this_process_is_the_same_owner_each_time_and_alive(file: LivenessFile) -> None:
    assert current_owner() is current_owner()
    assert current_owner().pid == os.getpid()
    assert file.is_alive(current_owner()) is True
    assert lives_by_pid(current_owner()) is True


def test_an_owner_comes_back_from_its_record() -> None:
    assert Owner.from_row(current_owner().to_row()) == current_owner()


@pytest.mark.parametrize("row", [{}, {"host": "h"}, {**current_owner().to_row(), "pid": "1"}])
def test_what_is_no_owner_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not an owner"):
        Owner.from_row(row)


@pytest.mark.slow
def test_a_process_is_alive_until_it_is_killed_even_when_stopped(path: Path, file: LivenessFile) -> None:
    with holder(path) as (process, owner):
        assert (file.is_alive(owner), lives_by_pid(owner)) == (True, True)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert (file.is_alive(owner), lives_by_pid(owner)) == (True, True)
        process.send_signal(signal.SIGKILL)
        wait_until_zombie(process.pid)
        assert (file.is_alive(owner), lives_by_pid(owner)) == (False, False)
        process.wait()
        assert (file.is_alive(owner), lives_by_pid(owner)) == (False, False)


@pytest.mark.slow
def test_a_forked_child_is_an_owner_of_its_own_and_sees_its_parent_alive(path: Path) -> None:
    command = [sys.executable, "-c", FORKER, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(True, True, True, True) True"


@pytest.mark.slow
def test_a_forked_child_keeps_a_byte_of_its_own_locked(path: Path) -> None:
    command = [sys.executable, "-c", FORKER_OF_A_HOLDER, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True False"


@pytest.mark.slow
def test_several_users_of_a_file_in_one_process_do_not_drop_each_others_lock(path: Path) -> None:
    row = json.dumps(current_owner().to_row())

    def seen() -> str:
        command = [sys.executable, "-c", SEE, str(path), row]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    one, other = LivenessFile(path), LivenessFile(path.parent / "." / path.name)
    one.hold()
    other.hold()
    one.release()
    assert seen() == "True"
    other.release()
    assert seen() == "False"


@pytest.mark.slow
def test_one_who_looks_at_a_byte_does_not_look_alive_to_another(path: Path, file: LivenessFile) -> None:
    file.hold()
    with subprocess.Popen(
        [sys.executable, "-c", LOOKER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as looker:
        assert looker.stdout is not None
        assert looker.stdout.readline() == "looking\n"
        assert file.is_alive(replace(current_owner(), lock=7)) is False
        looker.kill()


def test_a_reused_pid_is_another_process() -> None:
    assert lives_by_pid(replace(current_owner(), started=current_owner().started - 1)) is False


def test_only_the_lease_tells_of_another_boot_or_namespace(file: LivenessFile) -> None:
    assert file.is_alive(replace(current_owner(), boot="another", lock=1)) is None
    assert lives_by_pid(replace(current_owner(), namespace="pid:[1]")) is None


def test_where_there_are_no_locks_the_pid_decides(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    file = LivenessFile(path)
    assert file.is_alive(replace(current_owner(), lock=1)) is True
    assert file.is_alive(replace(current_owner(), lock=1, pid=2**22 + 1)) is False
    file.release()


def test_only_its_owner_may_read_the_lock_file(path: Path, file: LivenessFile) -> None:
    file.hold()
    assert path.stat().st_mode & 0o777 == 0o600


def test_descriptors_are_counted(path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    files = [LivenessFile(path) for _ in range(5)]
    for file in files:
        file.hold()
        file.hold()
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    for file in files:
        file.release()
        file.release()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_lock_file_that_was_deleted_is_made_again(path: Path, file: LivenessFile) -> None:
    file.hold()
    path.unlink()
    file.hold()
    assert path.exists()
