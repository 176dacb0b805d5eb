"""Who owns a claim, and whether that process still lives: process identity and an OS lock on one host.

Death is judged only when the boot id is ours; everything else is a matter of leases. Each process keeps one
byte of a lock file locked, at an offset of its own. The locks are POSIX record locks: a forked child does not
inherit them, and the kernel drops them when the process dies, even while its zombie waits to be reaped. A
stopped process is alive.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

_LOCK_BITS = 62  # an offset in a file is a signed number of 64 bits
_PID_BITS = 31
_LOCK_ATTEMPTS = 200
_LOCK_PAUSE_S = 0.005
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}
_DEAD_STATES = frozenset("ZXx")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that may own claims: where it runs, and what tells it from any other process.

    ``started`` is the kernel's start time of ``pid`` in clock ticks since boot; ``lock`` the offset of the
    byte that the process keeps locked in the lock files of local storages, drawn at random once a process.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int
    lock: int

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

    def to_row(self) -> dict[str, Any]:
        """Return the owner as a record."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Owner:
        """Return the owner of a record. Raises ValueError when it is not one."""
        try:
            owner = cls(**row)
        except TypeError as error:
            raise ValueError(f"not an owner: {row!r}") from error
        if not all(type(getattr(owner, name)) is kind for name, kind in _FIELD_TYPES.items()):
            raise ValueError(f"not an owner: {row!r}")
        if not (0 <= owner.pid < 1 << _PID_BITS and 0 <= owner.lock < 1 << _LOCK_BITS):
            raise ValueError(f"not an owner: its pid or lock is out of bounds: {row!r}")
        return owner


_FIELD_TYPES = {part.name: int if part.type == "int" else str for part in fields(Owner)}


def current_owner() -> Owner:
    """Return this process as an owner: the same value each time, and another one in a forked child."""
    return _owner_of(os.getpid())


@lru_cache(maxsize=1)
def _owner_of(pid: int) -> Owner:
    stat = _stat(pid)
    return Owner(
        host=socket.gethostname(),
        boot=_boot_id(),
        namespace=_namespace(),
        pid=pid,
        started=stat[1] if stat else 0,
        lock=secrets.randbits(_LOCK_BITS),
    )


def _boot_id() -> str:
    """Return what tells this boot of this machine from others; elsewhere than on Linux only the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"host {socket.gethostname()}"


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, int] | None:
    """Return the state and the start ticks of a process of our namespace, or None when there is none.

    The command's name, in parentheses, may hold anything, parentheses too. See proc(5).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text[text.rindex(")") + 2 :].split()
    return words[0], int(words[19])


def lives_by_pid(owner: Owner) -> bool | None:
    """Return whether ``owner`` lives, by its pid and start time, or None when its pids are not ours."""
    me = current_owner()
    if (owner.boot, owner.namespace) != (me.boot, me.namespace):
        return None
    if me.started == 0:
        return _takes_signals(owner.pid)
    stat = _stat(owner.pid)
    return stat is not None and stat[0] not in _DEAD_STATES and stat[1] == owner.started


def _takes_signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class LivenessFile:
    """A file in which each living process that uses a storage keeps one byte locked.

    All objects of one path in one process share one descriptor, since POSIX drops a process's locks when
    *any* descriptor of the file is closed. Its users are counted: the last `release` closes it.
    """

    def __init__(self, path: str | os.PathLike[str], *, mode: int = 0o600) -> None:
        self.path = os.path.realpath(path)
        self._mode = mode
        self._descriptor: _Descriptor | None = None

    def hold(self) -> None:
        """Keep this process's byte locked from now on; nothing happens when it is. Raises OSError."""
        with _registry.lock:
            if self._descriptor is not None and self._descriptor.is_valid():
                return
            self._release()
            self._descriptor = _registry.take(self.path, self._mode)

    def release(self) -> None:
        """Let go of the byte, unless another object of this process holds it too."""
        with _registry.lock:
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            _registry.give_back(self._descriptor)
            self._descriptor = None

    def is_alive(self, owner: Owner) -> bool | None:
        """Return whether ``owner`` lives, or None when it is of another boot: then only its lease decides.

        Raises OSError when the file cannot be opened.
        """
        me = current_owner()
        if owner.boot != me.boot:
            return None
        if owner.lock == me.lock:
            return True
        self.hold()
        descriptor = self._descriptor
        if descriptor is None or not descriptor.locks:
            return lives_by_pid(owner)
        return descriptor.is_locked(owner.lock)


class _Descriptor:
    """The one descriptor of a lock file in this process, with this process's byte locked."""

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        self.users = 0
        self.number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            self.locks = self._lock_own_byte()
        except BaseException:
            os.close(self.number)
            raise

    def is_valid(self) -> bool:
        """Return whether this process made it (a forked child did not) and the file is still there."""
        if _registry.open.get(self.path) is not self:
            return False
        try:
            return os.path.samestat(os.fstat(self.number), os.stat(self.path))
        except OSError:
            return False

    def _lock_own_byte(self) -> bool:
        """Lock our byte, which one who looks at it holds for a moment; return whether there are locks."""
        for _ in range(_LOCK_ATTEMPTS):
            locked = self._try_lock(fcntl.LOCK_EX, current_owner().lock)
            if locked is not False:
                return locked is True
            time.sleep(_LOCK_PAUSE_S)
        raise OSError(errno.EAGAIN, "another process keeps our byte of the lock file locked", self.path)

    def is_locked(self, offset: int) -> bool:
        """Return whether another process keeps the byte at ``offset`` locked. Raises OSError.

        The lock that is tried is a shared one, so that two who look at once do not see each other.
        """
        if self._try_lock(fcntl.LOCK_SH, offset):
            fcntl.lockf(self.number, fcntl.LOCK_UN, 1, offset)
            return False
        return True

    def _try_lock(self, operation: int, offset: int) -> bool | None:
        """Return whether the byte could be locked, or None where there are no locks."""
        try:
            fcntl.lockf(self.number, operation | fcntl.LOCK_NB, 1, offset)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            if error.errno in _UNSUPPORTED:
                return None
            raise
        return True


class _Registry:
    """The open descriptors of this process, by path."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.open: dict[str, _Descriptor] = {}

    def take(self, path: str, mode: int) -> _Descriptor:
        """Return the descriptor of ``path``, counted once more; a file that was replaced is opened anew."""
        descriptor = self.open.get(path)
        if descriptor is None or not descriptor.is_valid():
            descriptor = self.open[path] = _Descriptor(path, mode)
        descriptor.users += 1
        return descriptor

    def give_back(self, descriptor: _Descriptor) -> None:
        """Count a descriptor down, and close it when nobody of this process uses it any more."""
        descriptor.users -= 1
        if descriptor.users == 0 and descriptor.number >= 0:
            if self.open.get(descriptor.path) is descriptor:
                del self.open[descriptor.path]
            os.close(descriptor.number)
            descriptor.number = -1

    def forget(self) -> None:
        """Close what a forked child inherited, before it locks anything; the parent's locks stay."""
        self.lock = threading.RLock()
        inherited, self.open = self.open, {}
        for descriptor in inherited.values():
            os.close(descriptor.number)
            descriptor.number = -1


_registry = _Registry()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_owner_of.cache_clear)  # in a new namespace the pid may be the same
    os.register_at_fork(after_in_child=_registry.forget)
