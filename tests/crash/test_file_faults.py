"""A file call that fails is a named error at once, no success is told that is none, and the run is resumed afterwards.

All calls fail in turn with ``FLOWBOOK_FULL=1``, else a sample of them; ``FLOWBOOK_SEED`` draws another one.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crash import driving
from crash.flows import lines_of
from crash.judging import judge
from crash.scenarios import FOREIGN, KEY, flow_row
from flowbook.exceptions import FlowOwned, OwnershipLost, StorageError, StorageFull, StorageUnavailable
from flowbook.persistence.changes import Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.persistence.owners import Owner
from flowbook.testing.files import CountingFiles, CrashingFiles, FailingFiles, stop_this_process

SEED = os.environ.get("FLOWBOOK_SEED", "0")
FLOWS = ["diamond", "failing_revert", "suspended"]
ERRORS: dict[int, type[StorageError]] = {
    errno.ENOSPC: StorageFull,
    errno.EIO: StorageUnavailable,
    errno.EROFS: StorageUnavailable,
    errno.EMFILE: StorageUnavailable,
}
HALF_WRITTEN = {errno.ENOSPC, errno.EIO}
SAMPLE = 6
ENDS_WITHIN_S = 20
RUNS = {True: 1000, False: 200}

FOREIGN_TOO = Owner(host="far away", boot="another boot", namespace="another", pid=2, started=2, lock=2)

New = Callable[[], Path]


class Place:
    """A folder with a logbook and the log of what was really done."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runs"
        self.log = str(folder / "log")

    def backend(self, files: Files | None = None) -> DirectoryBackend:
        return DirectoryBackend(f"dir:{self.path}", files=files)

    def drive(self, flow: str, files: Files | None = None) -> dict[str, Any]:
        with self.backend(files) as backend:
            return driving.drive(flow, backend, engine="serial", log=self.log)

    def look(self) -> dict[str, Any]:
        with self.backend() as backend:
            return driving.look(backend, self.log)


