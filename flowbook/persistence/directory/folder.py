"""One key's folder: its journals, one for each epoch, and the requests that wait for its owner.

A new epoch begins with a new file, put in place by link(2): of all who try one number, one wins. From then on nothing
that an older epoch writes is acknowledged (its writer looks for a newer journal after each sync), so what the older
journal holds now can be measured, and is what the new one goes on from.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from flowbook.exceptions import Damaged
from flowbook.persistence.contents import Contents
from flowbook.persistence.directory.files import Files
from flowbook.persistence.directory.journal import Base, Header, Journal, Reader, commit_document
from flowbook.persistence.directory.lines import Line, framed
from flowbook.persistence.directory.names import epoch_name, epoch_of

_Found = TypeVar("_Found")

NEW: Final = ".new"
"""What a file is called behind its name until it is complete."""

_READ_AGAIN: Final = 100
_BEGINNING: Final = 8192


def believed(look: Callable[[], _Found]) -> _Found:
    """Return what ``look`` returns; damage that it finds is believed when it is found twice.

    Who reads while another process writes a line over room may see its end, and not its beginning.
    """
    found = None
    while True:
        try:
            return look()
        except Damaged as error:
            if error.why == found:
                raise
            found = error.why


class Folder:
    """An open folder; ``where`` names it in errors. ``key`` is None when only its journals say whose it is."""

    def __init__(self, files: Files, descriptor: int, where: str, key: str | None) -> None:
        self.files, self.descriptor, self.where = files, descriptor, where
        self.reader = Reader(where, key)

    def epochs(self) -> list[int]:
        """Return the epochs that have a journal, the newest first."""
        epochs = map(epoch_of, self.files.names(self.descriptor))
        return sorted((epoch for epoch in epochs if epoch is not None), reverse=True)

    # -- reading --

    def read(self) -> tuple[Contents, Journal | None]:
        """Return all records, and the newest journal that counts, if there is one.

        A journal that vanishes while it is read has been summed up in a newer one.
        """
        epochs = self.epochs()
        for _ in range(_READ_AGAIN):
            try:
                return self._read(epochs)
            except FileNotFoundError as error:
                before, epochs = epochs, self.epochs()
                if epochs == before:
                    raise self.reader.damaged(
                        str(error.filename), "a journal that others go on from is gone"
                    ) from error
        raise self.reader.damaged("", "its journals change all the time")

    def _read(self, epochs: Iterable[int]) -> tuple[Contents, Journal | None]:
        contents, newest = Contents(), None
        chain: list[tuple[Journal, list[Line]]] = []
        for epoch in epochs:
            journal, lines = self.journal(epoch)
            if journal.base is None:
                continue  # a claim that was never finished
            newest = journal
            chain.append((journal, lines))
            while journal.base is not None and journal.base.epoch is not None:
                journal, lines = self.journal(journal.base.epoch, journal.base.size)
                chain.append((journal, lines))
            break
        for journal, lines in reversed(chain):
            contents.answered.update(() if journal.base is None else journal.base.answered)
            contents.take(self.reader.changes(lines, epoch_name(journal.header.epoch)))
        return contents, newest

    def journal(self, epoch: int, size: int | None = None) -> tuple[Journal, list[Line]]:
        """Return a journal with its lines from the third on, or the part that a newer one goes on from."""
        return believed(partial(self._journal, epoch, size))

    def _journal(self, epoch: int, size: int | None) -> tuple[Journal, list[Line]]:
        data = self.data(epoch_name(epoch), size)
        journal, lines = self.reader.journal(data, epoch_name(epoch), epoch)
        if size is not None and journal.end != size:
            raise self.reader.damaged(epoch_name(epoch), f"{size} bytes of it count, and {journal.end} are there")
        return journal, lines

    def data(self, name: str, size: int | None = None) -> bytes:
        """Return what is in a file, or its first bytes."""
        with self.opened(name) as file:
            there = self.files.size(file)
            return self.files.read(file, 0, there if size is None else min(size, there))

    @contextmanager
    def opened(self, name: str, *, write: bool = False) -> Iterator[int]:
        """Open a file for the time of the block."""
        file = self.files.open(self.descriptor, name, write=write)
        try:
            yield file
        finally:
            self.files.close(file)

    def header(self, epoch: int) -> Header:
        """Return what the first line of a journal says."""
        name = epoch_name(epoch)
        with self.opened(name) as file:
            lines, _ = self.first_lines(file, name, 1, self.files.size(file))
        return self.reader.begun(lines, name, epoch, whole=False).header

    def first_lines(self, file: int, name: str, count: int, size: int) -> tuple[list[Line], bytes]:
        """Return the first lines of a file's first ``size`` bytes, and what was read to find them."""
        data = self.files.read(file, 0, min(size, _BEGINNING))
        lines = list(islice(self.reader.lines(data, name), count))
        if len(lines) < count and len(data) < size:
            data = self.files.read(file, 0, size)
            lines = list(islice(self.reader.lines(data, name), count))
        return lines, data

    # -- writing --

    def publish(self, name: str, documents: Iterable[str]) -> bool:
        """Write a file of these lines and give it its name when all of it is on stable storage.

        Returns whether the name was still free. The folder is not synced.
        """
        new = f"{name}.{secrets.token_hex(4)}{NEW}"
        try:
            file = self.files.create(self.descriptor, new)
        except FileNotFoundError:  # the folder was destroyed
            return False
        try:
            lines, crc = [], 0
            for document in documents:
                line, crc = framed(document, crc)
                lines.append(line)
            self.files.write(file, b"".join(lines), 0)
            self.files.sync(file)
            self.files.link(self.descriptor, new, name)
        except (FileExistsError, FileNotFoundError):
            return False
        finally:
            self.files.close(file)
            with suppress(OSError):  # `clear` removes it later
                self.files.remove(self.descriptor, new)
        return True

    def snapshot(self, header: Header, contents: Contents) -> bool:
        """Sum up all records in a journal of their own; return whether its epoch was still free."""
        records = [commit_document(None, f"[{text}]") for text in contents.texts()]
        base = Base(None, 0, len(records), tuple(sorted(contents.answered)))
        lines = [header.document(), base.document(), *records]
        if not self.publish(epoch_name(header.epoch), lines):
            return False
        self.files.sync(self.descriptor)
        return True

    def measured(self, epochs: Iterable[int]) -> tuple[Base, bool]:
        """Return what a new journal goes on from, and whether nobody can add to that; it is on stable storage."""
        for older in epochs:
            found = believed(partial(self._measured, older))
            if found is not None:
                return found
        return Base(None, 0, 0), False

    def _measured(self, epoch: int) -> tuple[Base, bool] | None:
        """Return what goes on from a journal, and whether nobody can add to it; None for a claim never finished."""
        with self.opened(epoch_name(epoch), write=True) as file:
            data = self.files.read(file, 0, self.files.size(file))
            journal, lines = self.reader.journal(data, epoch_name(epoch), epoch)
            if journal.base is None:
                return None
            is_snapshot = journal.header.owner is None
            if is_snapshot and not lines:  # nothing is left of what there was, and its journal may go away
                return Base(None, 0, 0, journal.base.answered), True
            if not is_snapshot:  # its writer may have died before it was synced, or been told that a sync failed
                self.write_again(file, data[: journal.end])
            return Base(epoch, journal.end, 0), is_snapshot

    def write_again(self, file: int, data: bytes) -> None:
        """Make the last of a journal's lines durable: after a sync that failed, another one alone proves nothing."""
        start = data.rfind(b"\n", 0, len(data) - 1) + 1
        self.files.write(file, data[start:], start)
        self.files.sync(file)

    def go_on_from(self, base: Base, epoch: int) -> None:
        """Finish a new journal by what it goes on from: it counts from now on, and durably.

        The names in the folder are synced first: a journal that counts must not outlive the one that it goes on from.
        """
        self.files.sync(self.descriptor)
        with self.opened(epoch_name(epoch), write=True) as file:
            lines, _ = self.first_lines(file, epoch_name(epoch), 1, self.files.size(file))
            header = self.reader.begun(lines, epoch_name(epoch), epoch, whole=False)
            self.files.write(file, framed(base.document(), header.crc)[0], header.end)
            self.files.sync(file)

    def clear(self, epoch: int) -> None:
        """Remove journals older than a snapshot, the oldest first, and what was to become one.

        What stays does no harm.
        """
        for made_for, name in self._by_epoch():
            if 0 <= made_for < epoch or (made_for == epoch and name.endswith(NEW)):
                self._remove(name)

    def empty(self, epoch: int) -> None:
        """Remove all files but newer journals than that of ``epoch``, which says that there is nothing any more.

        It goes last, when no power cut can bring an older one back.
        """
        files = [(made_for, name) for made_for, name in self._by_epoch() if made_for <= epoch]
        for made_for, name in files:
            if made_for < epoch:
                self._remove(name)
        self.files.sync(self.descriptor)
        for made_for, name in files:
            if made_for == epoch:
                self._remove(name)

    def _by_epoch(self) -> list[tuple[int, str]]:
        """Return all files by the epoch that they are, or were to be, the journal of; -1 for others."""
        names = self.files.names(self.descriptor)
        epochs = (epoch_of(f"{name.partition('.')[0]}.jsonl") for name in names)
        return sorted((-1 if epoch is None else epoch, name) for epoch, name in zip(epochs, names, strict=True))

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.files.remove(self.descriptor, name)
