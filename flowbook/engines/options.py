"""What an engine was asked for: one frozen value, checked where it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, TypedDict, TypeGuard

from flowbook.atoms.task import check_timeout
from flowbook.clock import Clock, SystemClock
from flowbook.engines.commits import CommitPolicy, check_policy
from flowbook.exceptions import NotPossible, WrongType
from flowbook.flows.plan import Plan
from flowbook.persistence.changes import Row
from flowbook.states import FlowState

DEFAULT_BOOK = "default"
DEFAULT_LEASE_S = 30.0
ID_MAX_BYTES = 500
SCHEMA = 1
"""The version of the records' meaning; a flow's row carries it."""


class EngineOptions(TypedDict, total=False):
    """The options that `flowbook.engines.load` takes by keyword, beside its own; `Options` says what they mean."""

    book: str
    rerun: bool
    on_change: Literal["accept", "refuse"]
    take_over: bool
    lease_s: float
    executor: Any  # a name, or any object with submit()
    executors: Mapping[str, Any] | None  # names, objects with submit(), or one of these and a number of workers
    max_workers: int | None
    max_in_flight: int | None
    clock: Clock
    defer_reverts: bool
    never_resolve: bool
    timeout: float | None
    commit: CommitPolicy


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one engine.

    ``rerun`` runs a finished flow again in a new round; ``on_change`` says whether a flow that differs from the
    recorded plan is accepted (and the difference told) or refused; ``take_over`` takes the flow from a living owner;
    ``lease_s`` is how long a claim outlives an owner whose death cannot be seen; ``factory`` says how another process
    can rebuild the flow; ``closes_backend`` closes the backend at the end of each run (it opens when it is used).
    ``defer_reverts`` lets a retry that says REVERT hand the failure on until somebody decides otherwise, at last to all
    being reverted: without it, only its own flow is reverted when no retry around it objects. ``never_resolve`` asks
    nobody and reverts nothing: after a failure what runs is finished, and the flow has failed. ``executors`` are those
    that atoms name, each a name, an object, or a pair of one and its ``max_workers``; with None all atoms run on
    ``executor``, whatever they name. ``max_in_flight`` is the window, unless it is to be that of the executor;
    several executors share it, none with more than its own.

    ``timeout`` is how many seconds a round of the flow may take, from when it is first begun: then it is cancelled. The
    deadline is stored, and counts also while nobody works on the run. A run that has one keeps it.

    ``commit`` says how long what happened may stay in memory, and be lost in a crash: ``each`` commits every end of
    an atom before anybody hears of it (the default), `Every` a number of them together or after some seconds, ``end``
    all when the run is left; ``never`` keeps the run in this process alone, whatever the backend.
    """

    run_id: str
    book: str = DEFAULT_BOOK
    rerun: bool = False
    on_change: Literal["accept", "refuse"] = "accept"
    take_over: bool = False
    lease_s: float = DEFAULT_LEASE_S
    factory: Row | None = None
    closes_backend: bool = False
    executor: Any = None
    executors: Mapping[str, Any] | None = field(default_factory=dict)
    max_workers: int | None = None
    max_in_flight: int | None = None
    clock: Clock = field(default_factory=SystemClock)
    defer_reverts: bool = False
    never_resolve: bool = False
    timeout: float | None = None
    commit: CommitPolicy = "each"

    def __post_init__(self) -> None:
        """Raise WrongType or NotPossible for values that make no sense."""
        check_id("run_id", self.run_id)
        check_id("book", self.book)
        if self.on_change not in ("accept", "refuse"):
            raise NotPossible(f"on_change is {self.on_change!r}", todo="give 'accept' or 'refuse'")
        check_policy(self.commit)
        if self.timeout is not None:
            check_timeout("timeout", self.timeout)
        if not _is_number(self.lease_s) or self.lease_s <= 0:
            raise NotPossible(f"lease_s is {self.lease_s!r}", todo="give seconds above 0; 30 is the default")
        _check_count("max_workers", self.max_workers)
        _check_count("max_in_flight", self.max_in_flight)
        _check_executors(self.executors)

    def flow_row(self, plan: Plan, at: float) -> Row:
        """Return the record of a new run of a flow."""
        row = {
            "id": self.run_id,
            "schema": SCHEMA,
            "book": self.book,
            "name": plan.flow_name,
            "state": FlowState.PENDING.value,
            "created_at": at,
            "updated_at": at,
            "atoms": plan.atom_count,
        }
        return row if self.factory is None else {**row, "factory": self.factory}


def check_id(name: str, value: object) -> None:
    """Raise WrongType or NotPossible when ``value`` cannot name a run or a book."""
    if not isinstance(value, str):
        raise WrongType(name, value, "a string")
    if not value or len(value.encode(errors="surrogatepass")) > ID_MAX_BYTES:
        raise NotPossible(f"{name} is {value!r}", todo=f"give 1 to {ID_MAX_BYTES} bytes of text")


def _check_count(name: str, value: object) -> None:
    if value is not None and not (_is_number(value) and value >= 1):
        raise NotPossible(f"{name} is {value!r}", todo="give at least 1")


def _check_executors(executors: object) -> None:
    if executors is None:
        return
    if not isinstance(executors, Mapping):
        raise WrongType("executors", executors, "a mapping of names to executors")
    for name, given in executors.items():
        if not isinstance(name, str):
            raise WrongType("a name in executors", name, "a string")
        if isinstance(given, tuple):
            if len(given) != 2:
                raise WrongType(f"executors[{name!r}]", given, "an executor, or a pair of one and its max_workers")
            _check_count(f"max_workers of executors[{name!r}]", given[1])


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
