"""Faults at the seam below a logbook in a directory: `Files` that record, count, fail, or crash at a call.

Each wraps another one, so they can be put into each other::

    files = RecordingFiles(FailingFiles(LocalFiles(), at=7, error=errno.ENOSPC))
    backend = DirectoryBackend("dir:runs", files=files)
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from flowbook.persistence.directory.files import Files
from flowbook.testing.faults import kill_this_process

_Answer = TypeVar("_Answer")

CHANGING: Final = frozenset({"make_root", "make_folder", "create", "write", "cut", "sync", "link", "remove"})
"""The calls that change something, or make it durable."""

NEVER_FAILING: Final = frozenset({"close", "unlock"})
"""The calls that give something back: when they say that they failed it is gone all the same."""


def stop_this_process() -> None:
    """Stop this process, as somebody's SIGSTOP would; SIGCONT lets it go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its verb, the values it was given, the path that it is about, and what it returned, if it did yet."""

    verb: str
    arguments: tuple[object, ...]
    path: str = ""
    answer: object = None


class _Seam:
    """Where a wrapper does what it is for."""

    def __init__(self, inner: Files) -> None:
        self.inner = inner

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        """Return what ``go`` returns, which passes the call on."""
        return go()


class WrappedFiles(_Seam, Files):
    """Passes every call on to ``inner``, by way of the method `around`, which a subclass overrides."""

    def root(self, path: str) -> int:
        """Pass on."""
        return self.around(Call("root", (path,)), lambda: self.inner.root(path))

    def make_root(self, path: str) -> None:
        """Pass on."""
        self.around(Call("make_root", (path,)), lambda: self.inner.make_root(path))

    def folder(self, folder: int, name: str) -> int:
        """Pass on."""
        return self.around(Call("folder", (folder, name)), lambda: self.inner.folder(folder, name))

    def make_folder(self, folder: int, name: str) -> None:
        """Pass on."""
        self.around(Call("make_folder", (folder, name)), lambda: self.inner.make_folder(folder, name))

    def names(self, folder: int) -> list[str]:
        """Pass on."""
        return self.around(Call("names", (folder,)), lambda: self.inner.names(folder))

    def create(self, folder: int, name: str) -> int:
        """Pass on."""
        return self.around(Call("create", (folder, name)), lambda: self.inner.create(folder, name))

    def open(self, folder: int, name: str, *, write: bool = False) -> int:
        """Pass on."""
        return self.around(Call("open", (folder, name, write)), lambda: self.inner.open(folder, name, write=write))

    def size(self, file: int) -> int:
        """Pass on."""
        return self.around(Call("size", (file,)), lambda: self.inner.size(file))

    def read(self, file: int, at: int, size: int) -> bytes:
        """Pass on."""
        return self.around(Call("read", (file, at, size)), lambda: self.inner.read(file, at, size))

    def write(self, file: int, data: bytes, at: int) -> None:
        """Pass on."""
        self.around(Call("write", (file, data, at)), lambda: self.inner.write(file, data, at))

    def cut(self, file: int, size: int) -> None:
        """Pass on."""
        self.around(Call("cut", (file, size)), lambda: self.inner.cut(file, size))

    def sync(self, descriptor: int) -> None:
        """Pass on."""
        self.around(Call("sync", (descriptor,)), lambda: self.inner.sync(descriptor))

    def is_at(self, folder: int, name: str, file: int | None = None) -> bool:
        """Pass on."""
        return self.around(Call("is_at", (folder, name, file)), lambda: self.inner.is_at(folder, name, file))

    def changed_ns(self, folder: int) -> int:
        """Pass on."""
        return self.around(Call("changed_ns", (folder,)), lambda: self.inner.changed_ns(folder))

    def is_file(self, folder: int, name: str) -> bool:
        """Pass on."""
        return self.around(Call("is_file", (folder, name)), lambda: self.inner.is_file(folder, name))

    def link(self, folder: int, name: str, new_name: str) -> None:
        """Pass on."""
        self.around(Call("link", (folder, name, new_name)), lambda: self.inner.link(folder, name, new_name))

    def remove(self, folder: int, name: str) -> None:
        """Pass on."""
        self.around(Call("remove", (folder, name)), lambda: self.inner.remove(folder, name))

    def lock(self, file: int) -> bool:
        """Pass on."""
        return self.around(Call("lock", (file,)), lambda: self.inner.lock(file))

    def unlock(self, file: int) -> None:
        """Pass on."""
        self.around(Call("unlock", (file,)), lambda: self.inner.unlock(file))

    def close(self, descriptor: int) -> None:
        """Pass on."""
        self.around(Call("close", (descriptor,)), lambda: self.inner.close(descriptor))


class CountingFiles(WrappedFiles):
    """Counts each call under its verb in ``calls``: ``calls["sync"]`` is how often somebody waited for the disk."""

    def __init__(self, inner: Files) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        """Pass on, counted."""
        with self._lock:
            self.calls[call.verb] += 1
        return go()


