"""Runs in a row: what a list of them shows, and how one is found by the beginning of its id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flowbook.exceptions import NotFound
from flowbook.persistence.backend import Backend, FlowSummary, Query
from flowbook.persistence.finding import DAMAGED as DAMAGED
from flowbook.persistence.owners import lives_by_pid
from flowbook.states import FlowState

GROUP: Final = "logbook:"
"""What the ids of records begin with that only tell which runs belong together: no list of runs shows them."""

STATES: Final[Sequence[str]] = (*FlowState, DAMAGED)
"""The states that a run in a list may be in."""

LAST: Final = "@last"
FAILED: Final = "@failed"

_MEANT: Final[Mapping[str, Collection[str]]] = {LAST: (), FAILED: (FlowState.FAILURE, FlowState.REVERTED)}
"""The states that a run is in which a word stands for, of which it is the newest; none: any."""

_IDS_SHOWN = 5
_IDS_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class OwnerView:
    """Who has claimed a run: its name, since when, and whether it lives (None: cannot be seen from here)."""

    name: str
    since: float
    lives: bool | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run in a list; times are seconds since the epoch, ``owner`` is None while nobody has claimed it.

    Of a run that is `DAMAGED` no times are known: they are 0.
    """

    id: str
    book: str
    name: str
    state: str
    atoms: int
    created_at: float
    updated_at: float
    owner: OwnerView | None


def list_runs(
    backend: Backend,
    *,
    book: str | None = None,
    name: str | None = None,
    states: Collection[str] = (),
    prefix: str = "",
    since: float | None = None,
    until: float | None = None,
    limit: int | None = None,
) -> tuple[RunRow, ...]:
    """Return the runs of a logbook, newest first, or those that match all that is given.

    ``name`` is that of the flow, ``prefix`` the beginning of the run's id; ``since`` and ``until`` bound the time of
    its creation, in seconds since the epoch.
    """
    query = Query(book=book, name=name, states=frozenset(states), prefix=prefix, since=since, until=until, limit=limit)
    return tuple(map(row_of, _found(backend, query)))


def _found(backend: Backend, query: Query) -> Sequence[FlowSummary]:
    """Return the runs that match; where groups took their places in a cut answer, a longer one is asked for."""
    limit, asked = query.limit, query
    while True:
        found = backend.find(asked)
        runs = [one for one in found if not one.flow.startswith(GROUP)]
        if limit is None or len(runs) >= limit or len(found) < (asked.limit or 0):
            return runs[:limit]
        asked = replace(asked, limit=2 * len(found))


def row_of(summary: FlowSummary) -> RunRow:
    """Return the row that shows a summary."""
    return RunRow(
        summary.flow,
        summary.book,
        summary.name,
        summary.state,
        summary.atoms,
        summary.created_at,
        summary.updated_at,
        owner_of(summary),
    )


def row_of_run(backend: Backend, run_id: str) -> RunRow | None:
    """Return the row of the run with exactly this id; None when there is none."""
    return next(map(row_of, backend.find(Query(flow=run_id))), None)


def owner_of_run(backend: Backend, run_id: str) -> OwnerView | None:
    """Return who has claimed the run with exactly this id, if anybody has."""
    row = row_of_run(backend, run_id)
    return None if row is None else row.owner


def owner_of(summary: FlowSummary) -> OwnerView | None:
    """Return who has claimed the run, if anybody has."""
    owner = summary.owner
    if owner is None:
        return None
    return OwnerView(str(owner), summary.owned_since or summary.updated_at, lives_by_pid(owner))


def may_work(owner: OwnerView | None) -> bool:
    """Return whether somebody works on a run, as far as can be seen from here: who is known to be gone does not."""
    return owner is not None and owner.lives is not False


def find_id(backend: Backend, word: str) -> str:
    """Return the id that ``word`` is, or the only one that begins with it, or that of a run with such a name.

    `LAST` is the newest run, `FAILED` the newest that failed. Raises NotFound, with ids that come near, when there
    is none or when there are several.
    """
    try:
        return backend.load(word, ("flow",)).flow
    except NotFound:
        pass
    if word in _MEANT:
        return _newest(backend, word)
    found = [one.flow for one in _found(backend, Query(prefix=word, limit=_IDS_LOOKED_AT))] if word else []
    match found:
        case []:
            newest = _found(backend, Query(limit=_IDS_LOOKED_AT))
            raise NotFound("run", word, [*_MEANT, *(one.flow for one in newest)])
        case [only]:
            return only
        case several:
            raise Ambiguous(word, several)


def _newest(backend: Backend, word: str) -> str:
    for run in list_runs(backend, states=_MEANT[word], limit=1):
        return run.id
    raise NoneSuch(word)


class NoneSuch(NotFound):
    """The logbook has no run of the kind that the word stands for."""

    def __init__(self, word: str) -> None:
        super().__init__("run", word)

    def __str__(self) -> str:
        what = "no run has failed" if self.key == FAILED else "no runs are recorded"
        return f"{what}: there is no {self.key}"


class Ambiguous(NotFound):
    """Several ids begin with what was given."""

    def __init__(self, word: str, ids: Sequence[str]) -> None:
        super().__init__("run", word, ids)

    def __str__(self) -> str:
        return f"{len(self.known)} runs begin with {self.key!r}"

    @property
    def todo(self) -> str:
        """Name some of them."""
        more = ", ..." if len(self.known) > _IDS_SHOWN else ""
        return f"give more of the id: {', '.join(self.known[:_IDS_SHOWN])}{more}"
