"""What a storage can tell of its own health and of its schema: two small protocols that a backend may have or not.

Nothing here changes a storage, and nothing is made where there is none: who looks only wants to know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Level(StrEnum):
    """How bad a finding is: as it should be, worth a look, or broken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``what`` was found, ``where`` (a file, a run), and what mends it.

    ``fix`` is empty when all is well.
    """

    level: Level
    what: str
    where: str = ""
    fix: str = ""


@runtime_checkable
class Inspectable(Protocol):
    """A backend that can look at its own storage, beyond what its records tell."""

    def inspect(self) -> Iterator[Finding]:
        """Yield what was found, the good too: integrity, permissions, leftover files, its clock if it has one.

        Reads only, opens no storage for writing and upgrades none. What cannot be read is a finding, not an error;
        storage errors that are raised all the same end the inspection as one more failure.
        """
        ...


@dataclass(frozen=True, slots=True)
class SchemaVersions:
    """The version that a storage has, and the newest that this flowbook knows.

    ``found`` is None where there is no storage yet, and empty before the first version.
    """

    found: str | None
    newest: str

    @property
    def is_newest(self) -> bool:
        """Whether there is nothing to upgrade."""
        return self.found in (None, self.newest)


@runtime_checkable
class Versioned(Protocol):
    """A backend whose storage has a schema with versions."""

    def schema_versions(self) -> SchemaVersions:
        """Return what the storage has and what is the newest; reads only, upgrades nothing.

        Raises NewerSchema, NotALogbook, Damaged and StorageUnavailable.
        """
        ...

    def upgrade_script(self) -> str:
        """Return what `Backend.upgrade` would run, for somebody who runs it by hand; nothing when it is the newest.

        For a storage that is not there yet, what makes it. Reads only.
        """
        ...
