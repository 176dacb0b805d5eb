"""Finding what installed packages offer under a name: backends, engines, executors, by stevedore entry points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowbook.exceptions import UnknownPlugin


def load_plugin(group: str, name: str, *, later: Mapping[str, str] | None = None) -> Any:  # what the point stands for
    """Return what the entry point ``name`` of ``group`` stands for.

    Raises UnknownPlugin when no installed package offers it, naming those that are; for one that cannot be loaded, it
    names the package that brings it. ``later`` says of those that are known, but still to come, what there is instead.
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
        known = {point.name: point for point in entry_points(group=group)}
        if failures:
            why = f"it cannot be loaded: {type(failures[0]).__name__}: {failures[0]}"
            todo = _mend(known.pop(name, None))
            raise UnknownPlugin(group, name, known, why=why, todo=todo) from failures[0]
        if later and name in later:
            why = "it comes in a later version"
            raise UnknownPlugin(group, name, known, why=why, todo=f"now: {later[name]}") from error
        raise UnknownPlugin(group, name, known) from error


def _mend(point: Any) -> str:  # an EntryPoint, whose module is imported late
    """Say whose plug-in it is, as far as its package tells."""
    package = getattr(point, "dist", None)
    if package is None:
        return "install what it needs, or install it again"
    return f"it belongs to {package.name} {package.version}: install what that needs, or install it again"
