"""TaskFlow's ``persistence.models``: logbooks, and the details of flows and atoms in them, as plain objects."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, Generic, Self, TypeVar
from uuid import uuid4

from flowbook.states import AtomState, Intention
from flowbook.taskflow.types.failure import Failure

_Part = TypeVar("_Part", bound="_Detail")


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(eq=False, repr=False)
class _Detail:
    """What all details have: a name, an identity that never changes, and metadata of the caller's."""

    name: str
    uuid: str
    meta: dict[str, Any] = field(default_factory=dict, kw_only=True)  # whatever the caller notes

    def merge(self, other: Self) -> Self:
        """Become what ``other`` is, but for what is inside; return this detail."""
        for name in self._facts():
            setattr(self, name, getattr(other, name))
        return self

    def copy(self) -> Self:
        """Return a copy with metadata of its own; the values in it are the same objects."""
        other = copy(self)
        other.meta = dict(self.meta)
        return other

    def pformat(self, indent: int = 0, linesep: str = os.linesep) -> str:
        """Return what is known of it and of what is inside, a line for each fact."""
        left = " " * indent
        facts = (f"{left} - {name} = {getattr(self, name)}" for name in ("uuid", *self._facts()))
        inside = (part.pformat(indent + 1, linesep) for part in getattr(self, "_parts", {}).values())
        return linesep.join((f"{left}{type(self).__name__}: {self.name!r}", *facts, *inside))

    @classmethod
    def _facts(cls) -> list[str]:
        """Return the names of what may change."""
        return [each.name for each in fields(cls) if each.name not in ("name", "uuid", "_parts")]


@dataclass(eq=False, repr=False, kw_only=True)
class _Container(_Detail, Generic[_Part]):
    """A detail with others inside, the first added first."""

    _parts: dict[str, _Part] = field(default_factory=dict, init=False)

    def add(self, part: _Part) -> None:
        """Take ``part`` in, in place of the one with the same uuid if there is one."""
        self._parts[part.uuid] = part

    def find(self, uuid: str) -> _Part | None:
        """Return what has this uuid, or None."""
        return self._parts.get(uuid)

    def __iter__(self) -> Iterator[_Part]:
        return iter(tuple(self._parts.values()))  # others may add while somebody reads

    def __len__(self) -> int:
        return len(self._parts)

    def copy(self, retain_contents: bool = True) -> Self:
        """Return a copy with the same objects inside, or none."""
        other = super().copy()
        other._parts = dict(self._parts) if retain_contents else {}
        return other


@dataclass(eq=False, repr=False, kw_only=True)
class LogBook(_Container["FlowDetail"]):
    """A collection of flow details; times are UTC without a zone."""

    uuid: str = field(default="", kw_only=False)  # nothing for a new one
    created_at: datetime | None = field(default_factory=_now)
    updated_at: datetime | None = None

    def __post_init__(self) -> None:
        self.uuid = self.uuid or str(uuid4())

    def add(self, part: FlowDetail) -> None:
        """Take a flow detail in, in place of the one with the same uuid if there is one."""
        super().add(part)
        self.updated_at = _now()


@dataclass(eq=False, repr=False, kw_only=True)
class FlowDetail(_Container["AtomDetail"]):
    """What is kept of a flow: its state, and the details of its atoms."""

    state: str | None = None

    def update(self, fd: Self) -> Self:
        """Become what ``fd`` is, with the same atom details inside; return this flow detail."""
        self._parts = fd._parts
        return self.merge(fd)


@dataclass(eq=False, repr=False, kw_only=True)
class AtomDetail(_Detail):
    """What is kept of an atom: state, intention, and what came out of it; a failure is None where nothing failed."""

    version: Any = None  # text or a tuple
    intention: str | None = Intention.EXECUTE.value
    results: Any = None  # what the caller's atom returned, as the next but one
    failure: Failure | None = None
    revert_results: Any = None
    revert_failure: Failure | None = None
    state: str | None = None  # the last: who reads while others take it over finds no state without its result

    def forget(self) -> None:
        """Forget all that came out of the atom, and leave its state and intention."""
        self.results = self.failure = self.revert_results = self.revert_failure = None

    def reset(self, state: str) -> None:
        """Forget all that came out of the atom; ``state`` is its new one, and it is to be executed."""
        self.forget()
        self.intention, self.state = Intention.EXECUTE.value, state

    @property
    def last_results(self) -> Any:
        """The result of the newest execution."""
        return self.results

    def put(self, state: str, result: object) -> None:
        """Note that the atom got into ``state`` with ``result``."""
        if state in ENDINGS:
            slot, untrue = ENDINGS[state]
            for name in untrue:
                setattr(self, name, None)
            setattr(self, slot, result)
        self.state = state

    update = _Detail.merge


class TaskDetail(AtomDetail):
    """What is kept of a task; ``results`` is what its execute returned."""


@dataclass(eq=False, repr=False, kw_only=True)
class RetryDetail(AtomDetail):
    """What is kept of a retry; ``results`` is its history: what it returned in each attempt, and the failures in it."""

    results: list[tuple[Any, dict[str, Failure]]] = field(default_factory=list)

    def forget(self) -> None:
        """Forget all that came out of the retry, its history too, and leave its state and intention."""
        super().forget()
        self.results = []

    @property
    def last_results(self) -> Any:
        """What the retry returned for the newest attempt. Raises IndexError when there was none."""
        return self.results[-1][0]

    @property
    def last_failures(self) -> dict[str, Failure]:
        """The failures of the newest attempt, by name of atom. Raises IndexError when there was none."""
        return self.results[-1][1]

    def put(self, state: str, result: object) -> None:
        """Note that the retry got into ``state`` with ``result``; a success adds an attempt to the history."""
        history = self.results
        super().put(state, [*history, (result, {})] if state == AtomState.SUCCESS else result)
        self.results = self.results or history

    def copy(self) -> Self:
        """Return a copy with metadata and a history of its own; the values in them are the same objects."""
        other = super().copy()
        other.results = [(result, dict(failures)) for result, failures in self.results]
        return other


ENDINGS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    AtomState.SUCCESS: ("results", ("failure", "revert_results", "revert_failure")),
    AtomState.FAILURE: ("failure", ("results", "revert_results", "revert_failure")),
    AtomState.REVERTED: ("revert_results", ("revert_failure",)),
    AtomState.REVERT_FAILURE: ("revert_failure", ("results", "revert_results")),
}
"""Where a state keeps its result, and what is no longer true then."""


def atom_detail_class(atom_type: str) -> type[AtomDetail]:
    """Return the class that TaskFlow calls ``TASK_DETAIL`` or ``RETRY_DETAIL``. Raises TypeError for another name."""
    if atom_type not in ("TASK_DETAIL", "RETRY_DETAIL"):
        raise TypeError(f"Unknown atom type {atom_type!r}: neither TASK_DETAIL nor RETRY_DETAIL")
    return TaskDetail if atom_type == "TASK_DETAIL" else RetryDetail