class RecordingFiles(WrappedFiles):
    """Records in ``calls`` what changes something and what opens or closes a descriptor, in the order it was done.

    A call that raised is not recorded, but for a ``write``. `mark` records what the caller wants to find among them.
    """

    def __init__(self, inner: Files) -> None:
        super().__init__(inner)
        self.calls: list[Call] = []
        self._paths: dict[int, str] = {}
        self._lock = threading.RLock()

    def mark(self, *what: object) -> None:
        """Record a call ``mark`` that was none: that something was acknowledged, or begun."""
        with self._lock:
            self.calls.append(Call("mark", what))

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        """Pass on, and record it."""
        if call.verb not in _RECORDED:
            return go()
        with self._lock:
            path = self._path(call)
            try:
                answer = go()
            except OSError:
                if call.verb == "write":
                    self.calls.append(Call(call.verb, call.arguments, path))
                raise
            self.calls.append(Call(call.verb, call.arguments, path, answer))
            if call.verb in _OPENING and isinstance(answer, int):
                self._paths[answer] = path
            return answer

    def _path(self, call: Call) -> str:
        of, *rest = call.arguments
        if isinstance(of, str):
            return of
        path = self._paths.get(of, "?") if isinstance(of, int) else "?"
        return f"{path}/{rest[-1 if call.verb == 'link' else 0]}" if call.verb in _NAMING else path


_OPENING: Final = frozenset({"root", "folder", "create", "open"})
_NAMING: Final = frozenset({"folder", "make_folder", "create", "open", "link", "remove"})
_RECORDED: Final = CHANGING | _OPENING | {"close"}


class FailingFiles(WrappedFiles):
    """Raises OSError with ``error`` instead of call number ``at``, counted from 1; never when it is 0.

    ``forever``: and instead of every call from there on, until `heal`. ``half``: a ``write`` that fails has written the
    first half of its data. Only the calls of ``verbs`` are counted: all but `NEVER_FAILING`, if none are given.
    ``count`` is how many there were, ``failed`` how many of them failed.
    """

    def __init__(
        self,
        inner: Files,
        *,
        at: int = 0,
        error: int = errno.ENOSPC,
        forever: bool = False,
        half: bool = False,
        verbs: Collection[str] = (),
    ) -> None:
        super().__init__(inner)
        self.count = self.failed = 0
        self._at, self._error, self._forever, self._half, self._verbs = at, error, forever, half, verbs
        self._lock = threading.Lock()

    def fail(self, *, at: int) -> None:
        """Let call number ``at`` fail, counted from the first one ever."""
        self._at = at

    def heal(self) -> None:
        """Let no further call fail."""
        self._at = 0

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        """Pass on, or fail."""
        if not self._fails(call.verb):
            return go()
        if self._half:
            _write_half(self.inner, call)
        raise OSError(self._error, f"{os.strerror(self._error)} (injected, {call.verb})")

    def _fails(self, verb: str) -> bool:
        if verb not in self._verbs if self._verbs else verb in NEVER_FAILING:
            return False
        with self._lock:
            self.count += 1
            fails = 0 < self._at <= self.count if self._forever else self.count == self._at
            self.failed += fails
            return fails


class CrashingFiles(WrappedFiles):
    """Calls ``crash`` before, after or inside of changing call number ``at``, counted from 1; never when it is 0.

    ``torn``: when the first half of a ``write`` is there; right after any other call. Only the calls of ``verbs`` are
    counted, by default those that are `CHANGING`; ``count`` is how many there were.
    """

    def __init__(
        self,
        inner: Files,
        *,
        at: int = 0,
        when: Literal["before", "after", "torn"] = "before",
        crash: Callable[[], None] = kill_this_process,
        verbs: Collection[str] = CHANGING,
    ) -> None:
        super().__init__(inner)
        self.count = 0
        self._at, self._when, self._crash, self._verbs = at, when, crash, verbs
        self._lock = threading.Lock()

    def around(self, call: Call, go: Callable[[], _Answer]) -> _Answer:
        """Pass on, and crash where it is asked for."""
        if call.verb not in self._verbs:
            return go()
        with self._lock:
            self.count += 1
            is_the_one = self.count == self._at
        if is_the_one and (self._when == "before" or (self._when == "torn" and _write_half(self.inner, call))):
            self._crash()
        answer = go()
        if is_the_one and (self._when == "after" or (self._when == "torn" and call.verb != "write")):
            self._crash()
        return answer


def _write_half(files: Files, call: Call) -> bool:
    """Write the first half of what a ``write`` was given; return whether the call was one."""
    match call.arguments:
        case (int(file), bytes(data), int(at)) if call.verb == "write":
            files.write(file, data[: len(data) // 2], at)
            return True
    return False
