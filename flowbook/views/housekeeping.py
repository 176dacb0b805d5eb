"""Keeping a logbook tidy: which runs may go, deleting them, what resumes one, and an older storage up to date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowbook.engines.factories import Factory
from flowbook.exceptions import FactoryMissing, FlowOwned, NotFound, OwnershipLost, StorageError
from flowbook.persistence.backend import Backend
from flowbook.persistence.inspection import SchemaVersions, Versioned
from flowbook.persistence.owners import current_owner
from flowbook.states import FINISHED
from flowbook.views.documents import list_document
from flowbook.views.runs import RunRow, list_runs, may_work, row_of_run
from flowbook.views.schemas import PRUNE

_LEASE_S: Final = 30.0

CLAIMED: Final = "somebody works on it, or may"
CHANGED: Final = "it was written meanwhile"
GONE: Final = "somebody else has deleted it meanwhile"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs are to be deleted: those that fit every field that is given.

    ``states`` are the finished ones by default, and may be any of `flowbook.views.runs.STATES`; ``before`` is when a
    run was last written at the latest, in seconds since the epoch; the newest ``keep`` of those that fit stay.
    ``force`` means claimed runs too.
    """

    states: Collection[str] = FINISHED
    book: str | None = None
    before: float | None = None
    keep: int = 0
    force: bool = False


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a choice comes to: the runs to delete, and those that are spared because somebody has claimed them."""

    runs: tuple[RunRow, ...]
    spared: tuple[RunRow, ...]

    @property
    def atoms(self) -> int:
        """How many atoms the runs to delete have."""
        return sum(run.atoms for run in self.runs)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of it: the runs that were deleted, and those that were not, each with the reason.

    ``errors`` are those of the storage, which left runs as they were.
    """

    deleted: tuple[RunRow, ...]
    skipped: tuple[tuple[RunRow, str], ...]
    errors: tuple[StorageError, ...] = ()

    @property
    def atoms(self) -> int:
        """How many atoms the runs that were deleted had."""
        return sum(run.atoms for run in self.deleted)


def choose(backend: Backend, choice: Choice) -> Pruning:
    """Return which runs a choice means, the last written first; nothing is deleted yet."""
    found = list_runs(backend, book=choice.book, states=choice.states)
    fitting = [run for run in found if choice.before is None or run.updated_at <= choice.before]
    fitting.sort(key=lambda run: run.updated_at, reverse=True)
    going = fitting[choice.keep :]
    spared = tuple(run for run in going if not choice.force and may_work(run.owner))
    claimed = {run.id for run in spared}
    return Pruning(tuple(run for run in going if run.id not in claimed), spared)


def _nobody(run: RunRow) -> None:
    """Hear of a run."""


def prune(
    backend: Backend, pruning: Pruning, *, force: bool = False, told: Callable[[RunRow], None] = _nobody
) -> Pruned:
    """Delete the runs that were chosen, each at once or not at all; ``told`` hears of each that is done.

    A run that was written since, or claimed, is left alone, and one that the storage cannot delete: the others go on.
    ``force`` takes a claimed one from its owner first, whose engine then stops with OwnershipLost; it may have been
    written since, but not have changed its state.
    """
    deleted: list[RunRow] = []
    skipped = [(run, CLAIMED) for run in pruning.spared]
    errors: list[StorageError] = []
    for run in pruning.runs:
        try:
            reason = _delete(backend, run, force=force)
        except StorageError as error:
            errors.append(error)
            reason = f"{error}: {error.why}" if error.why else str(error)
        if reason:
            skipped.append((run, reason))
        else:
            deleted.append(run)
        told(run)
    return Pruned(tuple(deleted), tuple(skipped), tuple(errors))


def _delete(backend: Backend, run: RunRow, *, force: bool) -> str:
    """Delete a run as it was seen, and return nothing, or the reason why it was not deleted. Raises StorageError."""
    now = row_of_run(backend, run.id)
    if now is None:
        return GONE
    if now.state != run.state or (now.updated_at != run.updated_at and not force):
        return CHANGED
    try:
        if force and may_work(now.owner):
            claim = backend.claim(f"flow:{run.id}", current_owner(), lease_s=_LEASE_S, take_over=True)
            backend.renew(claim, lease_s=0.0)
        backend.destroy(run.id)
    except NotFound:
        return GONE
    except (FlowOwned, OwnershipLost):
        return CLAIMED
    return ""


def pruning_document(backend: Backend, pruning: Pruning, pruned: Pruned | None) -> dict[str, Any]:
    """Return the document of what is to be deleted (``pruned`` is None then), or of what was."""
    going, fate = (pruning.runs, "to delete") if pruned is None else (pruned.deleted, "deleted")
    left = [(run, CLAIMED) for run in pruning.spared] if pruned is None else pruned.skipped
    rows = [
        *_rows(going, fate, [""] * len(going)),
        *_rows([run for run, _ in left], "skipped", [why for _, why in left]),
    ]
    return PRUNE.document(
        rows,
        backend=backend.url,
        dry_run=pruned is None,
        deleted=0 if pruned is None else len(pruned.deleted),
        deleted_atoms=0 if pruned is None else pruned.atoms,
        skipped=len(left),
    )


def _rows(runs: Sequence[RunRow], fate: str, reasons: Sequence[str]) -> list[dict[str, Any]]:
    rows = list_document(runs)["runs"]
    return [{**row, "fate": fate, "why": why} for row, why in zip(rows, reasons, strict=True)]


def allowance(backend: Backend, run_id: str) -> str | None:
    """Return what ``--allow`` must name for a recorded run to be resumed, or None where no factory was recorded."""
    row = backend.load(run_id, ("flow",)).kind("flow").get(run_id, {}).get("factory")
    try:
        factory = Factory.from_row(row, run_id) if isinstance(row, Mapping) else None
    except FactoryMissing:
        return None
    return None if factory is None else factory.path or factory.module


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What upgrading a storage came to: the versions before and after; None for a storage without versions."""

    url: str
    before: SchemaVersions | None
    after: SchemaVersions | None

    @property
    def did_something(self) -> bool:
        """Whether the storage was changed, or made."""
        return self.before != self.after


def upgrade_storage(backend: Backend) -> Upgrade:
    """Bring an older storage up to date, and say from which version to which; one that is not there yet is made.

    Raises NewerSchema, NotALogbook and other storage errors.
    """
    before = _versions(backend)
    backend.upgrade()
    return Upgrade(backend.url, before, _versions(backend))


def _versions(backend: Backend) -> SchemaVersions | None:
    return backend.schema_versions() if isinstance(backend, Versioned) else None


def upgrade_script(backend: Backend) -> str:
    """Return what `upgrade_storage` would run, for somebody who runs it by hand; nothing is touched.

    It is empty when there is nothing to do, and for a storage without versions.
    """
    return backend.upgrade_script() if isinstance(backend, Versioned) else ""
