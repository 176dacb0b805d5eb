"""The faults that tests inject below a logbook in a directory do what they say."""

from __future__ import annotations

import errno
import inspect
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest

from flowbook.exceptions import StorageFull
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.testing.backend_contract import BackendContract
from flowbook.testing.files import (
    CHANGING,
    NEVER_FAILING,
    CountingFiles,
    CrashingFiles,
    FailingFiles,
    RecordingFiles,
    WrappedFiles,
    stop_this_process,
)


class Crash(BaseException):
    """Stands for the end of the process."""


def crash() -> None:
    raise Crash


class TestAllOfThemUnarmed(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[DirectoryBackend]:
        files = RecordingFiles(CountingFiles(CrashingFiles(FailingFiles(LocalFiles()), crash=crash)))
        with DirectoryBackend(f"dir:{tmp_path}/runs?value_limit_bytes=1048576", files=files) as backend:
            yield backend


def verbs() -> set[str]:
    return {name for name, _ in inspect.getmembers(Files, inspect.isfunction) if not name.startswith("_")}


def write_a_file(files: Files, path: Path, data: bytes = b"data") -> None:
    """Make a file ``a``, which has two names in the end and is synced."""
    with ExitStack() as stack:
        folder = files.root(str(path))
        stack.callback(files.close, folder)
        file = files.create(folder, "a")
        stack.callback(files.close, file)
        files.write(file, data, 0)
        files.sync(file)
        files.link(folder, "a", "b")
        files.sync(folder)


def test_every_call_is_wrapped() -> None:
    assert verbs() == {name for name in vars(WrappedFiles) if not name.startswith("_")}
    assert verbs() > CHANGING | NEVER_FAILING


def test_calls_are_counted(tmp_path: Path) -> None:
    files = CountingFiles(LocalFiles())
    write_a_file(files, tmp_path)
    assert files.calls == {"root": 1, "create": 1, "write": 1, "sync": 2, "link": 1, "close": 2}


def test_calls_are_recorded_with_paths_bytes_and_marks(tmp_path: Path) -> None:
    files = RecordingFiles(LocalFiles())
    files.mark("begun")
    write_a_file(files, tmp_path)
    with pytest.raises(FileExistsError):
        write_a_file(files, tmp_path)
    told = [(call.verb, call.path.removeprefix(str(tmp_path)), call.arguments) for call in files.calls]
    (folder, file) = [call.answer for call in files.calls if call.verb in ("root", "create")][:2]
    assert told == [
        ("mark", "", ("begun",)),
        ("root", "", (str(tmp_path),)),
        ("create", "/a", (folder, "a")),
        ("write", "/a", (file, b"data", 0)),
        ("sync", "/a", (file,)),
        ("link", "/b", (folder, "a", "b")),
        ("sync", "", (folder,)),
        ("close", "/a", (file,)),
        ("close", "", (folder,)),
        ("root", "", (str(tmp_path),)),
        ("close", "", (folder,)),
    ]


def test_a_write_that_failed_is_recorded_and_nothing_else_that_failed(tmp_path: Path) -> None:
    files = RecordingFiles(FailingFiles(LocalFiles(), at=1, forever=True, verbs=CHANGING - {"create"}))
    with pytest.raises(OSError, match="injected, write"):
        write_a_file(files, tmp_path)
    assert [call.verb for call in files.calls] == ["root", "create", "write", "close", "close"]


@pytest.mark.parametrize(("at", "verb"), list(enumerate(["root", "create", "write", "sync", "link", "sync"], start=1)))
def test_one_call_fails(at: int, verb: str, tmp_path: Path) -> None:
    files = FailingFiles(LocalFiles(), at=at, error=errno.EROFS)
    with pytest.raises(OSError, match=f"injected, {verb}") as error:
        write_a_file(files, tmp_path)
    assert error.value.errno == errno.EROFS
    assert (files.count, files.failed) == (at, 1)


def test_every_call_fails_until_it_is_healed(tmp_path: Path) -> None:
    files = FailingFiles(LocalFiles(), at=2, forever=True)
    for _ in range(2):
        with pytest.raises(OSError, match="injected"):
            write_a_file(files, tmp_path)
    assert files.failed == 2
    files.heal()
    write_a_file(files, tmp_path)
    assert (tmp_path / "b").read_bytes() == b"data"


@pytest.mark.parametrize(("half", "left"), [(False, b""), (True, b"da")])
def test_a_write_fails_half_way(half: bool, left: bytes, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_a_file(FailingFiles(LocalFiles(), at=3, half=half), tmp_path)
    assert (tmp_path / "a").read_bytes() == left


def test_only_calls_of_some_verbs_fail(tmp_path: Path) -> None:
    files = FailingFiles(LocalFiles(), verbs={"sync"})
    files.fail(at=2)
    with pytest.raises(OSError, match="injected, sync"):
        write_a_file(files, tmp_path)
    assert (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("when", "at", "left"),
    [
        ("before", 2, {"a": b""}),
        ("torn", 2, {"a": b"da"}),
        ("after", 2, {"a": b"data"}),
        ("before", 4, {"a": b"data"}),
        ("torn", 4, {"a": b"data", "b": b"data"}),
        ("after", 4, {"a": b"data", "b": b"data"}),
    ],
)
def test_a_crash_comes_at_its_call(
    when: Literal["before", "torn", "after"], at: int, left: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(Crash):
        write_a_file(CrashingFiles(LocalFiles(), at=at, when=when, crash=crash), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == left


def test_a_process_stops_itself_at_a_call_and_goes_on(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        write_a_file(CrashingFiles(LocalFiles(), at=3, crash=stop_this_process), tmp_path)
        os._exit(0)
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    os.kill(pid, signal.SIGCONT)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert (tmp_path / "b").exists()


def test_what_fails_below_a_backend_is_its_error(tmp_path: Path) -> None:
    backend = DirectoryBackend(f"dir:{tmp_path}/runs", files=FailingFiles(LocalFiles(), at=2))
    with pytest.raises(StorageFull, match="injected"):
        backend.open()
    backend.open()
