"""What was done to a logbook, call by call, and whether what a power cut leaves of it is right.

A `Witness` notes before and after each verb what the logbook holds. After a power cut it must hold what it held when
the last verb returned, or what it held after the one that was under way.
"""

from __future__ import annotations

import json
import os
import random
import stat
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from crash.disk import Disk, Tree, drawn_tree, plain_trees, write_tree
from flowbook.exceptions import NotFound, StorageError
from flowbook.persistence.backend import Claim, Fence, Query, Request
from flowbook.persistence.changes import Change, Put, Row
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.persistence.directory.root import Root
from flowbook.persistence.directory.waiting import requests_in
from flowbook.persistence.owners import Owner, current_owner
from flowbook.testing.faults import Counting
from flowbook.testing.files import Call, RecordingFiles

_Answer = TypeVar("_Answer")

Held: TypeAlias = "Mapping[str, tuple[str, int]]"
"""Of each run what a logbook holds of it, as text, and its newest epoch; a run that was destroyed has no text."""

_SOURCE = os.path.dirname(sys.modules[DirectoryBackend.__module__].__file__ or "")
_KEPT_NAMES = 2


class TracedFiles(RecordingFiles):
    """Records calls, and of each sync where in the backend it was asked for."""

    def __init__(self, inner: Files, path: str) -> None:
        super().__init__(inner)
        self._above = os.path.dirname(path)

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        """Pass on, and record it."""
        with self._lock:
            answer = super().around(call, go)
            if call.verb == "sync":
                self.calls[-1] = replace(self.calls[-1], answer=self._site(self.calls[-1]))
            return answer

    def _site(self, call: Call) -> str:
        """Return of what a sync was, and which functions of the backend asked for it, the innermost first."""
        names, frame = [], sys._getframe()
        while frame.f_back is not None:
            frame = frame.f_back
            if frame.f_code.co_filename.startswith(_SOURCE):
                names.append(frame.f_code.co_name)
        (descriptor,) = call.arguments
        assert isinstance(descriptor, int)
        what = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        what = "above" if call.path == self._above else what
        kept = [name for name in names if name not in ("sync", "<lambda>", "use", "writing")]
        return f"{what}: {' < '.join(kept[:_KEPT_NAMES])}"


class Witness(Counting):
    """Passes verbs on, and notes in the recorded calls what the logbook holds after each."""

    def __init__(
        self, inner: DirectoryBackend, files: RecordingFiles, epochs: dict[str, int], doubtful: set[str]
    ) -> None:
        super().__init__(inner)
        self._files = files
        self._look = DirectoryBackend(inner.url)
        self._one_at_a_time = threading.RLock()
        self.epochs, self.doubtful = epochs, doubtful

    def _seen(self, verb: Callable[[], _Answer], name: str = "") -> _Answer:
        with self._one_at_a_time:
            self._files.mark("begin", name)
            try:
                answer = verb()
            except BaseException:
                self._files.mark("failed", self._held())
                raise
            if isinstance(answer, Claim):
                self._note(answer)
            self._files.mark("done", self._held())
            return answer

    def _note(self, claim: Claim) -> None:
        run = claim.key.partition(":")[2]
        self.epochs[run] = max(claim.epoch, self.epochs.get(run, 0))

    def _held(self) -> Held:
        return {run: (text_of(self._look, run, self.doubtful), epoch) for run, epoch in self.epochs.items()}

    def open(self) -> None:
        """Pass on."""
        self._seen(self.inner.open)

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        """Pass on."""
        return self._seen(lambda: self.inner.claim(key, owner, lease_s=lease_s, take_over=take_over))

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        """Pass on."""
        return self._seen(lambda: self.inner.commit(claim, changes, fence=fence))

    def renew(self, claim: Claim, *, lease_s: float) -> Sequence[Request]:
        """Pass on."""
        return self._seen(lambda: self.inner.renew(claim, lease_s=lease_s))

    def post(self, key: str, request: Row) -> None:
        """Pass on; a request that was not acknowledged may be there, and may be lost whenever it likes."""
        run = key.partition(":")[2]
        self.epochs.setdefault(run, 0)
        before = self._requests(run)
        try:
            self._seen(lambda: self.inner.post(key, request))
        except StorageError:
            self.doubtful |= self._requests(run) - before
            raise

    def _requests(self, run: str) -> set[str]:
        with suppress(NotFound):
            return set(self._look.load(run, ["request"]).kind("request"))
        return set()

    def destroy(self, flow: str) -> None:
        """Pass on."""
        self._seen(lambda: self.inner.destroy(flow), "destroy")


def text_of(backend: DirectoryBackend, run: str, doubtful: Collection[str] = ()) -> str:
    """Return all that a logbook holds of a run but those requests, or nothing."""
    try:
        records = backend.load(run)
        rows = {kind: dict(of_kind) for kind, of_kind in records.rows.items()}
        appended = records.appended
    except NotFound:
        rows, appended = {"request": _posted(backend, run)}, {}
    for request in doubtful:
        rows.get("request", {}).pop(request, None)
    rows = {kind: of_kind for kind, of_kind in rows.items() if of_kind}
    return json.dumps([rows, appended], sort_keys=True) if rows else ""


def _posted(backend: DirectoryBackend, run: str) -> dict[str, Any]:
    """Return the requests that wait for a run that has no records."""
    root = Root(backend.path, backend.url, LocalFiles())
    with suppress(FileNotFoundError), root.reading() as directory:
        if directory is not None:
            with root.key(directory, f"flow:{run}") as folder:
                return dict(requests_in(folder, folder.read()[0].answered))
    return {}


