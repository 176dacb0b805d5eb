"""What the suite of executors runs: tasks that any process can import, and that note their calls in a file."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flowbook import Task, current

DEADLINE_S = 30.0


class Say(Task):
    """Notes each call in a folder, and returns its name."""

    def __init__(self, name: str, folder: Path, **options: Any) -> None:
        super().__init__(name, **options)
        self.folder = folder

    def execute(self) -> Any:
        """Return the name."""
        note(self.folder, self.name)
        return self.name

    def revert(self) -> None:
        """Note it."""
        note(self.folder, f"revert {self.name}")


class Wait(Say):
    """Returns its name when the gate of its folder is open."""

    def execute(self) -> Any:
        """Return the name."""
        super().execute()
        wait_until(lambda: (self.folder / "gate").exists())
        return self.name


class Meet(Say):
    """Returns its name when as many have been called."""

    def __init__(self, name: str, folder: Path, count: int) -> None:
        super().__init__(name, folder)
        self.count = count

    def execute(self) -> Any:
        """Return the name."""
        super().execute()
        wait_until(lambda: len(noted(self.folder)) >= self.count)
        return self.name


class FailAtFirst(Say):
    """Raises what a kind of `EXCEPTIONS` makes, until it was called more often than that."""

    def __init__(self, name: str, folder: Path, kind: str, times: int = 1_000_000) -> None:
        super().__init__(name, folder)
        self.raises, self.times = kind, times

    def execute(self) -> Any:
        """Return the name."""
        super().execute()
        if noted(self.folder).count(self.name) <= self.times:
            raise EXCEPTIONS[self.raises]()
        return self.name


class Tell(Wait):
    """Tells of itself, then waits for the gate."""

    def execute(self) -> Any:
        """Return the name."""
        current().update_progress(0.5)
        current().annotate(page=3, words=["a", "b"])
        return super().execute()


class Know(Task):
    """Returns what it knows of its attempt."""

    def execute(self) -> Any:
        """Return run, atom, direction, round, attempt and key."""
        known = current()
        return known.run, known.atom, known.direction.value, known.round, known.attempt, known.idempotency_key


class KnowUndoing(Say):
    """Its revert notes what it knows of its attempt."""

    def revert(self) -> None:
        """Note run, atom, direction and attempt."""
        note_attempt(self.folder)


class Hooked(FailAtFirst):
    """Has hooks, which note that they are called."""

    def pre_execute(self) -> None:
        """Note it."""
        note(self.folder, f"before {self.name}")

    def post_execute(self) -> None:
        """Note it."""
        note(self.folder, f"after {self.name}")

    def pre_revert(self) -> None:
        """Note it."""
        note(self.folder, f"before revert {self.name}")

    def post_revert(self) -> None:
        """Note it."""
        note(self.folder, f"after revert {self.name}")


class Give(Task):
    """Returns what it was made with."""

    def __init__(self, name: str, value: object, **options: Any) -> None:
        super().__init__(name, **options)
        self.value = value

    def execute(self) -> Any:
        """Return the value."""
        return self.value


class Turn(Task):
    """Returns ``data`` the other way round."""

    def execute(self, data: bytes) -> bytes:
        """Return the last byte first."""
        return data[::-1]


class Undo(Say):
    """Its revert notes what it is given."""

    def revert(self, result: object, flow_failures: Mapping[str, object]) -> None:  # type: ignore[override]
        """Note the result and whose failures there are."""
        note(self.folder, f"revert {self.name} {result} {sorted(flow_failures)}")


class Forget(Say):
    """Returns a coroutine that nobody has awaited, from ``execute`` or from ``revert``."""

    def __init__(self, name: str, folder: Path, method: str) -> None:
        super().__init__(name, folder)
        self.forgets = method

    def execute(self) -> Any:
        """Return the name, or a coroutine that would."""
        said = super().execute()
        return later(self.name) if self.forgets == "execute" else said

    def revert(self) -> Any:
        """Note it, and return nothing, or a coroutine."""
        super().revert()
        return later(self.name) if self.forgets == "revert" else None


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


class Picky(Exception):
    """Can be pickled, but not made again of what it says of itself."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Mute(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Bare(BaseException):
    """Is no Exception."""


def _caused() -> ValueError:
    try:
        raise Locked
    except Locked as cause:
        error = ValueError("because of it")
        error.__cause__ = cause
        return error


EXCEPTIONS: Mapping[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("bad", 3),
    "KeyError": lambda: KeyError("key"),
    "a cause": _caused,
    "a group": lambda: ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
    "not to be pickled": Locked,
    "not to be made again": lambda: Picky(3, "picky"),
    "without a text": Mute,
    "no Exception": Bare,
    "SystemExit": lambda: SystemExit(3),
    "GeneratorExit": GeneratorExit,
    "KeyboardInterrupt": KeyboardInterrupt,
}
"""What a task may raise; a KeyboardInterrupt is no failure of the task."""


async def later(value: object) -> object:
    """Return what it is given."""
    return value


def note(folder: Path, text: str) -> None:
    """Add a line to the calls of ``folder``, whichever process adds another one now."""
    file = os.open(folder / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{text}\n".encode())
    finally:
        os.close(file)


def note_attempt(folder: Path) -> None:
    """Note what the attempt that runs here knows of itself."""
    known = current()
    note(folder, f"{known.run} {known.atom} {known.direction.value} {known.attempt}")


def noted(folder: Path) -> list[str]:
    """Return what was noted in ``folder`` so far."""
    try:
        return (folder / "calls").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


async def wait_here_until(happened: Callable[[], bool]) -> None:
    """Return when something in a file has happened, without keeping the loop. Raises TimeoutError when it does not."""
    async with asyncio.timeout(DEADLINE_S):
        while not happened():
            await asyncio.sleep(0.002)


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when something in a file has happened. Raises TimeoutError when it does not."""
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it has not happened in {DEADLINE_S:.0f} s")
        time.sleep(0.002)
