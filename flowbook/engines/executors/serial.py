"""Attempts run one by one, in the engine's own thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import futurist

from flowbook.engines.context import Outcome
from flowbook.exceptions import NotPossible


class SerialExecutor:
    """Runs each attempt at once, in the calling thread."""

    window = 1

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers not in (None, 1):
            raise NotPossible(f"a serial engine has one worker, not {max_workers}", todo='use engine="parallel"')
        self._executor = futurist.SynchronousExecutor()

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        """Run ``call`` and return its future, which is done."""
        return self._executor.submit(call, *args)

    def shutdown(self) -> None:
        """Do nothing: there is nothing to give back."""
