"""A run at a glance: of many atoms those that matter most, and how many others there are.

It takes little more time than the storage needs to give the records: those of atoms that are not shown are counted by
their states and not looked at any further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from flowbook.engines.checking import checked
from flowbook.engines.options import SCHEMA
from flowbook.garbage import uncollected
from flowbook.persistence.backend import Backend
from flowbook.persistence.changes import Row
from flowbook.persistence.undecoded import Undecoded
from flowbook.states import UNFINISHED_ATOMS, AtomState
from flowbook.views.details import (
    KINDS,
    Recorded,
    RunView,
    atom_of,
    failures_in,
    look_into,
    pattern_of,
    run_of,
)
from flowbook.views.runs import owner_of_run

ATOMS_SHOWN: Final = 120
"""Of more atoms than these, those are shown first that failed or are under way; the others are counted."""

_STATES: Final = frozenset(map(str, AtomState))
_UNDER_WAY: Final = UNFINISHED_ATOMS | {AtomState.RETRYING}


@dataclass(frozen=True, slots=True)
class Overview:
    """A run with as many of the atoms that were asked for as are to be shown; ``run.counts`` counts all of the run.

    ``folded`` counts by state those that were asked for and are not shown, ``failures`` by the state of their atoms
    the failures of all that were asked for.
    """

    run: RunView
    folded: Mapping[str, int]
    failures: Mapping[str, int]


@uncollected()
def overview(
    backend: Backend, run_id: str, *, states: Collection[str] = (), names: str = "", most: int = ATOMS_SHOWN
) -> Overview:
    """Return a run with ``most`` of its atoms: in the order of the plan, or those first that failed or are under way.

    ``states`` and ``names`` ask for few atoms as in `narrowed`. Raises NotFound, Damaged and NewerSchema.
    """

    def choose(recorded: Recorded) -> tuple[Sequence[str], tuple[_Atoms, _Atoms, _Atoms]]:
        atoms = _Atoms.of(recorded)
        chosen = atoms.narrowed(states, names)
        shown = chosen.first(most)
        return shown.names, (atoms, chosen, shown)

    recorded, (atoms, chosen, shown) = look_into(backend, run_id, KINDS, choose)
    part, plans = recorded.part(shown.names), recorded.plans(frozenset(shown.names))
    views = [atom_of(part, name, plans.get(name, {})) for name in shown.names]
    return Overview(
        run_of(recorded, owner_of_run(backend, run_id), Counter(atoms.states), views),
        Counter(chosen.states) - Counter(shown.states),
        chosen.failed(),
    )


class _Atoms(NamedTuple):
    """Names of atoms with their states and the numbers of their failures, side by side."""

    names: Sequence[str]
    states: Sequence[str]
    failures: Sequence[int]

    @classmethod
    def of(cls, recorded: Recorded) -> _Atoms:
        """Return the atoms of a run. Raises Damaged where one is in no state that there is."""
        kept, names = recorded.records.kind("atom"), recorded.names()
        found = _states_in(kept)
        not_begun = AtomState.PENDING.value
        states = [found.get(name, not_begun) for name in names]
        if not _are_states(states):
            checked(recorded.records, recorded.url, SCHEMA)
        failed = kept.mentioning('failure"') if isinstance(kept, Undecoded) else kept.keys()
        return cls(names, states, [failures_in(kept[name]) if name in failed else 0 for name in names])

    def narrowed(self, states: Collection[str], names: str) -> _Atoms:
        """Return those in one of these states, if any are given, whose names match a pattern."""
        if not states and not names:
            return self
        fits, wanted = pattern_of(names), frozenset(map(str, states or _STATES))
        return self._at(
            at
            for at, (name, state) in enumerate(zip(self.names, self.states, strict=True))
            if state in wanted and fits(name)
        )

    def first(self, most: int) -> _Atoms:
        """Return all of them, or of more than ``most`` those first that failed, then those under way."""
        if len(self.names) <= most:
            return self
        ranks = [
            0 if failed else 1 if state in _UNDER_WAY else 2
            for state, failed in zip(self.states, self.failures, strict=True)
        ]
        return self._at(sorted(range(len(ranks)), key=ranks.__getitem__)[:most])

    def _at(self, places: Iterable[int]) -> _Atoms:
        kept = tuple(places)
        return _Atoms(
            [self.names[at] for at in kept],
            [self.states[at] for at in kept],
            [self.failures[at] for at in kept],
        )

    def failed(self) -> Counter[str]:
        """Return how many failures there are, by the states of their atoms."""
        counts = Counter[str]()
        for state, failures in zip(self.states, self.failures, strict=True):
            if failures:
                counts[state] += failures
        return counts


def _states_in(kept: Mapping[str, Row]) -> Mapping[str, Any]:  # whatever stands in its place
    if isinstance(kept, Undecoded):
        return kept.leading("state")
    return {name: row.get("state") for name, row in kept.items()}


def _are_states(states: Sequence[object]) -> bool:
    """Return whether all are states: of 100,000 atoms that takes 3 ms, and 30 ms one by one."""
    return all(issubclass(kind, str) for kind in set(map(type, states))) and _STATES.issuperset(states)
