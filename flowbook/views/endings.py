"""How a run ended, or an engine's entry into one: what was done, what was saved before, what failed, what took long."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flowbook.engines.checking import checked
from flowbook.engines.engine import Engine
from flowbook.engines.options import SCHEMA
from flowbook.exceptions import StorageError
from flowbook.failure import Failure
from flowbook.persistence.backend import Backend
from flowbook.persistence.changes import Row
from flowbook.states import AtomState, Direction, FlowState
from flowbook.views.details import KINDS, FailureView, Recorded, atom_of, duration_s, failures_in, read_run, view_of

SLOWEST: Final = 3
"""How many of the atoms that took longest are told."""

_WORDS: Final = ("done now", "saved earlier", "reverted", "failed", "ignored", "interrupted", "to go")
_WORD_OF: Final = {
    AtomState.REVERTED: "reverted",
    AtomState.IGNORE: "ignored",
    AtomState.RUNNING: "interrupted",
    AtomState.REVERTING: "interrupted",
    AtomState.FAILURE: "failed",
    AtomState.REVERT_FAILURE: "failed",
}

Attempts = Mapping[str, Sequence[Row]]
"""The recorded attempts of each atom."""


@dataclass(frozen=True, slots=True)
class Failed:
    """One failure: of executing an atom, or of reverting it; ``place`` is where the atom is defined."""

    atom: str
    place: str
    reverting: bool
    failure: FailureView


@dataclass(frozen=True, slots=True)
class Timing:
    """What took how long, in seconds, by what the logbook says.

    ``attempts_s`` is the sum of the attempts that began in the time that is told of, ``retried`` the number of tasks
    that were executed more than once in it. ``path`` is the critical path: of all chains of atoms that waited for each
    other the one that took longest, ``path_s``, by the last execution of each. ``slowest`` are atoms with theirs.
    """

    attempts_s: float = 0.0
    retried: int = 0
    path: tuple[str, ...] = ()
    path_s: float = 0.0
    slowest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a run; ``counts`` are numbers of atoms, without those that are 0, ``took_s`` is by the clock."""

    run: str
    flow: str
    state: FlowState
    counts: Mapping[str, int]
    failed: tuple[Failed, ...]
    took_s: float = 0.0
    timing: Timing = field(default_factory=Timing)


def ending_of(engine: Engine, touched: Collection[str], began: float | None = None) -> Ending:
    """Return how an engine's entry ended, which began at ``began``; ``touched`` are the atoms that ended an attempt.

    Without ``began`` nothing is told of times, and the logbook is not read; nor where it cannot be read any more.
    """
    plan, storage = engine.compilation.plan, engine.storage
    failures, reverts = storage.get_failures(), storage.get_revert_failures()
    broken = failures.keys() | reverts.keys()
    states = ((name, storage.get_atom_state(name)) for name in map(plan.names.__getitem__, plan.atom_nodes()))
    failed = [_failed(engine, name, failure, reverting=False) for name, failure in failures.items()]
    failed += [_failed(engine, name, failure, reverting=True) for name, failure in reverts.items()]
    counts = _counts(states, broken, touched)
    if began is None:
        return Ending(engine.run_id, plan.flow_name, engine.state, counts, tuple(failed))
    took_s = max(0.0, time.time() - began)
    retries = {plan.names[node] for node in plan.atom_nodes() if plan.atom(node).kind == "retry"}
    timing = timing_of(_attempts_of(engine), plan.edges(), began, retries)
    return Ending(engine.run_id, plan.flow_name, engine.state, counts, tuple(failed), took_s, timing)


def recorded_ending(backend: Backend, run_id: str, touched: Collection[str] = ()) -> Ending:
    """Return how far a run has come since it was created, by its logbook alone; ``touched`` as in `ending_of`.

    Raises NotFound, Damaged and NewerSchema.
    """
    recorded = read_run(backend, run_id, KINDS)
    row, rows = recorded.row, recorded.records.kind("atom")
    names, failed = recorded.names(), tuple(_recorded_failures(recorded))
    states = ((name, AtomState(rows[name]["state"]) if name in rows else AtomState.PENDING) for name in names)
    counts = _counts(states, {one.atom for one in failed}, touched)
    retries = {atom["name"] for atom in recorded.plan["atoms"] if atom.get("kind") == "retry"}
    timing = timing_of(recorded.records.appended.get("attempt", {}), recorded.edges(), row["created_at"], retries)
    took_s = max(0.0, row["updated_at"] - row["created_at"])
    return Ending(run_id, row["name"], FlowState(row["state"]), counts, failed, took_s, timing)


