"""What is compared with what. Sides of a comparison take turns, so that a noisy machine disturbs all alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a comparison: what is asked of which environment, and the kind of storage that it needs.

    ``atoms`` and ``rounds`` are its own where those of the comparison would take it minutes.
    """

    label: str
    side: str
    case: str
    storage: str = ""
    atoms: int = 0
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides that do the same, so many atoms each."""

    key: str
    title: str
    atoms: int
    entries: tuple[Entry, ...]
    rounds: int = 0


OURS = "flowbook"
BARE = "bare"
DASK = "dask.get of tuples"
DASK_TASKS = "dask.get of its Task objects"
TASKFLOW = "TaskFlow"
DBOS = "DBOS"
PARSL = "parsl"
ABSURD = "absurd"
FAN = "flowbook, fan on 8 threads"
BY_ORDER = "flowbook, order only"

DURABLE = {
    "sqlite": "SQLite",
    "dir": "directory",
    "postgresql": "PostgreSQL",
    "mysql": "MariaDB",
    "zookeeper": "ZooKeeper",
}
"""The storages of durable runs, and what they are called in tables."""

_SLOW_ROUNDS = 3


def _ours(case: str, storage: str = "", label: str = OURS) -> Entry:
    return Entry(label, "flowbook", case, storage)


def _dask(case: str) -> tuple[Entry, Entry]:
    return Entry(DASK, "dask", f"{case} of tuples"), Entry(DASK_TASKS, "dask", f"{case} of tasks")


def _in_memory() -> list[Comparison]:
    layers = _ours("run layers"), _ours("run linked layers", label=BY_ORDER), *_dask("run layers")
    wide = _ours("run wide layers"), *_dask("run wide layers")
    whole = _ours("whole layers"), _ours("whole linked layers", label=BY_ORDER), *_dask("whole layers")
    return [
        Comparison("run chain", "memory, chain", 10_000, (_ours("run chain"), *_dask("run chain"))),
        Comparison("run fan", "memory, fan", 10_000, (_ours("run fan"), *_dask("run fan"))),
        Comparison("run layers", "memory, DAG in layers of 100", 10_000, layers),
        Comparison("run wide layers", "memory, DAG in layers of 1,000", 10_000, wide),
        Comparison("whole layers", "memory, DAG in layers of 100, compile included", 10_000, whole),
        Comparison(
            "whole chain",
            "memory, chain, compile included",
            1_000,
            (
                _ours("whole chain"),
                *_dask("whole chain"),
                Entry(TASKFLOW, "taskflow", "whole chain", rounds=_SLOW_ROUNDS),
                Entry("luigi", "luigi", "whole chain"),
                Entry("Prefect", "prefect", "whole chain", atoms=100, rounds=_SLOW_ROUNDS),
            ),
        ),
        Comparison(
            "threads fan",
            "memory, fan on 8 threads",
            10_000,
            (_ours("threads fan"), Entry(BARE, "bare", "threads fan"), Entry(PARSL, "parsl", "threads fan")),
        ),
    ]


def _compiling() -> list[Comparison]:
    chain = _ours("compile chain"), Entry("networkx graph", "bare", "graph")
    layers = _ours("compile layers"), _ours("compile linked layers", label=BY_ORDER)
    return [
        Comparison("compile chain", "compile, chain", 10_000, chain),
        Comparison("compile layers", "compile, DAG in layers of 100", 10_000, layers),
        Comparison("compile wide layers", "compile, DAG in layers of 1,000", 10_000, (_ours("compile wide layers"),)),
        Comparison("compile long chain", "compile, chain", 100_000, chain[:1], _SLOW_ROUNDS),
        Comparison("compile large layers", "compile, DAG in layers of 100", 100_000, layers, _SLOW_ROUNDS),
    ]


def _durable(storage: str, name: str) -> Comparison:
    entries = [
        _ours("durable chain", storage),
        Entry(BARE, "bare", "durable chain", storage),
        _ours("durable fan", storage, FAN),
    ]
    if storage == "sqlite":
        entries.append(Entry(DBOS, "dbos", "durable chain", storage))
        entries.append(Entry(TASKFLOW, "taskflow", "durable chain", storage, atoms=100, rounds=_SLOW_ROUNDS))
    if storage == "postgresql":
        entries.append(Entry(DBOS, "dbos", "durable chain", "postgresql database"))
        entries.append(Entry(ABSURD, "absurd", "durable chain", "postgresql database"))
    return Comparison(f"durable {storage}", f"{name}, durable chain", 2_000, tuple(entries))


def _resuming(storage: str) -> Comparison:
    title = f"{DURABLE[storage]}, half-done chain"
    return Comparison(f"resume {storage}", title, 10_000, (_ours("resume", storage),), _SLOW_ROUNDS)


ALL = (
    *_in_memory(),
    *_compiling(),
    *(_durable(*kind) for kind in DURABLE.items()),
    *map(_resuming, ("sqlite", "postgresql")),
)
