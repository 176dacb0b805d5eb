"""The journal that a claim writes to: one line appended and synced for each commit."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from flowbook.exceptions import OwnershipLost, StorageBusy
from flowbook.persistence.backend import Claim, Fence
from flowbook.persistence.changes import Change, Delete, Row
from flowbook.persistence.directory.folder import Folder
from flowbook.persistence.directory.journal import Header, Journal, commit_document, lease_document
from flowbook.persistence.directory.kept import Kept
from flowbook.persistence.directory.lines import framed, is_room
from flowbook.persistence.directory.names import epoch_name
from flowbook.persistence.directory.root import Root
from flowbook.persistence.directory.waiting import forget_requests, requests_in

_Found = TypeVar("_Found")

_PAUSE_S: Final = 0.002
_BLOCK: Final = 4096
_MOST_ROOM: Final = 16 * _BLOCK
_SECOND_NS: Final = 1_000_000_000
_LONGEST_TICK_NS: Final = 100_000_000


class PenClosed(Exception):
    """The journal was closed by another thread: it can be opened again."""


class Pen:
    """An open journal, shared by the threads that write under its claim; other processes may write to it too."""

    def __init__(self, folder: Folder, epoch: int, timeout_s: float) -> None:
        self.folder = folder
        self.epoch = epoch
        self._name, self._next = epoch_name(epoch), epoch_name(epoch + 1)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._file = folder.files.open(folder.descriptor, self._name, write=True)
        self._closed = False
        self._unsure = False  # whether there may be more in the file than was acknowledged
        self._room_until = 0  # up to here there may be room behind the last line
        self._unchanged_ns: int | None = None  # nothing has come or gone in the folder while it says so
        self._journal: Journal | None = None
        self._kept: Kept | None = None

    def close(self) -> None:
        """Close the journal and its folder, when no other thread is writing any more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.abandon()

    def abandon(self) -> None:
        """Close the descriptors without a look at who uses them: what a forked child does with its parent's."""
        self.folder.files.close(self._file)
        self.folder.files.close(self.folder.descriptor)

    def commit(self, claim: Claim, fence: Fence, changes: Sequence[Change], texts: Sequence[str]) -> None:
        """Append changes, given with their texts, in one line; when this returns it is durable.

        Requests that the changes answer are removed then.

        Raises OwnershipLost.
        """
        journal = self._begin()
        try:
            number = None
            if fence is Fence.SEQ:
                if claim.seq != journal.seq:
                    raise self._lost(claim)
                number = claim.seq + 1
            self._append(journal, commit_document(number, f"[{','.join(texts)}]"), changes, texts)
            journal.seq = number or journal.seq
            if self._is_lost():
                raise self._lost(claim)
            answered = [change.key for change in changes if type(change) is Delete and change.kind == "request"]
            if answered:
                forget_requests(self.folder, answered)
        finally:
            self._end()

    def prolong(self, claim: Claim, lease_until: float, lease_s: float) -> Mapping[str, Row]:
        """Write down a new end of the lease, when it differs by a third of it or more; return what requests wait.

        Raises OwnershipLost.
        """
        journal = self._begin()
        try:
            if self._is_lost():
                raise self._lost(claim)
            if abs(lease_until - journal.lease_until) > lease_s / 3:
                self._append(journal, lease_document(lease_until))
                journal.lease_until = lease_until
            return requests_in(self.folder)
        finally:
            self._end()

    def give_up(self, claim: Claim, now: float) -> Mapping[str, Row]:
        """Sum up all records in a journal that nobody owns, and remove the older ones; return what requests wait.

        Raises OwnershipLost.
        """
        folder, epoch = self.folder, self.epoch + 1
        journal = self._begin()
        try:
            if self._is_lost():
                raise self._lost(claim)
            kept = self._kept
            contents = kept if kept is not None and kept.are_all(journal) else folder.read()[0]
            waiting = requests_in(folder, contents.answered)
            if forget_requests(folder, contents.answered):
                folder.files.sync(folder.descriptor)
            contents.answered.clear()  # none of them is there any more
            if not folder.snapshot(Header(claim.key, epoch, None, now, now), contents):
                raise self._lost(claim)
            folder.clear(epoch)
        finally:
            self._end()
        return waiting

    def _is_lost(self) -> bool:
        """Return whether there is a newer epoch, or the run is gone: nothing written here counts any more.

        Names are looked for when some have come or gone. What comes next is seen by the time only when that has moved
        on since: file systems count in ticks, of 10 ms at most, or in seconds.
        """
        files, folder = self.folder.files, self.folder.descriptor
        now_ns, changed_ns = time.time_ns(), files.changed_ns(folder)
        if changed_ns == self._unchanged_ns:
            return False
        is_lost = files.is_at(folder, self._next) or not files.is_at(folder, self._name, self._file)
        tick_ns = _LONGEST_TICK_NS if changed_ns % _SECOND_NS else 3 * _SECOND_NS
        self._unchanged_ns = None if is_lost or now_ns - changed_ns < tick_ns else changed_ns
        return is_lost

    def _lost(self, claim: Claim) -> OwnershipLost:
        return OwnershipLost(claim.key, claim.epoch)

    def _begin(self) -> Journal:
        """Keep others from writing until `_end`; what they wrote before is known then.

        Raises StorageBusy, and PenClosed when another thread has closed it.
        """
        if not self._lock.acquire(timeout=self._timeout_s):
            raise self._busy()
        try:
            if self._closed:
                raise PenClosed
            self._lock_file()
            try:
                return self._caught_up()
            except BaseException:
                self.folder.files.unlock(self._file)
                raise
        except BaseException:
            self._lock.release()
            raise

    def _end(self) -> None:
        try:
            self.folder.files.unlock(self._file)
        finally:
            self._lock.release()

    def _lock_file(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not self.folder.files.lock(self._file):
            if time.monotonic() > deadline:
                raise self._busy()
            time.sleep(_PAUSE_S)

    def _busy(self) -> StorageBusy:
        return StorageBusy(self.folder.where, f"others have been writing to {self._name} for {self._timeout_s:g} s")

    def _caught_up(self) -> Journal:
        """Read what is new in the journal, and cut what was never finished."""
        files, reader, journal = self.folder.files, self.folder.reader, self._journal
        if journal is None:
            data = files.read(self._file, 0, files.size(self._file))
            journal, _ = reader.journal(data, self._name, self.epoch)
            self._kept = Kept(journal)
            self._room_until = len(data)
            behind = data[journal.end :]
        else:
            behind = files.read(self._file, journal.end - 1, 2)
            if behind[:1] != b"\n":
                raise reader.damaged(self._name, f"{journal.end} bytes were written, and they are not there")
            if is_room(behind) and not self._unsure:
                return journal
            start, size = journal.end, files.size(self._file)
            data = files.read(self._file, start, size - start)
            reader.go_on(journal, reader.lines(data, self._name, at=start, crc=journal.crc), self._name)
            behind = data[journal.end - start :]
        if self._unsure or not is_room(behind):
            self._unsure = True
            files.cut(self._file, journal.end)  # and sync it: else an old tail could come back
            self.folder.write_again(self._file, files.read(self._file, 0, journal.end))
            self._room_until = journal.end
        self._unsure = False
        self._journal = journal
        return journal

    def _append(
        self, journal: Journal, document: str, changes: Sequence[Change] = (), texts: Sequence[str] = ()
    ) -> None:
        """Write a line, and now and then room behind it: to write over it makes a file no longer, and syncs are quick.

        A file that grows must have its size written down as well, in another place of the disk.
        """
        files = self.folder.files
        line, crc = framed(document, journal.crc)
        end = journal.end + len(line)
        room = 0 if end <= self._room_until else _room_behind(end)
        try:
            files.write(self._file, line + b"\n" * room if room else line, journal.end)
            files.sync(self._file)
        except BaseException:
            self._unsure = True  # a whole line may count already for a newer owner: it cannot be taken back
            raise
        self._room_until = max(self._room_until, end + room)
        start, journal.end = journal.end, end
        journal.crc = crc
        if self._kept is not None:
            self._kept.add(start, end, changes, texts)


def _room_behind(end: int) -> int:
    """Return how much room to make: as much again as there are lines, within bounds, to the end of a block."""
    return -(-(end + min(end, _MOST_ROOM)) // _BLOCK) * _BLOCK - end


class Pens:
    """The open journals of a backend, one for each key that this process has claimed."""

    def __init__(self, root: Root, timeout_s: float) -> None:
        self._root, self._timeout_s = root, timeout_s
        self._open: dict[str, Pen] = {}
        self._lock = threading.Lock()
        _all.add(self)

    def keep(self, key: str, pen: Pen) -> None:
        """Remember the journal of a new claim, and close an older one."""
        with self._lock:
            older = self._open.get(key)
            self._open[key] = pen
        if older is not None:
            older.close()

    def use(self, claim: Claim, work: Callable[[Pen], _Found]) -> _Found:
        """Return what ``work`` returns for the claim's journal, which is opened again if it was closed.

        Raises OwnershipLost when there is a newer journal, or none.
        """
        while True:
            try:
                return work(self._of(claim))
            except PenClosed:
                continue

    def _of(self, claim: Claim) -> Pen:
        with self._lock:
            pen = self._open.get(claim.key)
            if pen is None or pen.epoch < claim.epoch:
                newer = self._opened(claim)
                if pen is not None:
                    pen.close()
                pen = self._open[claim.key] = newer
        if pen.epoch != claim.epoch:
            raise OwnershipLost(claim.key, claim.epoch)
        return pen

    def _opened(self, claim: Claim) -> Pen:
        try:
            with self._root.reading() as root:
                if root is None:
                    raise OwnershipLost(claim.key, claim.epoch)
                folder = self._root.folder(root, claim.key)
                try:
                    return Pen(folder, claim.epoch, self._timeout_s)
                except BaseException:
                    folder.files.close(folder.descriptor)
                    raise
        except FileNotFoundError:
            raise OwnershipLost(claim.key, claim.epoch) from None

    def drop(self, claim: Claim) -> None:
        """Close the journal of a claim that was given up."""
        with self._lock:
            pen = self._open.get(claim.key)
            if pen is None or pen.epoch != claim.epoch:
                return
            del self._open[claim.key]
        pen.close()

    def close(self) -> None:
        """Close all journals; they are opened again when they are used."""
        with self._lock:
            pens, self._open = self._open, {}
        for pen in pens.values():
            pen.close()

    def abandon(self) -> None:
        """Close what a forked child inherited: as long as it is open there, a dead parent's lock is held."""
        pens, self._open, self._lock = self._open, {}, threading.Lock()
        for pen in pens.values():
            pen.abandon()


_all: weakref.WeakSet[Pens] = weakref.WeakSet()


def _abandon_all() -> None:
    for pens in _all:
        pens.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
