"""Attempts run one by one, in the engine's own thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from flowbook.atoms.base import Atom
from flowbook.engines.context import Outcome
from flowbook.engines.executors.base import refuse_async
from flowbook.exceptions import NotPossible


class SerialExecutor:
    """Runs each attempt at once, in the calling thread: with no statistics and no futures, unlike futurist's."""

    window = 1

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers not in (None, 1):
            raise NotPossible(f"a serial engine has one worker, not {max_workers}", todo='use engine="parallel"')

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise NotPossible for the first atom that is async."""
        refuse_async(atoms, "the serial executor")

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Outcome:
        """Run ``call`` and return what it gave."""
        return call(*args)

    def stop(self, future: Future[Outcome]) -> bool:
        """Return False: there is no future."""
        return False

    def shutdown(self) -> None:
        """Do nothing: there is nothing to give back."""
