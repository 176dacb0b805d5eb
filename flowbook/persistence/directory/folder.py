"""One key's folder: its journals, one for each epoch, and the requests that wait for its owner.

A new epoch begins with a new file, put in place by link(2): of all who try one number, one wins. From then on nothing
that an older epoch writes is acknowledged (its writer looks for a newer journal after each sync), so what the older
journal holds now can be measured, and is what the new one goes on from.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Final

from flowbook.persistence.changes import Row
from flowbook.persistence.directory.files import Files
from flowbook.persistence.directory.journal import (
    Base,
    Contents,
    Header,
    Journal,
    Reader,
)
from flowbook.persistence.directory.lines import BrokenLine, Line, framed, lines_in
from flowbook.persistence.directory.names import epoch_name, epoch_of, request_name, request_of

NEW: Final = ".new"
"""What a file is called behind its name until it is complete."""

_READ_AGAIN: Final = 100
_BEGINNING: Final = 8192


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
        contents, chain, newest = Contents(), [], None
        for epoch in epochs:
            journal, lines = self.journal(epoch)
            if journal.base is None:
                continue  # a claim that was never finished
            newest = journal
            chain.append((epoch, lines))
            while journal.base is not None and journal.base.epoch is not None:
                epoch = journal.base.epoch
                journal, lines = self.journal(epoch, journal.base.size)
                chain.append((epoch, lines))
            break
        for epoch, lines in reversed(chain):
            contents.take(self.reader.changes(lines, epoch_name(epoch)))
        return contents, newest

    def journal(self, epoch: int, size: int | None = None) -> tuple[Journal, list[Line]]:
        """Return a journal with its lines from the third on, or the part that a newer one goes on from."""
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
        lines = list(islice(lines_in_beginning(data, self.reader, name), count))
        if len(lines) < count and len(data) < size:
            data = self.files.read(file, 0, size)
            lines = list(islice(lines_in_beginning(data, self.reader, name), count))
        return lines, data

    def requests(self, answered: Iterable[str] = ()) -> dict[str, Row]:
        """Return the requests that wait, oldest first; one that is being written is not there yet."""
        gone = set(answered)
        waiting = sorted(filter(None, map(request_of, self.files.names(self.descriptor))))
        found: dict[str, Row] = {}
        for request in waiting:
            name = request_name(request)
            if request in gone:
                continue
            with suppress(FileNotFoundError):  # answered meanwhile
                for line in lines_in_beginning(self.data(name), self.reader, name):
                    found[request] = self.reader.request(line, name)
        return found

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
        records = list(contents.documents())
        lines = [header.document(), Base(None, 0, len(records)).document(), *records]
        if not self.publish(epoch_name(header.epoch), lines):
            return False
        self.files.sync(self.descriptor)
        return True

    def measured(self, epochs: Iterable[int]) -> tuple[Base, bool]:
        """Return what a new journal goes on from, and whether nobody can add to that; it is on stable storage."""
        for older in epochs:
            with self.opened(epoch_name(older)) as file:
                data = self.files.read(file, 0, self.files.size(file))
                journal, _ = self.reader.journal(data, epoch_name(older), older)
                if journal.base is not None:
                    is_snapshot = journal.header.owner is None
                    if not is_snapshot:
                        self.files.sync(file)  # its writer may have died before it did so
                    return Base(older, journal.end, 0), is_snapshot
        return Base(None, 0, 0), False

    def go_on_from(self, base: Base, epoch: int) -> None:
        """Finish a new journal by what it goes on from: it counts from now on, and durably.

        The names in the folder are synced first: a journal that counts must not outlive the one that it goes on from.
        """
        self.files.sync(self.descriptor)
        with self.opened(epoch_name(epoch), write=True) as file:
            header = next(lines_in(self.files.read(file, 0, self.files.size(file))))
            self.files.write(file, framed(base.document(), header.crc)[0], header.end)
            self.files.sync(file)

    def forget_requests(self, answered: Iterable[str]) -> bool:
        """Remove requests that a journal says are answered; return whether there were any. The folder is not synced."""
        names = [name for name in map(request_name, answered) if request_of(name) is not None]
        for name in names:
            with suppress(FileNotFoundError):
                self.files.remove(self.descriptor, name)
        return bool(names)

    def post(self, number: int, text: str) -> bool:
        """Leave a request, behind those that wait, under ``number`` or a higher one; return whether that was free."""
        waiting = filter(None, map(request_of, self.files.names(self.descriptor)))
        number = max(number, *(int(request) + 1 for request in waiting), 0)
        try:
            file = self.files.create(self.descriptor, request_name(f"{number:020}"))
        except FileExistsError:
            return False
        try:
            self.files.write(file, framed(f'{{"request":{text}}}', 0)[0], 0)
            self.files.sync(file)
        finally:
            self.files.close(file)
        self.files.sync(self.descriptor)
        return True

    def clear(self, epoch: int) -> None:
        """Remove journals older than a snapshot, the oldest first, and what was to become one.

        What stays does no harm.
        """
        for made_for, name in self._by_epoch():
            if 0 <= made_for < epoch or (made_for == epoch and name.endswith(NEW)):
                self._remove(name)

    def empty(self) -> None:
        """Remove all files, older journals first."""
        for _, name in self._by_epoch():
            self._remove(name)

    def _by_epoch(self) -> list[tuple[int, str]]:
        """Return all files by the epoch that they are, or were to be, the journal of; -1 for others."""
        names = self.files.names(self.descriptor)
        epochs = (epoch_of(f"{name.partition('.')[0]}.jsonl") for name in names)
        return sorted((-1 if epoch is None else epoch, name) for epoch, name in zip(epochs, names, strict=True))

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.files.remove(self.descriptor, name)


def lines_in_beginning(data: bytes, reader: Reader, name: str) -> Iterator[Line]:
    """Yield the whole lines in the beginning of a file. Raises Damaged, naming the file."""
    try:
        yield from lines_in(data)
    except BrokenLine as error:
        raise reader.damaged(name, str(error)) from error