@dataclass(frozen=True)
class Moment:
    """A place between two calls: what a logbook may hold there, and what of that was acknowledged."""

    at: int
    right: Sequence[Held]
    doubtful: Collection[str]

    def texts(self, run: str) -> set[str]:
        """Return what may be held of a run."""
        return {held.get(run, ("", 0))[0] for held in self.right}

    def epoch(self, run: str) -> int:
        """Return the newest epoch that was acknowledged."""
        return self.right[0].get(run, ("", 0))[1]


class Recorded:
    """The calls of a scenario, and what was right at each of them."""

    def __init__(self, path: str, calls: Sequence[Call], doubtful: Collection[str] = ()) -> None:
        self.path, self.calls, self.doubtful = path, calls, doubtful

    def moments(self, *, without: Callable[[Call], bool] = lambda call: False) -> Iterator[tuple[Moment, Disk]]:
        """Yield each moment with the disk of it; ``without`` picks calls that are left out of what the disk is told.

        The disk is the same object each time.
        """
        disk = Disk(self.path)
        held: Held = {}
        maybe: list[Held] = []  # after each verb that has failed since
        under_way: list[object] = []
        for at, call in enumerate(self.calls):
            match call.verb, call.arguments:
                case "mark", ("begin", verb):
                    under_way.append(verb)
                case "mark", ("done", dict(held)):
                    del under_way[-1]
                    maybe = []
                case "mark", ("failed", dict(after)):
                    del under_way[-1]
                    maybe.append(after)
                case _ if not without(call):
                    disk.take(call)
            right = [held, *maybe, *self._held_after(at + 1, len(under_way))]
            if "destroy" in under_way:  # it may still come off, and then takes all with it
                right = [{}, *right]
            yield Moment(at, right, self.doubtful), disk

    def _held_after(self, at: int, depth: int) -> Iterator[Held]:
        """Yield what is held after each of so many verbs that are under way at a call, and after those within them."""
        while depth:
            match self.calls[at].verb, self.calls[at].arguments:
                case "mark", (_, dict(held)):
                    depth -= 1
                    yield held
                case "mark", _:
                    depth += 1
            at += 1

    def sites(self) -> list[str]:
        """Return from where the backend synced."""
        return sorted({str(call.answer) for call in self.calls if call.verb in ("sync", "sync_above")})

    def sampled(self, chance: random.Random, count: int, *, drawn: int = 3) -> list[tuple[Moment, Tree]]:
        """Return states that a power cut may leave: all of `plain_trees` and some others, or ``count`` of them."""
        seen: set[str] = set()
        found: list[tuple[Moment, Tree]] = []
        for moment, disk in self.moments():
            for tree in (*plain_trees(disk), *(drawn_tree(disk, chance) for _ in range(drawn))):
                what = repr((tree, moment.right))
                if what not in seen:
                    seen.add(what)
                    found.append((moment, tree))
        return chance.sample(found, min(count, len(found)))


def verdict(tree: Tree, name: str, moment: Moment, folder: Path) -> str:
    """Return what is wrong with what a power cut left, or nothing. It is written to ``folder``."""
    write_tree(tree, folder)
    runs = {run for held in moment.right for run in held}
    try:
        with DirectoryBackend(f"dir:{folder}/{name}") as backend:
            return _verdict(backend, runs, moment)
    except StorageError as error:
        return f"{type(error).__name__}: {error}"


def _verdict(backend: DirectoryBackend, runs: set[str], moment: Moment) -> str:
    found = {run: text_of(backend, run, moment.doubtful) for run in sorted(runs)}
    for run, text in found.items():
        if text not in moment.texts(run):
            return f"{run} holds {text or 'nothing'}, and not one of {sorted(moment.texts(run))}"
    summaries = {summary.flow: summary.state for summary in backend.find(Query())}
    if summaries != {run: _state(text) for run, text in found.items() if '"flow":' in text}:
        return f"find says {summaries}"
    for run, text in found.items():
        claim = backend.claim(f"flow:{run}", current_owner(), lease_s=30, take_over=True)
        if claim.epoch <= moment.epoch(run):
            return f"epoch {claim.epoch} of {run} was given to somebody else before"
        claim = backend.commit(claim, [Put("flow", run, _ROW), Put("note", run, {"written": "after"})])
        with suppress(StorageError):
            backend.renew(claim, lease_s=0)
        if not _goes_on(backend, run, text):
            return f"{run} holds {text_of(backend, run)} after a commit on top of {text}"
    return ""


_ROW: Row = {"book": "b", "name": "n", "state": "AFTER", "created_at": 1.0, "updated_at": 1.0, "atoms": 0}


def _state(text: str) -> str:
    ((row,),) = [json.loads(text)[0]["flow"].values()]
    return str(row["state"])


def _goes_on(backend: DirectoryBackend, run: str, text: str) -> bool:
    rows, appended = json.loads(text or "[{}, {}]")
    rows = {**rows, "flow": {run: _ROW}, "note": {run: {"written": "after"}}}
    expected: Any = json.loads(json.dumps([rows, appended]))
    records = json.loads(text_of(backend, run))
    for kinds in (expected[0], records[0]):
        kinds.pop("request", None)  # answered ones are gone when nobody owns the run any more
    return bool(records == expected)
