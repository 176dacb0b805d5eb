"""The tasks of the suite of executors as coroutines, under the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from flowbook import Task, current
from flowbook.testing import executor_tasks as plain
from flowbook.testing.executor_tasks import EXCEPTIONS, note, note_attempt, noted, wait_here_until


class Say(plain.Say):
    """Notes each call in a folder, and returns its name."""

    async def execute(self) -> Any:
        """Return the name."""
        await asyncio.sleep(0)
        note(self.folder, self.name)
        return self.name

    async def revert(self) -> None:  # type: ignore[override]
        """Note it."""
        await asyncio.sleep(0)
        note(self.folder, f"revert {self.name}")


class Wait(Say):
    """Returns its name when the gate of its folder is open."""

    async def execute(self) -> Any:
        """Return the name."""
        await super().execute()
        await wait_here_until(lambda: (self.folder / "gate").exists())
        return self.name


class Meet(Say, plain.Meet):
    """Returns its name when as many have been called."""

    async def execute(self) -> Any:
        """Return the name."""
        await super().execute()
        await wait_here_until(lambda: len(noted(self.folder)) >= self.count)
        return self.name


class FailAtFirst(Say, plain.FailAtFirst):
    """Raises what a kind of `EXCEPTIONS` makes, until it was called more often than that."""

    async def execute(self) -> Any:
        """Return the name."""
        await super().execute()
        if noted(self.folder).count(self.name) <= self.times:
            raise EXCEPTIONS[self.raises]()
        return self.name


class Hooked(FailAtFirst, plain.Hooked):
    """Has hooks, which note that they are called."""


class Forget(Say, plain.Forget):
    """Returns a coroutine that nobody has awaited, from ``execute`` or from ``revert``."""

    async def execute(self) -> Any:
        """Return the name, or a coroutine that would."""
        said = await super().execute()
        return plain.later(self.name) if self.forgets == "execute" else said

    async def revert(self) -> Any:  # type: ignore[override]
        """Note it, and return nothing, or a coroutine."""
        await super().revert()
        return plain.later(self.name) if self.forgets == "revert" else None


class Tell(Wait):
    """Tells of itself, then waits for the gate."""

    async def execute(self) -> Any:
        """Return the name."""
        await asyncio.sleep(0)
        current().update_progress(0.5)
        current().annotate(page=3, words=["a", "b"])
        return await super().execute()


class Know(Task):
    """Returns what it knows of its attempt."""

    async def execute(self) -> Any:
        """Return run, atom, direction, round, attempt and key."""
        await asyncio.sleep(0)
        known = current()
        return known.run, known.atom, known.direction.value, known.round, known.attempt, known.idempotency_key


class KnowUndoing(Say):
    """Its revert notes what it knows of its attempt."""

    async def revert(self) -> None:  # type: ignore[override]
        """Note run, atom, direction and attempt."""
        await asyncio.sleep(0)
        note_attempt(self.folder)


class Give(plain.Give):
    """Returns what it was made with."""

    async def execute(self) -> Any:
        """Return the value."""
        await asyncio.sleep(0)
        return self.value


class Turn(Task):
    """Returns ``data`` the other way round."""

    async def execute(self, data: bytes) -> bytes:
        """Return the last byte first."""
        await asyncio.sleep(0)
        return data[::-1]


class Undo(Say):
    """Its revert notes what it is given."""

    async def revert(self, result: object, flow_failures: Mapping[str, object]) -> None:  # type: ignore[override]
        """Note the result and whose failures there are."""
        await asyncio.sleep(0)
        note(self.folder, f"revert {self.name} {result} {sorted(flow_failures)}")
