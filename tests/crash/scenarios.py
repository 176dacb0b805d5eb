"""What processes do to a logbook in a directory, every call recorded; one process stands for all of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from crash import driving
from crash.power import Recorded, TracedFiles, Witness
from flowbook.exceptions import OwnershipLost, StorageError
from flowbook.persistence.backend import Claim
from flowbook.persistence.changes import Append, Change, Delete, Put, Row
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.persistence.owners import Owner
from flowbook.testing.files import CHANGING, CrashingFiles, FailingFiles

FOREIGN = Owner(host="elsewhere", boot="another boot", namespace="another", pid=1, started=1, lock=1)
KEY = "flow:r"
SECTOR = 512


class Process(Protocol):
    """Makes the backend of a process, which uses the recorded files, or others above them."""

    def __call__(self, over: Files | None = None) -> Witness:
        """Return the backend."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a scenario has."""

    process: Process
    files: TracedFiles
    folder: Path


Scenario: TypeAlias = Callable[[Setting], None]


def flow_row(state: str) -> Row:
    return {"book": "b", "name": "n", "state": state, "created_at": 1.0, "updated_at": 2.0, "atoms": 2}


def write(backend: Witness, claim: Claim, text: str, *, size: int = 20) -> Claim:
    """Commit the state of the flow and of an atom, of which the text is about that long."""
    atom = {"state": "SUCCESS", "result": text.ljust(size, ".")}
    changes: list[Change] = [
        Put("flow", "r", flow_row(text)),
        Put("atom", "a", atom),
        Append("attempt", "a", {"n": text}),
    ]
    return backend.commit(claim, changes)


def a_run_of_an_engine(setting: Setting) -> None:
    with setting.process() as backend:
        driving.drive("diamond", backend, engine="serial", log=str(setting.folder / "log"))


def a_run_suspended_and_resumed(setting: Setting) -> None:
    with setting.process() as backend:
        driving.drive("suspended", backend, engine="serial", log=str(setting.folder / "log"))


def posted_requests(setting: Setting) -> None:
    with setting.process() as backend, setting.process() as other:
        other.post(KEY, {"do": "early"})
        claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "made")
        other.post(KEY, {"do": "suspend", "why": "." * 700})
        (first, second) = backend.renew(claim, lease_s=30)
        claim = backend.commit(claim, [Delete("request", first.id), Put("flow", "r", flow_row("asked"))])
        other.post(KEY, {"do": "more"})
        backend.renew(claim, lease_s=300)
        claim = backend.commit(claim, [Delete("request", second.id), Put("flow", "r", flow_row("asked again"))])
        backend.renew(claim, lease_s=0)
        other.post(KEY, {"do": "late"})
        claim = backend.claim(KEY, FOREIGN, lease_s=30)
        _, request = backend.renew(claim, lease_s=30)
        claim = backend.commit(claim, [Put("flow", "r", flow_row("late")), Delete("request", request.id)])
        backend.renew(claim, lease_s=0)


def owners_overtaken(setting: Setting) -> None:
    with setting.process() as first, setting.process() as second, setting.process() as third:
        old = first.claim(KEY, FOREIGN, lease_s=30)
        newer = second.claim(KEY, FOREIGN, lease_s=30, take_over=True)  # nothing was written yet
        with suppress(OwnershipLost):
            write(first, old, "too late")
        old = newer = write(second, newer, "one", size=600)
        newer = write(first, first.claim(KEY, FOREIGN, lease_s=30, take_over=True), "two")
        with suppress(OwnershipLost):
            write(second, old, "too late")
        newest = third.claim(KEY, FOREIGN, lease_s=30, take_over=True)
        for text in ("three", "four"):
            newest = write(third, newest, text, size=900)
        with suppress(OwnershipLost):
            write(first, newer, "too late", size=2000)
        third.renew(newest, lease_s=0)
        write(first, first.claim(KEY, FOREIGN, lease_s=30), "five")
        last = second.claim(KEY, FOREIGN, lease_s=30, take_over=True)
        second.renew(last, lease_s=0)


def destroyed_and_made_again(setting: Setting) -> None:
    with setting.process() as backend, setting.process() as other:
        for text in ("one", "two", "three"):
            claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), text)
            backend.renew(claim, lease_s=0)
            if text == "two":
                other.post(KEY, {"do": "suspend"})
            other.destroy("r")
        claim = other.claim("flow:s", FOREIGN, lease_s=30)
        write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "four")
        other.renew(other.commit(claim, [Put("flow", "s", flow_row("other"))]), lease_s=0)


def lines_that_end_at_each_byte_of_a_sector(setting: Setting) -> None:
    with setting.process() as backend:
        claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "first")
        for ends_at in (510, 511, 0, 1, 2, 1, 511, 511):
            (journal,) = (setting.folder / "runs/flow/r").glob("epoch-*.jsonl")
            begins_at = journal.stat().st_size
            frame = len('{"crc":"00000000","size":100,"seq":10,"changes":[["put","atom","a",{"x":""}]]}\n')
            missing = (ends_at - begins_at - frame) % SECTOR + SECTOR
            claim = backend.commit(claim, [Put("atom", "a", {"x": "." * missing})])


