"""Records as read: whether each field is what an engine writes there. What is wrong is named before anybody uses it.

Values stay undecoded, and what a plan or a factory holds is checked where it is unpacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, Final, NamedTuple

from flowbook.exceptions import Damaged, NewerSchema
from flowbook.persistence.backend import FlowRecords
from flowbook.persistence.changes import Inline, Row
from flowbook.states import AtomState, Direction, FlowState, Intention


def checked(records: FlowRecords, url: str, schema: int) -> FlowRecords:
    """Return ``records``, all of whose rows make sense; kinds that are not there, or not ours, are not looked at.

    Raises NewerSchema when the flow's row has a later version than ``schema``, and Damaged, which names the first
    record and field that no engine writes so.
    """
    flows = records.kind("flow")
    for row in flows.values():
        _refuse_newer(row.get("schema"), records.flow, url, schema)
    _check_id(records, url)
    for kind, shape in _ROWS.items():
        for key, row in records.kind(kind).items():
            if wrong := _wrong(row, shape):
                raise Damaged(url, f"{kind} {key!r} of run {records.flow!r}: {wrong}")
    for kind, shape in _APPENDED.items():
        for key, rows in records.appended.get(kind, {}).items():
            for one in rows:
                if wrong := _wrong(one, shape):
                    raise Damaged(url, f"{kind} of {key!r} of run {records.flow!r}: {wrong}")
    return records


def _refuse_newer(found: object, run: str, url: str, schema: int) -> None:
    if type(found) is int and found > schema:
        raise NewerSchema(url, f"run {run!r} has schema {found}, and {schema} is the newest that is known here")


def _check_id(records: FlowRecords, url: str) -> None:
    """Raise Damaged when a flow's record is not under its run's id, or does not name it."""
    for key, row in records.kind("flow").items():
        wrong = "it is the record of another run" if key != records.flow else _told(row, "id")
        if key != records.flow or row.get("id") != key:
            raise Damaged(url, f"flow {key!r} of run {records.flow!r}: {wrong}")


class _Shape(NamedTuple):
    """What a kind of row holds: whether a field fits, and which fields a row must have whose fields all fit."""

    fits: Mapping[str, Callable[[Any], bool]]
    needed: Callable[[Row], Set[str]]


def _wrong(row: Row, shape: _Shape) -> str:
    """Return which field of ``row`` is wrong and what it is, or nothing."""
    fits = shape.fits
    for name, value in row.items():
        if name in fits and not fits[name](value):
            return _told(row, name)
    needed = shape.needed(row)
    return "" if row.keys() >= needed else _told(row, min(needed - row.keys()))


def _told(row: Row, name: str) -> str:
    if name not in row:
        return f"{name} is missing"
    text = repr(row[name])
    return f"{name} is {text}" if len(text) <= _TOLD_MAX else f"{name} is {text[:_TOLD_MAX]}..."


_TOLD_MAX: Final = 80


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0  # True is no number


def _is_wave(value: object) -> bool:
    return type(value) is int and value >= -1


def _is_version(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_time(value: object) -> bool:
    """Say whether it is a time that a calendar has: from the year 5 to 9987, and no NaN."""
    return type(value) in _NUMBERS and -62_000_000_000 <= value <= 253_000_000_000  # type: ignore[operator]


_NUMBERS: Final = frozenset({int, float})


def _is_time_or_none(value: object) -> bool:
    return value is None or _is_time(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_parts(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int or isinstance(item, str) for item in value)


def _is_failure(value: object) -> bool:
    return isinstance(value, Inline) or (isinstance(value, Mapping) and "!failure" in value)


def _is_live(value: object) -> bool:
    """Say whether it is an object that only a backend that keeps references can give, and no JSON."""
    return value is not None and not isinstance(value, bool | int | float | str | list | dict)


def _always(*names: str) -> Callable[[Row], Set[str]]:
    needed = frozenset(names)
    return lambda row: needed


def _needed_of_plan(row: Row) -> Set[str]:
    return _LIVE_PLAN if "plan" in row else _PACKED_PLAN


_LIVE_PLAN: Final = frozenset({"plan"})
_PACKED_PLAN: Final = frozenset({"digest", "packed"})


def _needed_of_history(row: Row) -> Set[str]:
    return _FAILED_IN_ROUND if "atom" in row else _GIVEN_FOR_ROUND


_FAILED_IN_ROUND: Final = frozenset({"atom", "failure"})
_GIVEN_FOR_ROUND: Final = frozenset({"result"})


def _needed_of_atom(row: Row) -> Set[str]:
    return _NEEDED.get(row.get("state", ""), _BEGUN)


_BEGUN: Final = frozenset({"state", "attempt", "started_at"})
_NEEDED: Final[Mapping[str, Set[str]]] = {
    AtomState.PENDING: frozenset({"state"}),
    AtomState.SUCCESS: _BEGUN | {"result"},
    AtomState.FAILURE: _BEGUN | {"failure"},
    AtomState.REVERT_FAILURE: _BEGUN | {"revert_failure"},
}


def _one_of(states: Iterable[str]) -> Callable[[Any], bool]:
    names = frozenset(str(state) for state in states)
    return lambda value: isinstance(value, str) and value in names


_FLOW_FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "id": _is_text,
    "schema": _is_version,
    "book": _is_text,
    "name": _is_text,
    "state": _one_of(FlowState),
    "created_at": _is_time,
    "updated_at": _is_time,
    "atoms": _is_count,
}

_ATTEMPT: Final = _Shape(
    {
        "round": _is_count,
        "attempt": _is_count,
        "direction": _one_of(Direction),
        "owner": _is_text,
        "started_at": _is_time,
        "ended_at": _is_time_or_none,
        "outcome": _is_text,
    },
    _always("attempt", "direction", "started_at", "outcome"),
)

_ROWS: Final[Mapping[str, _Shape]] = {
    "flow": _Shape(
        {
            **_FLOW_FIELDS,
            "intention": _one_of(Intention),
            "last_wave": _is_wave,
            "deadline": _is_time,
            "reason": _one_of(("CANCELLED", "TIMED_OUT")),
            "due": _is_texts,
            "undo": _is_texts,
            "factory": _is_mapping,
        },
        _always(*_FLOW_FIELDS),
    ),
    "plan": _Shape({"plan": _is_live, "digest": _is_text, "packed": _is_text}, _needed_of_plan),
    "input": _Shape({}, _always("value")),
    "atom": _Shape(
        {
            "state": _one_of(AtomState),
            "attempt": _is_count,
            "started_at": _is_time,
            "round": _is_count,
            "revert_attempt": _is_count,
            "absent": _is_parts,
            "owner": _is_text,
            "metadata": _is_mapping,
            "failure": _is_failure,
            "hook_failure": _is_failure,
            "revert_failure": _is_failure,
            "intention": _one_of(Intention),
            "wave": _is_wave,
            "last_wave": _is_wave,
            "next_try_at": _is_time,
            "ignored_by": _is_text,
        },
        _needed_of_atom,
    ),
}

_APPENDED: Final[Mapping[str, _Shape]] = {
    "attempt": _ATTEMPT,
    "history": _Shape({"atom": _is_text, "failure": _is_failure}, _needed_of_history),
}
