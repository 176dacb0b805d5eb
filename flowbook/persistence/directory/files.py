"""Every call to the file system that a logbook in a directory makes, and what errors of it mean.

Folders and files are descriptors, and each name is looked up in an open folder: no symbolic link is followed, and a
folder that was moved away meanwhile is still the same. Tests wrap `Files` to record calls and to let them fail.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from flowbook.exceptions import Damaged, StorageError, StorageFull, StorageUnavailable

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_IN_THE_WAY: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EMLINK, errno.ESPIPE})
_CLOSED_ON_EXEC: Final = os.O_CLOEXEC | os.O_NOFOLLOW


_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Files(Protocol):
    """Folders and files by their descriptors, and names in folders. Every call may raise OSError."""

    def root(self, path: str) -> int:
        """Open the folder at a path; the path itself may lead through symbolic links."""
        ...

    def make_root(self, path: str) -> None:
        """Make the folder at a path, if there is none."""
        ...

    def folder(self, folder: int, name: str) -> int:
        """Open a folder in a folder."""
        ...

    def make_folder(self, folder: int, name: str) -> None:
        """Make a folder in a folder, if there is none."""
        ...

    def names(self, folder: int) -> list[str]:
        """Return what is in a folder, in no order."""
        ...

    def create(self, folder: int, name: str) -> int:
        """Make a file that only its owner may read, and open it. Raises FileExistsError."""
        ...

    def open(self, folder: int, name: str, *, write: bool = False) -> int:
        """Open a file that exists."""
        ...

    def size(self, file: int) -> int:
        """Return how many bytes a file has."""
        ...

    def read(self, file: int, at: int, size: int) -> bytes:
        """Return ``size`` bytes from position ``at`` on, fewer at the end of the file."""
        ...

    def write(self, file: int, data: bytes, at: int) -> None:
        """Write all of ``data`` at a position; what part of it is there after an error is not known."""
        ...

    def cut(self, file: int, size: int) -> None:
        """Make a file ``size`` bytes long."""
        ...

    def sync(self, descriptor: int) -> None:
        """Return when all of a file, or the names in a folder, are on stable storage."""
        ...

    def is_at(self, folder: int, name: str, file: int | None = None) -> bool:
        """Return whether there is something of this name, or, with ``file``, that very file."""
        ...

    def changed_ns(self, folder: int) -> int:
        """Return when names in a folder last came or went, in nanoseconds; nobody can set it."""
        ...

    def is_file(self, folder: int, name: str) -> bool:
        """Return whether there is a file of this name, without opening it. Raises OSError for anything else."""
        ...

    def link(self, folder: int, name: str, new_name: str) -> None:
        """Give a file a second name in its folder, at once and in full. Raises FileExistsError."""
        ...

    def remove(self, folder: int, name: str) -> None:
        """Remove a file, or an empty folder."""
        ...

    def lock(self, file: int) -> bool:
        """Keep other descriptors of the file from locking it; return whether that could be had at once."""
        ...

    def unlock(self, file: int) -> None:
        """Let others lock the file."""
        ...

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        ...


class LocalFiles(Files):
    """The files of this machine."""

    def root(self, path: str) -> int:
        """Open the folder at a path."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def make_root(self, path: str) -> None:
        """Make the folder at a path, if there is none."""
        with suppress(FileExistsError):
            os.mkdir(path, FOLDER_MODE)

    def folder(self, folder: int, name: str) -> int:
        """Open a folder in a folder."""
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | _CLOSED_ON_EXEC, dir_fd=folder)

    def make_folder(self, folder: int, name: str) -> None:
        """Make a folder in a folder, if there is none."""
        with suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=folder)

    def names(self, folder: int) -> list[str]:
        """Return what is in a folder."""
        return os.listdir(folder)

    def create(self, folder: int, name: str) -> int:
        """Make a file, and open it."""
        return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOSED_ON_EXEC, FILE_MODE, dir_fd=folder)

    def open(self, folder: int, name: str, *, write: bool = False) -> int:
        """Open a file that exists."""
        return os.open(name, (os.O_RDWR if write else os.O_RDONLY) | os.O_NONBLOCK | _CLOSED_ON_EXEC, dir_fd=folder)

    def size(self, file: int) -> int:
        """Return how many bytes a file has."""
        return os.fstat(file).st_size

    def read(self, file: int, at: int, size: int) -> bytes:
        """Return bytes of a file."""
        parts = []
        while size > 0 and (part := os.pread(file, size, at)):
            parts.append(part)
            at, size = at + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, file: int, data: bytes, at: int) -> None:
        """Write bytes into a file."""
        done = os.pwrite(file, data, at)
        while done < len(data):
            done += os.pwrite(file, data[done:], at + done)

    def cut(self, file: int, size: int) -> None:
        """Make a file shorter."""
        os.ftruncate(file, size)

    def sync(self, descriptor: int) -> None:
        """Return when a file or a folder is on stable storage; a file's time of change need not be."""
        _sync(descriptor)

    def is_at(self, folder: int, name: str, file: int | None = None) -> bool:
        """Return whether there is something of this name, or that very file."""
        try:
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return file is None or os.path.samestat(there, os.fstat(file))

    def changed_ns(self, folder: int) -> int:
        """Return when names in a folder last came or went."""
        return os.fstat(folder).st_ctime_ns

    def is_file(self, folder: int, name: str) -> bool:
        """Return whether there is a file of this name."""
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        return True

    def link(self, folder: int, name: str, new_name: str) -> None:
        """Give a file a second name in its folder."""
        os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)

    def remove(self, folder: int, name: str) -> None:
        """Remove a file, or an empty folder."""
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=folder)

    def lock(self, file: int) -> bool:
        """Lock a file among descriptors."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, file: int) -> None:
        """Let others lock the file."""
        fcntl.flock(file, fcntl.LOCK_UN)

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)


def meaning_of(error: OSError, where: str) -> StorageError:
    """Return our error for the operating system's; ``where`` names the logbook or a file of it."""
    if error.errno in _NO_SPACE:
        return StorageFull(where, str(error))
    if error.errno in _IN_THE_WAY:
        return Damaged(where, f"something else is in the way of a file of the logbook: {error}")
    return StorageUnavailable(where, str(error))
