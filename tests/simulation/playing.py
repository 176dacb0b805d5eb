"""Plays a case: feeds the core messages in a random order, and compares each of its decisions with the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from random import Random
from typing import Any

from flowbook.engines.core.arguments import NotProvided, sources
from flowbook.engines.core.messages import Annotate, Begin, Decision, Ended, Message, Start, Suspend
from flowbook.engines.core.run import Run
from flowbook.engines.core.step import step
from flowbook.exceptions import CompilationFailure
from flowbook.flows.compilation import compile_flow
from flowbook.persistence.changes import Append, Change, Inline, Put
from flowbook.states import (
    ATOM_TRANSITIONS,
    FINISHED,
    FLOW_TRANSITIONS,
    AtomEvent,
    AtomState,
    Direction,
    FlowState,
)
from simulation.drawing import Case, build
from simulation.reference import Layout, NotWired, Reference

FLOW_ROW = {"id": "run", "state": "PENDING"}
MOST_STEPS = 20_000
DISTURBED_ENTRIES = 25  # after that many the run is left in peace, and has to end

MOVES = {(old, new): (old, event) for (old, event), new in ATOM_TRANSITIONS.items() if event != "RESET"}
for before_revert in (AtomState.SUCCESS, AtomState.FAILURE):
    MOVES[AtomState.REVERTING, before_revert] = (AtomState.REVERTING, AtomEvent.WITHDRAW)
FLOW_MOVES = {(old, new): (old, event) for (old, event), new in FLOW_TRANSITIONS.items() if event != "RESET"}

Move = tuple[str, str]
"""A state and an event: a row of a table."""


class Crash(Exception):
    """The process died: what was not committed is lost, and so is the Run."""


class Play:
    """One case under way: its records, which outlive a Run, and the reference beside them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.random = Random(case.seed)
        self.moves: set[Move] = set()
        self.rows: dict[tuple[str, str], Any] = {("flow", "run"): FLOW_ROW}
        self.window = case.window
        self.attempts: list[tuple[str, Any]] = []
        self.told = Counter[tuple[str, str]]()  # of the attempts, by atom and direction
        self.committed: dict[tuple[str, str], str] = {}
        self.made: list[Ended] = []  # the ends of all attempts, told or not
        self.pending: list[Ended] = []  # those that come of the attempts in flight
        self.untold: set[Ended] = set()  # those that count when they are told: once, and to the Run they belong to
        self.entries = self.steps = 0

    def run(self) -> Play:
        """Play until the flow is finished; raises AssertionError (or what the core raises) at the first difference."""
        flow = build(self.case.flow)
        try:
            plan = compile_flow(flow).plan
        except CompilationFailure:
            plan = None
        try:
            self.layout = Layout(flow)
        except NotWired:
            assert plan is None, "the compiler takes what is not wired"
            return self
        assert plan is not None, "the compiler refuses what is wired"
        self.plan = plan
        short = {
            name: 1 for name, atom in self.layout.atoms.items() if name in self.case.short and len(atom.save_as) > 1
        }
        self.reference = Reference(self.layout, self.case.inputs, short)
        while FlowState(self.rows["flow", "run"]["state"]) not in FINISHED:
            self._enter()
        self._check_end()
        return self

    # -- one entry to the loop --

    def _enter(self) -> None:
        self.entries += 1
        if self.entries > 1 and self._likely(self.case.crashes):
            self.window = self.random.randint(1, self.case.window)
        run = Run(self.plan, self.rows["flow", "run"], owner=f"o{self.entries}", window=self.window)
        run.listening = self.case.listening
        run.inputs = {symbol: Inline((f"input {symbol}",)) for symbol in self.case.inputs}
        for (kind, key), row in self.rows.items():
            if kind == "atom":
                run.restore(self.plan.index[key], row)
        self.pending, self.untold = [], set()
        messages: Sequence[Message] = [Begin(float(self.entries))]
        try:
            while True:
                starts = self._decide(run, messages)
                if not run.in_flight:
                    assert not starts
                    return
                self._perform(run, starts)
                messages = self._next_messages()
        except Crash:
            return

    def _decide(self, run: Run, messages: Sequence[Message]) -> Sequence[Start]:
        while True:
            committed = copy(self.reference)
            for message in messages:
                self._tell_reference(message)
            decision = self._step(run, messages)
            if self._likely(self.case.crashes / 2):
                self.reference = committed
                self._check_records_are_untouched()
                raise Crash
            self._apply(decision.changes)
            self._compare(run)
            for start in decision.starts:
                assert start.attempt == 1 + self.told[self.plan.names[start.node], start.direction]
            if self._likely(self.case.crashes / 2):
                raise Crash
            if not decision.starts or not self._likely(self.case.suspends / 2):
                return decision.starts
            messages = [Suspend(0.0, [*decision.starts, *self._cancelled()])]

    def _step(self, run: Run, messages: Sequence[Message]) -> Decision:
        self.steps += 1
        assert self.steps < MOST_STEPS, "it goes on for ever"
        decision = step(run, messages)
        may_start = self.reference.startable()
        room = self.window - len(self.reference.in_flight)
        started = [self.plan.names[start.node] for start in decision.starts]
        assert len(started) == len(set(started)) == min(room, len(may_start)), (started, may_start, room)
        assert may_start.issuperset(started), (started, may_start)
        for start, name in zip(decision.starts, started, strict=True):
            assert self.reference.started(name) == start.direction, name
        flow = self.reference.settled()
        assert run.flow_state == flow, (run.flow_state, flow)
        self._check_events(run, decision)
        return decision

    def _perform(self, run: Run, starts: Iterable[Start]) -> None:
        for start in starts:
            name = self.plan.names[start.node]
            executes = start.direction is Direction.EXECUTE
            fails = name in (self.case.fails if executes else self.case.revert_fails)
            if not self._arguments_agree(run, start):
                fails = True
            absent = frozenset({1}) if executes and name in self.reference.absent else None
            if fails:
                ended = Ended(start, 1.0, failure=Inline((f"failure of {name}",)))
            else:
                ended = Ended(start, 1.0, Inline((name,)) if executes else None, absent=absent)
            self.pending.append(ended)
            self.made.append(ended)
            self.untold.add(ended)

    def _next_messages(self) -> list[Message]:
        messages: list[Message] = []
        if self._likely(self.case.suspends / 2):
            messages.append(Suspend(2.0, self._cancelled()))
        take = self.random.randint(0 if messages else 1, max(1, len(self.pending))) if self.pending else 0
        self.random.shuffle(self.pending)
        messages += self.pending[:take]
        del self.pending[:take]
        if self.made and self._likely(0.15):
            late = self.random.choice(self.made)  # a second copy, or what an earlier owner's thread sends
            if late not in self.pending:
                messages.insert(self.random.randint(0, len(messages)), late)
        if self.plan.index and self._likely(0.05):
            node = self.random.choice(list(self.plan.index.values()))
            messages.append(Annotate(node, {"progress": self.random.random()}))
        return messages

    def _cancelled(self) -> list[Start]:
        """Return starts of which the executor had not begun, and takes them back."""
        cancelled = [ended for ended in self.pending if self._likely(0.3)]
        for ended in cancelled:
            self.pending.remove(ended)
            self.made.remove(ended)
        return [ended.start for ended in cancelled]

    def _likely(self, probability: float) -> bool:
        return self.random.random() < probability and self.entries < DISTURBED_ENTRIES

    # -- comparing --

    def _tell_reference(self, message: Message) -> None:
        name = self.plan.names
        match message:
            case Begin():
                self.reference.enter()
            case Ended(start=start) if message in self.untold:
                self.untold.remove(message)
                self.reference.ended(name[start.node], message.failure is not None)
            case Suspend(withdrawn=withdrawn):
                self.reference.suspended([name[start.node] for start in withdrawn])

    def _arguments_agree(self, run: Run, start: Start) -> bool:
        """Compare the sources of all arguments; return whether all that must be there are."""
        name = self.plan.names[start.node]
        atom = self.layout.atoms[name]
        arguments = atom.execute_arguments if start.direction is Direction.EXECUTE else atom.revert_arguments
        expected = {a.name: self.reference.source(name, a.symbol) for a in arguments}
        missing = [a.symbol for a in arguments if not a.optional and expected[a.name] is None]
        try:
            found: Any = {a: (handle.live[0], index) for a, handle, index in sources(run, start.node, start.direction)}
        except NotProvided as error:
            found = error.symbol
        if missing:
            assert found in missing, (name, missing)
            return False
        assert found == {a: source for a, source in expected.items() if source is not None}, name
        return True

    def _apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            key = (change.kind, change.key)
            if isinstance(change, Append):
                self.attempts.append((change.key, change.row))
                self.told[change.key, change.row["direction"]] += 1
                continue
            if change.kind == "atom":
                self._note_move(self.rows.get(key), change.row if isinstance(change, Put) else None)
            if isinstance(change, Put):
                self.rows[key] = change.row
            else:
                self.rows.pop(key, None)
        self.committed = {key: repr(row) for key, row in self.rows.items()} if self.case.crashes else {}

    def _note_move(self, old: Any, new: Any) -> None:
        told = [
            (AtomState(row["state"]), row["attempt"], row.get("revert_attempt", 0))
            if row
            else (AtomState.PENDING, 0, 0)
            for row in (old, new)
        ]
        if told[0] != told[1]:
            move = (told[0][0], told[1][0])
            assert move in MOVES, move
            self.moves.add(MOVES[move])

    def _check_events(self, run: Run, decision: Decision) -> None:
        events = [*decision.endings, *decision.startings]
        assert run.listening or not events
        for event in events:
            if event.node is None:
                move = (FlowState(event.old), FlowState(event.state))
                assert move in FLOW_MOVES, move
                self.moves.add(FLOW_MOVES[move])
        assert not run.listening or len(decision.startings) == len(decision.starts)

    def _compare(self, run: Run) -> None:
        """See that Run, records and reference agree."""
        states = {name: run.state[node].value for name, node in self.plan.index.items()}
        assert states == self.reference.state
        assert {self.plan.names[node] for node in run.in_flight} == self.reference.in_flight
        flow_row = self.rows["flow", "run"]
        assert flow_row == run.flow_row
        assert flow_row["state"] == run.flow_state
        for name, node in self.plan.index.items():
            row = self.rows.get(("atom", name))
            if row is None:
                assert (run.state[node], run.attempt[node]) == (AtomState.PENDING, 0), name
            else:
                assert row == run.row_of(node), name

    def _check_records_are_untouched(self) -> None:
        for key, text in self.committed.items():
            assert repr(self.rows[key]) == text, f"{key} changed without a commit"

    def _check_end(self) -> None:
        """See that the attempts tell the same story: none twice, each undone in the opposite order."""
        numbers = [(name, row["direction"], row["attempt"]) for name, row in self.attempts]
        assert len(numbers) == len(set(numbers)), "an attempt was told twice"
        reverted = [name for name, row in self.attempts if row["direction"] == "REVERT" and row["outcome"] == "SUCCESS"]
        for at, name in enumerate(reverted):
            assert self.layout.behind[name].isdisjoint(reverted[at + 1 :]), f"{name} was reverted too early"
