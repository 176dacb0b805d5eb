"""A small logbook in a directory, whose files are damaged one at a time; and what it held at each of its commits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowbook.exceptions import FlowbookError, NotFound
from flowbook.persistence.backend import FlowRecords, Query
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import LocalFiles
from flowbook.persistence.directory.lines import framed, lines_in
from flowbook.testing.backend_samples import FLOW_ROW, begin, decoded, stranger
from flowbook.testing.files import CrashingFiles

RUNS = ("claimed", "done", "live")


class Died(BaseException):
    """Stands for the end of a process in the middle of something."""


class Logbook:
    """Three runs: one at work after a takeover, one finished, one whose next owner died while it claimed it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history: dict[str, list[str]] = {run: [] for run in RUNS}
        with DirectoryBackend(f"dir:{path}") as backend:
            self._finish(backend)
            self._take_over(backend)
            self._die_while_claiming(backend)
        self.files = {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file() and file.name != "living"
        }
        self.found = self.find()

    def _finish(self, backend: DirectoryBackend) -> None:
        claim = begin(backend, "done")
        claim = backend.commit(claim, [Put("atom", "a", {"state": "SUCCESS"}), Append("attempt", "a", {"n": 1})])
        claim = backend.commit(claim, [Put("flow", "done", {**FLOW_ROW, "state": "SUCCESS"}), Put("atom", "b", {})])
        backend.renew(claim, lease_s=0)
        self._note("done")

    def _take_over(self, backend: DirectoryBackend) -> None:
        claim = begin(backend, "live")
        backend.post("flow:live", {"do": "suspend"})
        backend.post("flow:live", {"do": "resume"})
        claim = backend.commit(claim, [Put("atom", "a", {"state": "RUNNING"})])
        self._note("live")
        claim = backend.claim("flow:live", stranger(), lease_s=1e9, take_over=True)
        (first, _) = backend.load("live").kind("request")
        for change in (Put("atom", "a", {"state": "SUCCESS"}), Put("flow", "live", FLOW_ROW), Delete("atom", "a")):
            claim = backend.commit(claim, [change])
            self._note("live")
        backend.renew(claim, lease_s=3e9)
        claim = backend.commit(claim, [Delete("request", first), Append("attempt", "a", {"n": 1})])
        self._note("live")

    def _die_while_claiming(self, backend: DirectoryBackend) -> None:
        def die() -> None:
            raise Died

        claim = backend.claim("flow:claimed", stranger(), lease_s=0)
        self._note("claimed")
        backend.commit(claim, [Put("flow", "claimed", FLOW_ROW), Put("atom", "a", {"text": "é\n"})])
        self._note("claimed")
        files = CrashingFiles(LocalFiles(), at=1, when="after", crash=die, verbs=["link"])
        dying = DirectoryBackend(f"dir:{self.path}", files=files)
        with suppress(Died):
            dying.claim("flow:claimed", stranger(2), lease_s=0)
        dying.close()
        self._note("claimed")

    def _note(self, run: str) -> None:
        self.history[run].append(self.read(run))

    def read(self, run: str) -> str:
        """Return what the logbook holds of a run, as text, or the name of the error."""
        backend = DirectoryBackend(f"dir:{self.path}")
        loaded = self._told(lambda: backend.load(run))
        looked = self._told(lambda: decoded(backend.look(run)))
        return loaded if looked == loaded else f"looked at it is {looked}, loaded {loaded}"

    def _told(self, read: Callable[[], FlowRecords]) -> str:
        try:
            records = read()
        except NotFound:
            return "NotFound"
        except FlowbookError as error:
            return type(error).__name__ if str(self.path) in error.where else f"{error!r} does not say where"
        return json.dumps([records.rows, records.appended], sort_keys=True)

    def find(self) -> dict[str, str]:
        """Return the state of each run that is listed."""
        return {found.flow: found.state for found in DirectoryBackend(f"dir:{self.path}").find(Query())}

    def claim_all(self) -> None:
        """Try to take all runs over: that works, or a named error says why not."""
        for run in RUNS:
            with suppress(FlowbookError), DirectoryBackend(f"dir:{self.path}") as backend:
                backend.claim(f"flow:{run}", stranger(3), lease_s=0)

    def write(self, name: str, data: bytes) -> None:
        (self.path / name).write_bytes(data)

    def restore(self) -> None:
        """Make all files what they were, and remove what is new."""
        for file in self.path.rglob("*"):
            if file.is_file() and str(file.relative_to(self.path)) not in self.files and file.name != "living":
                file.unlink()
        for name, data in self.files.items():
            self.write(name, data)


def run_of(name: str) -> str | None:
    """Return whose file it is; None for one of the whole logbook."""
    return name.split("/")[1] if name.startswith("flow/") else None


def documents_of(data: bytes) -> list[dict[str, Any]]:
    """Return what the lines of a file say."""
    return [line.document() for line in lines_in(data)]


def rewritten(documents: Iterable[str]) -> bytes:
    """Return lines that say this, with the checksums that belong to it."""
    lines, crc = [], 0
    for document in documents:
        line, crc = framed(document, crc)
        lines.append(line)
    return b"".join(lines)
