"""Attempts run on an executor that the user made, such as any of concurrent.futures or futurist."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from flowbook.engines.executors.base import DEFAULT_WINDOW, Outcome
from flowbook.exceptions import NotPossible


class GivenExecutor:
    """Runs attempts on an executor of the user's, which is never shut down here."""

    def __init__(self, executor: Any, window: int | None = None) -> None:
        if not callable(getattr(executor, "submit", None)):
            raise NotPossible(f"{executor!r} has no submit method", todo="give a concurrent.futures.Executor or a name")
        self.window = window or DEFAULT_WINDOW
        self._executor = executor

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Hand ``call`` over to the user's executor."""
        future: Future[Outcome] = self._executor.submit(call, *args)
        return future

    def shutdown(self) -> None:
        """Do nothing: the executor is the user's."""