def descriptors() -> list[str]:
    """Return what this process has open, but what lists it."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return sorted(found)


@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: errno.errorcode[error])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_run_whose_files_fail_is_resumed_when_they_do_not(
    flow: str, error: int, forever: bool, new_folder: New, figures: Counter[str], full: bool
) -> None:
    whole = Place(new_folder())
    counted = FailingFiles(LocalFiles())
    expected, expected_lines = whole.drive(flow, counted), lines_of(whole.log)
    every = range(1, counted.count + 1)
    chosen = every if full else random.Random(f"{SEED} {flow} {error} {forever}").sample(every, SAMPLE)
    for at in chosen:
        place = Place(new_folder())
        files = FailingFiles(LocalFiles(), at=at, error=error, forever=forever, half=error in HALF_WRITTEN)
        before, began_at = descriptors(), time.monotonic()
        answer = None
        try:
            answer = place.drive(flow, files)
        except (ERRORS[error], OwnershipLost) as found:
            told = found
        assert time.monotonic() - began_at < ENDS_WITHIN_S
        assert files.failed or answer is not None
        figures["file calls that failed"] += files.failed
        if answer is not None:
            assert answer["ended"] == expected["ended"], f"call {at} failed, and nobody said so"
            figures["runs that ended all the same"] += 1
        else:
            assert isinstance(told, StorageError)
            figures["runs that ended with a named error"] += 1
        assert descriptors() == before, f"call {at} failed, and a descriptor stays open"
        looks = [place.look()]
        again = place.drive(flow)
        judge(expected, again, looks, lines_of(place.log), expected_lines)


@pytest.mark.parametrize("verb", ["write", "sync"])
def test_a_commit_that_failed_does_not_count_or_counts_whole(verb: str, new_folder: New) -> None:
    place = Place(new_folder())
    files = FailingFiles(LocalFiles(), verbs={verb}, half=True)
    with place.backend(files) as backend:
        claim = backend.commit(backend.claim(KEY, FOREIGN, lease_s=30), [Put("flow", "r", flow_row("first"))])
        files.fail(at=files.count + 1)
        with pytest.raises(StorageFull):
            backend.commit(claim, [Put("flow", "r", flow_row("second")), Put("atom", "a", {"n": 1})])
        records = backend.load("r")
        both = records.kind("flow")["r"]["state"], "a" in records.kind("atom")
        assert both in [("first", False), ("second", True)]
        claim = backend.claim(KEY, FOREIGN, lease_s=30, take_over=True)
        backend.commit(claim, [Put("flow", "r", flow_row("third"))])
        assert backend.load("r").kind("flow")["r"]["state"] == "third"
        assert ("a" in backend.load("r").kind("atom")) is both[1]


def test_runs_leave_no_descriptor_open_and_no_thread(new_folder: New, figures: Counter[str], full: bool) -> None:
    place, before = Place(new_folder()), None
    for number in range(RUNS[full]):
        with place.backend() as backend:
            driving.drive("diamond", backend, engine="serial", log=place.log)
            backend.post(KEY, {"do": "suspend"})
            backend.destroy(driving.RUN)
        now = descriptors(), threading.active_count()
        before = before or now
        assert now == before, f"after {number} runs"
        figures["runs in one process"] += 1


def test_one_backend_that_has_many_runs_keeps_no_descriptor_of_those_that_ended(new_folder: New) -> None:
    place = Place(new_folder())
    with place.backend() as backend:
        counts = set()
        for number in range(60):
            key = f"flow:run {number}"
            claim = backend.commit(
                backend.claim(key, FOREIGN, lease_s=30), [Put("flow", f"run {number}", flow_row("ended"))]
            )
            backend.renew(claim, lease_s=0)
            counts.add(len(descriptors()))
        assert len(counts) == 1


def test_signals_that_come_all_the_time_disturb_nothing(new_folder: New) -> None:
    came: Counter[int] = Counter()
    old = signal.signal(signal.SIGALRM, lambda number, frame: came.update([number]))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        place = Place(new_folder())
        answer = place.drive("suspended")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert answer["ended"] == Place(new_folder()).drive("suspended")["ended"]
    assert came[signal.SIGALRM] > 0


def stop_and_write(path: Path, *, at: int) -> str:
    """Claim and commit; stop before sync number ``at``. Returns what came of the commit."""
    files = CrashingFiles(LocalFiles(), at=at, when="before", crash=stop_this_process, verbs={"sync"})
    with DirectoryBackend(f"dir:{path}", files=files) as backend:
        claim = backend.claim(KEY, FOREIGN, lease_s=30)
        try:
            backend.commit(claim, [Put("flow", "r", flow_row("the stopped one's"))])
        except OwnershipLost as error:
            return type(error).__name__
    return "written"


def test_an_owner_stopped_between_write_and_sync_is_refused_after_a_takeover(new_folder: New) -> None:
    place = Place(new_folder())
    counted = CountingFiles(LocalFiles())
    with Place(new_folder()).backend(counted) as backend:
        claim = backend.claim(KEY, FOREIGN, lease_s=30)
        syncs = counted.calls["sync"]
        backend.commit(claim, [Put("flow", "r", flow_row("counted"))])
        assert counted.calls["sync"] == syncs + 1
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, stop_and_write(place.path, at=syncs + 1).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, os.WUNTRACED)
    with place.backend() as backend:
        with pytest.raises(FlowOwned):
            backend.claim(KEY, FOREIGN_TOO, lease_s=30)
        heir = backend.claim(KEY, FOREIGN_TOO, lease_s=30, take_over=True)
        assert backend.load("r").kind("flow")["r"]["state"] == "the stopped one's"
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
        assert os.read(read, 100) == b"OwnershipLost"
        os.close(read)
        backend.commit(heir, [Put("flow", "r", flow_row("the heir's"))])
        assert backend.load("r").kind("flow")["r"]["state"] == "the heir's"
