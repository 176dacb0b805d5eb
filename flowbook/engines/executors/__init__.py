"""Where attempts run: serial (the engine's own thread), threads, or an executor of the user's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from flowbook.engines.executors.base import Executor
from flowbook.exceptions import NotPossible
from flowbook.plugins import load_plugin

GROUP: Final = "flowbook.executors"
"""Entry points of this group are callables that take ``max_workers`` and return an `Executor`."""


def make(executor: Any, max_workers: int | None = None) -> Executor:  # a name, or any object with submit()
    """Return the executor of that name, or one around an object with ``submit``, which stays the user's.

    A name may have an address behind it, ``dask://host:8786``, where the plug-in has a function ``at`` that takes it.
    Raises UnknownPlugin for a name that no package offers, NotPossible for an object that cannot submit.
    """
    made: Executor
    if isinstance(executor, str):
        name, has_address, address = executor.partition("://")
        plugin = load_plugin(GROUP, name)
        made = _at(plugin, name)(address, max_workers) if has_address else plugin(max_workers)
        return made
    distributed = sys.modules.get("distributed")  # not imported: then it is none of dask's
    if distributed is not None and isinstance(executor, distributed.Client):
        made = load_plugin(GROUP, "dask")(max_workers, executor)
        return made
    from flowbook.engines.executors.given import GivenExecutor

    return GivenExecutor(executor, max_workers)


def _at(plugin: Any, name: str) -> Callable[[str, int | None], Executor]:
    at: Callable[[str, int | None], Executor] | None = getattr(plugin, "at", None)
    if at is None:
        raise NotPossible(f"the executor {name!r} is at no address", todo=f'give executor="{name}"')
    return at
