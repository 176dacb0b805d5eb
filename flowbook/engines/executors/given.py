"""Attempts run on an executor that the user made, such as any of concurrent.futures or futurist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from flowbook.atoms.base import Atom
from flowbook.engines.context import Outcome
from flowbook.engines.executors.base import DEFAULT_WINDOW, refuse_async
from flowbook.exceptions import NotPossible


class GivenExecutor:
    """Runs attempts on an executor of the user's, which is never shut down here."""

    def __init__(self, executor: Any, window: int | None = None) -> None:
        if not callable(getattr(executor, "submit", None)):
            raise NotPossible(f"{executor!r} has no submit method", todo="give a concurrent.futures.Executor or a name")
        self.window = DEFAULT_WINDOW if window is None else window
        self._executor = executor

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise NotPossible for the first atom that is async; what else the executor can run is not known."""
        refuse_async(atoms, "a pool")

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Hand ``call`` over to the user's executor. Raises NotPossible when it does not take it."""
        try:
            future: Future[Outcome] = self._executor.submit(call, *args)
        except Exception as error:  # it is shut down, or its workers are gone: each has its own word for it
            todo = "give an executor that takes work and run it again: it continues where it stopped"
            raise NotPossible(f"{self._executor!r} takes no work: {error}", todo=todo) from error
        if not callable(getattr(future, "add_done_callback", None)):
            raise NotPossible(f"submit of {self._executor!r} gives {future!r}, which is no future")
        return future

    def stop(self, future: Future[Outcome]) -> bool:
        """Cancel the future, as far as the user's executor can do that."""
        return bool(future.cancel())

    def shutdown(self) -> None:
        """Do nothing: the executor is the user's."""