def a_line_left_half_written(setting: Setting) -> None:
    """A process is killed while it writes under a claim that another one has too."""
    with setting.process() as backend, setting.process() as other:
        claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "first")
        for text in ("second", "third"):
            killed = setting.process(FailingFiles(setting.files, at=1, half=True, forever=True, verbs=CHANGING))
            with suppress(StorageError):
                write(killed, claim, "never", size=1800)
            claim = write(other, claim, text, size=30)
            killed.close()


def a_line_that_could_not_be_synced(setting: Setting) -> None:
    failing = FailingFiles(setting.files, verbs={"sync"})
    with setting.process(failing) as backend:
        claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "first")
        for text in ("second", "third"):
            failing.fail(at=failing.count + 1)
            with suppress(StorageError):
                write(backend, claim, "never", size=1800)
            with suppress(OwnershipLost):  # it may be there
                write(backend, claim, "again", size=30)
            claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30, take_over=True), text)


def killed_at(call: int, *, half: bool = False) -> Scenario:
    """Return a scenario: a process does all that one does, and is killed at a call; another one goes on.

    With ``half``, half of what the call was to write is there; a logbook without a run is then given a request first.
    """

    def play(setting: Setting) -> None:
        dying = FailingFiles(setting.files, at=call, half=half, forever=True, verbs=CHANGING)
        with setting.process() as other:
            killed = setting.process(dying)
            with suppress(StorageError):
                live_and_die(killed)
            if dying.failed:
                if half and not other.epochs:
                    other.post(KEY, {"do": "suspend"})
                claim = write(other, other.claim(KEY, FOREIGN, lease_s=30, take_over=True), "after")
                other.renew(claim, lease_s=0)
                other.destroy("r")
                other.post(KEY, {"do": "again"})
                write(other, other.claim(KEY, FOREIGN, lease_s=30), "at last")
            with suppress(StorageError):
                killed.close()

    return play


def overtaken_at(call: int, *, when: Literal["before", "torn", "after"]) -> Scenario:
    """Return a scenario: a process does all that one does, and at a call another one takes the run over."""

    def play(setting: Setting) -> None:
        with setting.process() as other:

            def overtake() -> None:
                with suppress(OwnershipLost):
                    write(other, other.claim(KEY, FOREIGN, lease_s=30, take_over=True), "overtaken")

            slow = setting.process(CrashingFiles(setting.files, at=call, when=when, crash=overtake))
            with suppress(StorageError):
                live_and_destroy(slow)
            slow.close()

    return play


def live_and_die(backend: Witness) -> None:
    backend.open()
    claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "before", size=600)
    backend.post(KEY, {"do": "suspend"})
    (request,) = backend.renew(claim, lease_s=30)
    claim = backend.commit(claim, [Delete("request", request.id), Put("flow", "r", flow_row("heard"))])
    backend.renew(claim, lease_s=0)
    write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "resumed")
    claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30, take_over=True), "taken")
    backend.renew(claim, lease_s=0)
    backend.destroy("r")
    write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "made again")


def live_and_destroy(backend: Witness) -> None:
    claim = write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "before", size=600)
    backend.renew(claim, lease_s=300)
    backend.renew(write(backend, claim, "again"), lease_s=0)
    backend.destroy("r")
    write(backend, backend.claim(KEY, FOREIGN, lease_s=30), "made again")


def undisturbed(setting: Setting) -> None:
    """A process does what another one disturbs by its takeover."""
    with setting.process() as backend:
        live_and_destroy(backend)


def unharmed(setting: Setting) -> None:
    """A process does what others are killed in."""
    with setting.process() as backend:
        live_and_die(backend)


ALONE: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        a_run_of_an_engine,
        a_run_suspended_and_resumed,
        posted_requests,
        owners_overtaken,
        destroyed_and_made_again,
        lines_that_end_at_each_byte_of_a_sector,
        a_line_left_half_written,
        a_line_that_could_not_be_synced,
    )
}
"""The scenarios in which nobody is killed, but within a write."""


def recorded(scenario: Scenario, folder: Path) -> Recorded:
    """Play a scenario in a folder; return what was recorded of it."""
    path = str(folder / "runs")
    files = TracedFiles(LocalFiles(), path)
    epochs: dict[str, int] = {}
    doubtful: set[str] = set()

    def process(over: Files | None = None) -> Witness:
        return Witness(DirectoryBackend(f"dir:{path}", files=over or files), files, epochs, doubtful)

    scenario(Setting(process, files, folder))
    return Recorded(path, files.calls, doubtful)
