"""A server's process, from its start until it answers, and to its end: a polite one, or a crash."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

LOOPBACK = "127.0.0.1"

_READY_WITHIN_S = 60.0
_STOPS_WITHIN_S = 20.0
_PAUSE_S = 0.02
_TAIL = 3000


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def private_folder(name: str, user: str = "") -> Path:
    """Return a new folder of ``user``'s, not below pytest's own, which other users cannot enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"flowbook-{name}-", dir="/tmp"))
    if user and os.geteuid() == 0:
        shutil.chown(folder, user)
    return folder


def as_user(user: str) -> dict[str, int | list[int]]:
    """Return what makes `subprocess` run a program as ``user``, where we may choose."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Daemon:
    """A server that runs from a folder of its own: ``port`` is where it listens, ``url`` how a client names it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        port: int,
        url: str,
        is_ready: Callable[[], bool],
        user: str = "",
        stop_signal: signal.Signals = signal.SIGTERM,
        immediate_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.port, self.url, self.folder = port, url, folder
        self._command, self._is_ready, self._user = command, is_ready, user
        self._stop_signal, self._immediate_signal = stop_signal, immediate_signal
        self._log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and return when it answers. Raises RuntimeError with its last words when it does not."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                **(as_user(self._user) if self._user else {}),  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                if self._is_ready():
                    return self
            time.sleep(_PAUSE_S)
        said = self._log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
        self.kill()
        raise RuntimeError(f"{self._command[0]} did not start:\n{said}")

    def stop(self) -> None:
        """End it politely."""
        self._end(self._stop_signal)

    def stop_at_once(self) -> None:
        """End it as who cannot wait for it does: it recovers when it starts again."""
        self._end(self._immediate_signal)

    def _end(self, how: signal.Signals) -> None:
        process = self.process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOPS_WITHIN_S)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut would; `start` brings it back with what it had stored."""
        process, self.process = self.process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        return self.start() if self.process is None else self

    def __exit__(self, *error: object) -> None:
        self.kill()  # what it has stored is not needed any more
        shutil.rmtree(self.folder, ignore_errors=True)