def timing_of(
    attempts: Attempts, edges: Iterable[tuple[str, str]], since: float, retries: Collection[str] = ()
) -> Timing:
    """Return what took how long since a moment; ``edges`` come by their first ends, in the order of the plan."""
    recent = {name: [row for row in rows if row["started_at"] >= since] for name, rows in attempts.items()}
    tasks = (rows for name, rows in recent.items() if name not in retries)
    executions = (sum(row["direction"] == Direction.EXECUTE for row in rows) for rows in tasks)
    took = {name: seconds for name, rows in attempts.items() if (seconds := _last_execution_s(rows)) is not None}
    path, path_s = critical_path(took, edges)
    return Timing(
        sum(duration_s(row) or 0.0 for rows in recent.values() for row in rows),
        sum(count > 1 for count in executions),
        path,
        path_s,
        tuple(sorted(took.items(), key=lambda item: -item[1])[:SLOWEST]),
    )


def critical_path(took: Mapping[str, float], edges: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], float]:
    """Return the chain that took longest, and how long; each edge once, so the time is linear.

    All edges to a name must come before the first one from it; names that are not in ``took`` take no time and are
    left out of the chain.
    """
    waited: dict[str, float] = {}  # how long the longest chain before a name took
    behind: dict[str, str] = {}  # the last of that chain
    for before, after in edges:
        seconds = waited.get(before, 0.0) + took.get(before, 0.0)
        if seconds > waited.get(after, 0.0):
            waited[after], behind[after] = seconds, before
    if not took:
        return (), 0.0
    last: str | None = max(took, key=lambda name: waited.get(name, 0.0) + took[name])
    path_s = waited.get(last or "", 0.0) + took[last or ""]
    path = []
    while last is not None:
        path.append(last)
        last = behind.get(last)
    return tuple(name for name in reversed(path) if name in took), path_s


def _counts(
    states: Iterable[tuple[str, AtomState]], broken: Collection[str], touched: Collection[str]
) -> dict[str, int]:
    counts = dict.fromkeys(_WORDS, 0)
    for name, state in states:
        if name in broken:
            word = "failed"
        elif state is AtomState.SUCCESS:
            word = "done now" if name in touched else "saved earlier"
        else:
            word = _WORD_OF.get(state, "to go")
        counts[word] += 1
    return {word: count for word, count in counts.items() if count}


def _failed(engine: Engine, name: str, failure: Failure, *, reverting: bool) -> Failed:
    plan = engine.compilation.plan
    place = plan.atom(plan.index[name]).place if name in plan.index else ""
    return Failed(name, place, reverting, view_of(failure))


def _recorded_failures(recorded: Recorded) -> Iterator[Failed]:
    """Yield the failures of executing atoms, in the order of the plan, then those of reverting them."""
    rows = recorded.records.kind("atom")
    broken = [name for name in recorded.names() if name in rows and failures_in(rows[name])]
    plans = recorded.plans(set(broken))
    atoms = [atom_of(recorded.records, name, plans.get(name, {})) for name in broken]
    for atom in atoms:
        if atom.failure is not None:
            yield Failed(atom.name, atom.place, False, atom.failure)
    for atom in atoms:
        if atom.revert_failure is not None:
            yield Failed(atom.name, atom.place, True, atom.revert_failure)


def _attempts_of(engine: Engine) -> Attempts:
    backend = engine.storage.backend
    try:
        records = backend.load(engine.run_id, ("flow", "attempt"))
        return checked(records, backend.url, SCHEMA).appended.get("attempt", {})
    except StorageError:
        return {}


def _last_execution_s(rows: Sequence[Row]) -> float | None:
    executed = (row for row in reversed(rows) if row["direction"] == Direction.EXECUTE)
    return next((took_s for row in executed if (took_s := duration_s(row)) is not None), None)
