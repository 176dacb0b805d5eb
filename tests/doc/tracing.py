"""Watches the core decide: each step as one row of text, the way the traces of decision 0001 are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from flowbook.engines import engine as engine_module
from flowbook.engines.core.messages import (
    Annotate,
    Answered,
    Ask,
    Begin,
    Decision,
    Ended,
    Event,
    Message,
    Start,
    Suspend,
    Woke,
)
from flowbook.engines.core.run import Run
from flowbook.engines.core.step import step
from flowbook.engines.storage import Storage
from flowbook.flows.plan import Plan
from flowbook.persistence.changes import Append, Change, Delete, Put

Row = tuple[str, ...]

NOTHING = "-"
_ALWAYS = {"started_at", "owner", "id", "schema", "book", "name", "created_at", "updated_at", "atoms"}
_SHOWN_WITH_VALUE = {
    "attempt",
    "revert_attempt",
    "round",
    "due",
    "undo",
    "intention",
    "next_try_at",
    "ignored_by",
    "metadata",
}


class Trace:
    """The rows of the runs that are watched, in order.

    Their columns: commit, messages, states that moved, changes, told at once, told and then started (or asked).
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.on_step: Callable[[Sequence[Message]], None] | None = None
        self._commits = 0
        self._in_step = False

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Follow every engine from now on."""
        commit = Storage.commit

        def follow_commit(storage: Storage, changes: Sequence[Change]) -> None:
            commit(storage, changes)
            if self._in_step:
                self._in_step = False
            elif changes:
                self.rows.append(("0", "enter", NOTHING, _joined(map(_change, changes)), NOTHING, NOTHING))

        def follow_step(run: Run, messages: Sequence[Message]) -> Decision:
            before, flow_before = list(run.state), run.flow_state
            decision = step(run, messages)
            self._in_step = True
            self._add(run, messages, decision, _moved(run, before, flow_before))
            if self.on_step is not None:
                self.on_step(messages)
            return decision

        monkeypatch.setattr(engine_module, "step", follow_step)
        monkeypatch.setattr(Storage, "commit", follow_commit)

    def _add(self, run: Run, messages: Sequence[Message], decision: Decision, moved: list[str]) -> None:
        plan = run.plan
        self._commits += bool(decision.changes)
        self.rows.append(
            (
                str(self._commits) if decision.changes else NOTHING,
                _joined(_message(plan, message) for message in messages),
                _joined(moved),
                _joined(map(_change, decision.changes)),
                _joined(_event(plan, event) for event in decision.endings),
                _joined(_next(plan, decision)),
            )
        )


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts) or NOTHING


def _moved(run: Run, before: Sequence[str], flow_before: str) -> list[str]:
    pairs = zip(run.plan.names, run.plan.atoms, before, run.state, strict=True)
    moved = [f"{name} {old} > {new}" for name, atom, old, new in pairs if atom is not None and old != new]
    return [f"flow {flow_before} > {run.flow_state}", *moved] if run.flow_state != flow_before else moved


def _message(plan: Plan, message: Message) -> str:
    match message:
        case Begin():
            return "Begin"
        case Ended(start=start, failure=failure):
            return f"Ended {_start(plan, start)}: {'success' if failure is None else 'failure'}"
        case Suspend(withdrawn=starts):
            return "Suspend" + (f", withdrawn: {_joined(_start(plan, start) for start in starts)}" if starts else "")
        case Woke(at=at):
            return f"Woke at {at:g}"
        case Annotate(node=node, metadata=metadata):
            return f"Annotate {plan.names[node]}: {_shown(metadata)}"
        case Answered(ask=ask, value=value, delay_s=delay_s) if delay_s:
            return f"Answered {_ask(plan, ask)} {value} in {delay_s:g} s"
        case Answered(ask=ask, value=value, failure=failure):
            return f"Answered {_ask(plan, ask)} {'raised' if failure is not None else value or 'yes'}"


def _next(plan: Plan, decision: Decision) -> list[str]:
    starts = [_start(plan, start) for start in decision.starts]
    asks = [] if decision.ask is None else [_ask(plan, decision.ask)]
    return [*starts, *asks, *(["goes on"] if decision.goes_on else [])]


def _ask(plan: Plan, ask: Ask) -> str:
    return f"{plan.names[ask.node]} {ask.question}?"


def _start(plan: Plan, start: Start) -> str:
    return f"{plan.names[start.node]} {start.direction} {start.attempt}"


def _event(plan: Plan, event: Event) -> str:
    return f"{'flow' if event.node is None else plan.names[event.node]} {event.state}"


def _change(change: Change) -> str:
    match change:
        case Put(kind=kind, key=key, row=row):
            return f"Put {kind} {key}: {_fields(row)}"
        case Append(kind="history", key=key, row=row):
            return f"Append history {key}: " + (f"failure of {row['atom']}" if "atom" in row else "result")
        case Append(kind=kind, key=key, row=row):
            return f"Append {kind} {key}: {row['direction']} {row['attempt']} {row['outcome']}"
        case Delete(kind=kind, key=key):
            return f"Delete {kind} {key}"


def _fields(row: Mapping[str, Any]) -> str:
    return ", ".join(_field(name, value) for name, value in row.items() if name not in _ALWAYS)


def _field(name: str, value: Any) -> str:
    if name == "state":
        return str(value)
    return f"{name} {_shown(value)}" if name in _SHOWN_WITH_VALUE else name


def _shown(value: Any) -> str:
    match value:
        case dict():
            return " ".join(f"{name} {part}" for name, part in value.items())
        case list():
            return "[" + " ".join(map(str, value)) + "]"
        case _:
            return str(value)
