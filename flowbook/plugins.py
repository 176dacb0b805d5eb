"""Finding what installed packages offer under a name: backends, engines, executors, by stevedore entry points."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flowbook.exceptions import UnknownPlugin


def load_plugin(group: str, name: str, *, later: Collection[str] = ()) -> Any:  # what the entry point stands for
    """Return what the entry point ``name`` of ``group`` stands for.

    Raises UnknownPlugin when no installed package offers it, naming those that are; for one that cannot be loaded,
    or that is in ``later`` (known, but still to come), it says so.
    """
    from importlib.metadata import entry_points  # both take long: imported when the first plug-in is asked for

    from stevedore.driver import DriverManager
    from stevedore.exception import NoMatches

    failures: list[BaseException] = []

    def remember(manager: object, entry_point: object, error: BaseException) -> None:
        failures.append(error)

    try:
        return DriverManager[Any](group, name, on_load_failure_callback=remember).driver
    except NoMatches as error:
        known = {point.name for point in entry_points(group=group)}
        if failures:
            why = f"it cannot be loaded: {failures[0]}"
            raise UnknownPlugin(group, name, known - {name}, extra=name, why=why) from failures[0]
        if name in later:
            raise UnknownPlugin(group, name, known, extra=name, why="it comes in a later version") from error
        raise UnknownPlugin(group, name, known) from error
