"""Finding what installed packages offer under a name: backends, engines, executors, by stevedore entry points."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowbook.exceptions import UnknownPlugin
from flowbook.secrets.masking import masked

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_EXTRA: Final = re.compile(r"""extra *== *['"]([^'"]+)['"]""")
_PACKAGE: Final = re.compile(r"[\w.-]+")

PREFIX: Final = "flowbook."
"""What the names of flowbook's groups of entry points begin with."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of flowbook's groups: what it leads to, whose it is, and the error if it cannot be loaded.

    ``needs`` is the command that installs an extra which it declares, where a package of that is missing.
    """

    group: str
    name: str
    value: str
    package: str
    version: str
    error: str = ""
    needs: str = ""


class ExtraMissing(UnknownPlugin):
    """What this name stands for needs an extra of its package, which is not installed."""

    code = "FB112"

    def __str__(self) -> str:
        return f"{self.name} needs: {self.todo}"


class PluginBroken(UnknownPlugin):
    """A package that is installed offers this, and it does not work."""

    code = "FB115"

    def __str__(self) -> str:
        return f"the plug-in {self.name!r} of {self.group} does not work"


def load_plugin(group: str, name: str) -> Any:  # what the point stands for
    """Return what the entry point ``name`` of ``group`` stands for.

    Raises UnknownPlugin when no installed package offers it, naming those that are, and for one that cannot be loaded
    PluginBroken, which names the package that brings it, or ExtraMissing when an extra of that package would help.
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
            raise _cannot_load(group, name, known, failures[0]) from failures[0]
        raise UnknownPlugin(group, name, known) from error


def _cannot_load(group: str, name: str, known: dict[str, EntryPoint], error: BaseException) -> UnknownPlugin:
    point = known.pop(name, None)
    why = f"it cannot be loaded: {_told(error)}"
    if point is not None and (install := _extra_of(point, error)):
        return ExtraMissing(group, name, known, why=why, todo=install)
    return PluginBroken(group, name, known, why=why, todo=_mend(point))


def broken(group: str, name: str, why: str) -> PluginBroken:
    """Return the error about a plug-in that was loaded, and then did not do what it is for."""
    from importlib.metadata import entry_points

    known = {point.name: point for point in entry_points(group=group)}
    return PluginBroken(group, name, known.keys() - {name}, why=masked(why), todo=_mend(known.get(name)))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _extra_of(point: EntryPoint, error: BaseException) -> str:
    """Return the command that installs the extras which a plug-in declares, when an import failed; else nothing."""
    return _install(point) if isinstance(error, ImportError) and point.extras else ""


def _install(point: EntryPoint) -> str:
    return "" if point.dist is None else f"pip install '{point.dist.name}[{','.join(point.extras)}]'"


def _mend(point: EntryPoint | None) -> str:
    """Say whose plug-in it is, as far as its package tells."""
    package = None if point is None else point.dist
    if package is None:
        return "install what it needs, or install it again"
    return f"it belongs to {package.name} {package.version}: install what that needs, or install it again"


def installed_plugins() -> Iterator[Plugin]:
    """Yield what installed packages add to flowbook, by group and name; each is loaded, to see whether it can be."""
    from importlib.metadata import entry_points

    points = entry_points()
    for group in sorted(name for name in points.groups if name.startswith(PREFIX)):
        for point in sorted(points.select(group=group), key=lambda point: point.name):
            yield _tried(point)


def _tried(point: EntryPoint) -> Plugin:
    package, version = ("", "") if point.dist is None else (point.dist.name, point.dist.version)
    error, needs = "", _install(point) if any(map(_is_missing, _packages_of_extras(point))) else ""
    try:
        point.load()
    except Exception as failure:  # it is somebody else's code
        error, needs = _told(failure), needs or _extra_of(point, failure)
    return Plugin(point.group, point.name, point.value, package, version, error, needs)


def _packages_of_extras(point: EntryPoint) -> Iterator[str]:
    """Yield the packages that the extras of a plug-in stand for, as far as its own package tells."""
    for requirement in (point.dist.requires if point.dist is not None else None) or ():
        extra = _EXTRA.search(requirement)
        if extra is not None and extra[1] in point.extras:
            yield requirement.partition(";")[0]


def _is_missing(requirement: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    name = _PACKAGE.match(requirement)
    try:
        return name is not None and not version(name[0])
    except PackageNotFoundError:
        return True
