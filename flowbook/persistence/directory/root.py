"""The directory that a logbook lies in: what says that it is one, and the folders of its keys."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, overload

from flowbook.exceptions import Damaged, NewerSchema, NotALogbook, NotPossible
from flowbook.persistence.directory.files import Files
from flowbook.persistence.directory.folder import Folder
from flowbook.persistence.directory.journal import FORMAT, Reader
from flowbook.persistence.directory.names import DESTROYED, LIVING, MARK, folder_names

_MARK: Final = {"logbook": "directory", "format": FORMAT}
_MARK_SIZE: Final = 4096


class Root:
    """The directory at ``path``, which ``url`` names in errors. It is opened anew for each use."""

    def __init__(self, path: str, url: str, files: Files) -> None:
        self.path, self.url, self.files = path, url, files

    @contextmanager
    def reading(self) -> Iterator[int | None]:
        """Open the directory for the time of the block; None when there is none, or nothing in it yet.

        Raises NotALogbook for a directory of something else, NewerSchema and Damaged for what says so.
        """
        descriptor = self._open(create=False)
        if descriptor is None:
            yield None
            return
        try:
            yield descriptor if self._is_ours(descriptor) else None
        finally:
            self.files.close(descriptor)

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Open the directory for the time of the block, and make it if there is none. Raises as `reading`."""
        descriptor = self._open(create=True)
        try:
            if not self._is_ours(descriptor):
                self._mark(descriptor)
            yield descriptor
        finally:
            self.files.close(descriptor)

    @overload
    def _open(self, *, create: Literal[True]) -> int: ...

    @overload
    def _open(self, *, create: Literal[False]) -> int | None: ...

    def _open(self, *, create: bool) -> int | None:
        parent = os.path.dirname(self.path)
        try:
            return self.files.root(self.path)
        except FileNotFoundError:
            if not os.path.isdir(parent):
                raise NotPossible(f"there is no directory {parent!r}", where=self.url, todo="make it first") from None
            if not create:
                return None
        except NotADirectoryError:
            todo = f"name a directory; for a SQLite database: sqlite:///{self.path}"
            raise NotPossible(f"{self.path!r} is no directory", where=self.url, todo=todo) from None
        self.files.make_root(self.path)
        return self.files.root(self.path)

    def _is_ours(self, root: int) -> bool:
        """Return whether the mark is there; a directory without it and with nothing else may become a logbook."""
        try:
            file = self.files.open(root, MARK)
        except FileNotFoundError:
            names = self.files.names(root)
            others = [name for name in names if not name.startswith((MARK, LIVING))]
            if MARK in names:  # somebody has just made it a logbook
                return self._is_ours(root)
            if others:
                raise NotALogbook(self.url, f"there is {others[0]!r} in it, and no {MARK}") from None
            return False
        try:
            data = self.files.read(file, 0, _MARK_SIZE)
        finally:
            self.files.close(file)
        reader = Reader(self.path, None)
        for line in reader.lines(data, MARK):
            document = reader.document(line, MARK)
            form = document.get("format")
            if type(form) is int and form > FORMAT:
                raise NewerSchema(self.url, f"its format is {form}, this version knows {FORMAT}")
            if type(form) is int and document == _MARK and line.end == len(data):
                return True
        raise Damaged(self.url, f"{MARK} does not say which format this is")

    def _mark(self, root: int) -> None:
        """Say that this is a logbook, when the directory's own name is durable."""
        parent = self.files.root(os.path.dirname(self.path))
        try:
            self.files.sync(parent)
        finally:
            self.files.close(parent)
        text = json.dumps(_MARK, separators=(",", ":"))
        Folder(self.files, root, self.path, None).publish(MARK, [text])
        self.files.sync(root)

    @contextmanager
    def key(self, root: int, key: str, *, create: bool = False) -> Iterator[Folder]:
        """Open the folder of a key for the time of the block. Raises FileNotFoundError when there is none."""
        folder = self.folder(root, key, create=create)
        try:
            yield folder
        finally:
            self.files.close(folder.descriptor)

    def folder(self, root: int, key: str, *, create: bool = False) -> Folder:
        """Return the folder of a key, which the caller closes. Raises FileNotFoundError when there is none."""
        kind_name, name = folder_names(key)
        with self.kind(root, kind_name, create=create) as kind:
            if create:
                self.files.make_folder(kind, name)
            descriptor = self.files.folder(kind, name)
        return Folder(self.files, descriptor, f"{self.path}/{kind_name}/{name}", key)

    def sync_way(self, root: int, key: str) -> None:
        """Make the names durable that lead to the folder of a key."""
        with self.kind(root, folder_names(key)[0]) as kind:
            self.files.sync(kind)
        self.files.sync(root)

    @contextmanager
    def kind(self, root: int, name: str, *, create: bool = False) -> Iterator[int]:
        """Open a folder of the directory for the time of the block. Raises FileNotFoundError when there is none."""
        if create and not self.files.is_at(root, name):
            self.files.sync(root)  # the mark comes first
            self.files.make_folder(root, name)
        descriptor = self.files.folder(root, name)
        try:
            yield descriptor
        finally:
            self.files.close(descriptor)

    # -- what was destroyed --

    def height(self, root: int) -> int:
        """Return the highest epoch of all that was destroyed, or 0."""
        try:
            with self.kind(root, DESTROYED) as folder:
                return max((int(name) for name in self.files.names(folder) if name.isdecimal()), default=0)
        except FileNotFoundError:
            return 0

    def raise_height(self, root: int, epoch: int) -> None:
        """Remember the epoch of what will be destroyed now."""
        with self.kind(root, DESTROYED, create=True) as folder:
            with suppress(FileExistsError):
                self.files.close(self.files.create(folder, f"{epoch:06}"))
            self.files.sync(folder)
            self.files.sync(root)
            for name in self.files.names(folder):
                if name.isdecimal() and int(name) < epoch:
                    with suppress(FileNotFoundError):
                        self.files.remove(folder, name)

    def is_at_its_name(self, root: int, key: str, folder: Folder) -> bool:
        """Return whether a folder that was opened is still the key's: it may have been destroyed meanwhile."""
        kind_name, name = folder_names(key)
        with self.kind(root, kind_name) as kind:
            return self.files.is_at(kind, name, folder.descriptor)

    def remove(self, root: int, key: str, folder: Folder, epoch: int) -> None:
        """Remove the folder of a key whose newest journal, that of ``epoch``, says that there is nothing any more.

        What somebody adds to it meanwhile stays, and the folder with it: a new journal needs none of what is removed.
        """
        kind_name, name = folder_names(key)
        self.raise_height(root, epoch)
        folder.empty(epoch)
        with self.kind(root, kind_name) as kind:
            try:
                self.files.remove(kind, name)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise

    def see_to_living(self, root: int) -> None:
        """Make the file in which living processes keep a byte locked, if there is none. Raises OSError for a link.

        One that is there is not opened: a process that closes any descriptor of a file loses its locks of it.
        """
        if not self.files.is_file(root, LIVING):
            with suppress(FileExistsError):
                self.files.close(self.files.create(root, LIVING))
