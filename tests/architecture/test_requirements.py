"""What comes onto the machine of somebody who installs flowbook."""

from __future__ import annotations

from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def test_installing_flowbook_brings_at_most_16_packages() -> None:
    packages = _required_by("flowbook", extras=frozenset())
    assert len(packages) <= 16, sorted(packages)


def _required_by(package: str, *, extras: frozenset[str]) -> set[str]:
    """Return the packages that ``package`` needs here, directly or not."""
    packages: set[str] = set()
    waiting = [(package, extras)]
    asked = set(waiting)
    while waiting:
        for requirement in _requirements(*waiting.pop()):
            name = canonicalize_name(requirement.name)
            packages.add(name)
            question = (name, frozenset(requirement.extras))
            if question not in asked:
                asked.add(question)
                waiting.append(question)
    return packages


def _requirements(package: str, extras: frozenset[str]) -> list[Requirement]:
    requirements = [Requirement(text) for text in requires(package) or ()]
    return [requirement for requirement in requirements if _applies(requirement, extras)]


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})
