"""How an engine's entry into a run ended: what it did now, what was saved before, and what failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flowbook.engines.engine import Engine
from flowbook.failure import Failure
from flowbook.states import AtomState, FlowState
from flowbook.views.details import FailureView


@dataclass(frozen=True, slots=True)
class Failed:
    """One failure: of executing an atom, or of reverting it; ``place`` is where the atom is defined."""

    atom: str
    place: str
    reverting: bool
    failure: FailureView


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a run in this entry; ``counts`` are numbers of atoms, without those that are 0."""

    run: str
    flow: str
    state: FlowState
    counts: Mapping[str, int]
    failed: tuple[Failed, ...]


def ending_of(engine: Engine, touched: Collection[str]) -> Ending:
    """Return how the entry ended; ``touched`` are the atoms that ended an attempt in it."""
    plan, storage = engine.compilation.plan, engine.storage
    failures, reverts = storage.get_failures(), storage.get_revert_failures()
    counts = dict.fromkeys(("done now", "saved earlier", "reverted", "failed", "ignored", "interrupted", "to go"), 0)
    for node in plan.atom_nodes():
        name = plan.names[node]
        broken = name in failures or name in reverts
        counts["failed" if broken else _word(storage.get_atom_state(name), now=name in touched)] += 1
    failed = [_failed(engine, name, failure, reverting=False) for name, failure in failures.items()]
    failed += [_failed(engine, name, failure, reverting=True) for name, failure in reverts.items()]
    told = {word: count for word, count in counts.items() if count}
    return Ending(engine.run_id, plan.flow_name, engine.state, told, tuple(failed))


def _word(state: AtomState, *, now: bool) -> str:
    match state:
        case AtomState.SUCCESS:
            return "done now" if now else "saved earlier"
        case AtomState.REVERTED:
            return "reverted"
        case AtomState.IGNORE:
            return "ignored"
        case AtomState.RUNNING | AtomState.REVERTING:
            return "interrupted"
        case AtomState.FAILURE | AtomState.REVERT_FAILURE:
            return "failed"
        case _:
            return "to go"


def _failed(engine: Engine, name: str, failure: Failure, *, reverting: bool) -> Failed:
    plan = engine.compilation.plan
    shown = FailureView(failure.type_names[0], failure.exception_str, failure.traceback_str)
    return Failed(name, plan.atom(plan.index[name]).place, reverting, shown)
