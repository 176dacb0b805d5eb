"""A logbook of dictionaries for the core: commits what a step decides, and rebuilds the Run from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowbook.atoms import Retry, Task, retry
from flowbook.engines.core.messages import Answered, Begin, Cancel, Decision, Ended, Message, Start, Suspend
from flowbook.engines.core.run import Run
from flowbook.engines.core.step import step
from flowbook.engines.storage import rounds_of
from flowbook.flows import Flow, LinearFlow, UnorderedFlow
from flowbook.flows.compilation import compile_flow
from flowbook.flows.deciders import Depth
from flowbook.persistence.changes import Append, Inline, Put


class Step(Task):
    """A task of no account."""

    def execute(self, **values: object) -> None: ...

    def revert(self, **values: object) -> None: ...


class Asked(Retry):
    """A retry that says what the test answers for it."""

    def execute(self, history: object, **values: object) -> None: ...

    def on_failure(self, history: object, **values: object) -> retry.Decision:
        raise NotImplementedError

    def revert(self, history: object, **values: object) -> None: ...


def atom(name: str, priority: int = 0, **wiring: Any) -> Step:
    made = Step(name, **wiring)
    made.priority = priority
    return made


def linear(*names: str) -> LinearFlow:
    return LinearFlow("chain").add(*map(atom, names))


def unordered(*names: str) -> UnorderedFlow:
    return UnorderedFlow("fan").add(*map(atom, names))


class Logbook:
    """The records of one run of ``flow``, and the Run of its present owner."""

    def __init__(self, flow: Flow, window: int = 1, inputs: Mapping[str, object] | None = None) -> None:
        self.window = window
        self.inputs = {name: Inline(value) for name, value in (inputs or {}).items()}
        self.atoms: dict[str, dict[str, Any]] = {}
        self.flow: dict[str, Any] = {"id": "run", "state": "PENDING"}
        self.attempts: list[tuple[str, dict[str, Any]]] = []
        self.decisions: list[Decision] = []
        self.in_flight: dict[str, Start] = {}
        self.at = 0.0
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.defer_reverts = self.never_resolve = False
        self.change_flow(flow)

    def change_flow(self, flow: Flow) -> None:
        self.plan = compile_flow(flow).plan

    def enter(self, *, listening: bool = False) -> list[str]:
        """Let a new owner begin, or go on where the last one stopped or died."""
        self.run = Run(self.plan, self.flow, owner="owner", window=self.window)
        self.run.listening, self.run.inputs = listening, self.inputs
        for name, row in self.atoms.items():
            if name in self.plan.index:
                self.run.restore(self.plan.index[name], row)
        self.run.history = {self.plan.index[name]: rounds_of(rows) for name, rows in self.history.items()}
        self.run.defer_reverts, self.run.never_resolve = self.defer_reverts, self.never_resolve
        self.in_flight = {}
        self.at += 1
        return self.take(Begin(self.at))

    def take(self, *messages: Message) -> list[str]:
        """Take steps and commit each until nothing goes on; return what is started, reverts with a minus before it.

        What is asked stays open: the step that answers it comes with `answer`.
        """
        started = self._take(messages)
        while self.decisions[-1].goes_on:
            started += self._take(())
        return started

    def _take(self, messages: Sequence[Message]) -> list[str]:
        decision = step(self.run, messages)
        self.decisions.append(decision)
        for change in decision.changes:
            if change.kind == "history":
                if isinstance(change, Append):
                    self.history.setdefault(change.key, []).append(dict(change.row))
                else:
                    self.history.pop(change.key, None)
            elif isinstance(change, Append):
                self.attempts.append((change.key, dict(change.row)))
            elif change.kind == "flow":
                assert isinstance(change, Put)
                self.flow = dict(change.row)
            elif isinstance(change, Put):
                self.atoms[change.key] = dict(change.row)
            else:
                self.atoms.pop(change.key, None)
        for start in decision.starts:
            self.in_flight[self.plan.names[start.node]] = start
        return [("-" if start.direction == "REVERT" else "") + self.plan.names[start.node] for start in decision.starts]

    @property
    def asked(self) -> str:
        """Who is asked now; nothing when nobody is."""
        ask = self.decisions[-1].ask
        return "" if ask is None else self.plan.names[ask.node]

    def answer(self, value: retry.Decision | Depth | None = None, *, raises: bool = False) -> list[str]:
        ask = self.decisions[-1].ask
        assert ask is not None, "nobody was asked"
        self.at += 1
        return self.take(Answered(ask, self.at, value, Inline("what the hook raised") if raises else None))

    def ended(self, name: str, *, fails: bool = False, absent: frozenset[int | str] | None = None) -> Ended:
        self.at += 1
        if fails:
            return Ended(self.in_flight.pop(name), self.at, failure=Inline(f"failure of {name}"))
        return Ended(self.in_flight.pop(name), self.at, Inline(f"result of {name}"), absent=absent)

    def end(self, name: str, *, fails: bool = False) -> list[str]:
        return self.take(self.ended(name, fails=fails))

    def suspend(self, *withdrawn: str) -> list[str]:
        self.at += 1
        return self.take(Suspend(self.at, [self.in_flight.pop(name) for name in withdrawn]))

    def cancel(self, *withdrawn: str) -> list[str]:
        self.at += 1
        return self.take(Cancel(self.at, "CANCELLED", [self.in_flight.pop(name) for name in withdrawn]))

    def play(self, *fails: str) -> list[str]:
        """End all that is in flight, the oldest first, until nothing is; return what was started, in order."""
        started: list[str] = []
        while self.in_flight:
            name = next(iter(self.in_flight))
            executes = self.in_flight[name].direction == "EXECUTE"
            started += self.end(name, fails=(name if executes else f"-{name}") in fails)
        return started

    @property
    def states(self) -> dict[str, str]:
        """The states of all atoms that are not PENDING, as they are recorded."""
        return {name: row["state"] for name, row in self.atoms.items() if row["state"] != "PENDING"}

    @property
    def outcomes(self) -> list[str]:
        """What is recorded of all attempts: atom, direction, number, outcome."""
        return [f"{name} {row['direction']} {row['attempt']} {row['outcome']}" for name, row in self.attempts]
