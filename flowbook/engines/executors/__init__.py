"""Where attempts run: serial (the engine's own thread), threads, or an executor of the user's."""

from __future__ import annotations

from typing import Any, Final

from flowbook.engines.executors.base import Executor
from flowbook.plugins import load_plugin

GROUP: Final = "flowbook.executors"
"""Entry points of this group are callables that take ``max_workers`` and return an `Executor`."""


def make(executor: Any, max_workers: int | None = None) -> Executor:  # a name, or any object with submit()
    """Return the executor of that name, or one around an object with ``submit``, which stays the user's.

    Raises UnknownPlugin for a name that no package offers, NotPossible for an object that cannot submit.
    """
    if isinstance(executor, str):
        made: Executor = load_plugin(GROUP, executor)(max_workers)
        return made
    from flowbook.engines.executors.given import GivenExecutor

    return GivenExecutor(executor, max_workers)
