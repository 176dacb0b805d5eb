"""Plays a case: feeds the core messages in a random order, and compares each of its decisions with the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import copy
from random import Random
from typing import Any

from flowbook.atoms import Retry
from flowbook.atoms import retry as retries
from flowbook.engines.core.arguments import NotProvided, sources
from flowbook.engines.core.messages import (
    DECIDE,
    ON_FAILURE,
    Annotate,
    Answered,
    Ask,
    Begin,
    Cancel,
    Decision,
    Ended,
    Message,
    Start,
    Suspend,
    Woke,
)
from flowbook.engines.core.run import Run
from flowbook.engines.core.selection import voters
from flowbook.engines.core.step import step
from flowbook.engines.core.windows import Windows
from flowbook.engines.storage import rounds_of
from flowbook.exceptions import CompilationFailure
from flowbook.flows.compilation import compile_flow
from flowbook.flows.deciders import Depth
from flowbook.persistence.changes import Inline
from flowbook.states import (
    FINISHED,
    Direction,
    FlowState,
)
from simulation.drawing import DELAYS_S, Case, build
from simulation.layout import Layout, NotWired, Scopes
from simulation.records import FLOW_MOVES, Records
from simulation.reference import Reference
from simulation.reference_scopes import ScopedReference

MOST_STEPS = 20_000
LONGEST_DELAY_S = max(DELAYS_S)
DISTURBED_ENTRIES = 25  # after that many the run is left in peace, and has to end

WIDEST_FIRST = ("ALL", "FLOW", "NEIGHBORS", "ATOM")


class Crash(Exception):
    """The process died: what was not committed is lost, and so is the Run."""


class Play:
    """One case under way: its records, the Run of their present owner, and the reference beside them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.random = Random(case.seed)
        self.time = Random(f"time of {case.seed}")
        self.wishes = Random(f"wishes of {case.seed}")
        self.cancels = self.wishes.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 0.1))
        self.window = case.window
        windows = Random(f"windows of {case.seed}")
        self.widths = [windows.randint(1, case.window) for _ in range(windows.choice((0, 0, 2, 3)))]
        self.records = Records()
        self.made: list[Ended] = []  # the ends of all attempts, told or not
        self.pending: list[Ended] = []  # those that come of the attempts in flight
        self.untold: set[Ended] = set()  # those that count when they are told: once, and to the Run they belong to
        self.entries = self.steps = 0
        self.now = 0.0

    def run(self) -> Play:
        """Play until the flow is finished; raises AssertionError (or what the core raises) at the first difference."""
        flow = build(self.case.flow)
        try:
            plan = compile_flow(flow).plan
        except CompilationFailure:
            plan = None
        try:
            self.layout = Layout(flow) if self.case.is_plain else Scopes(flow)
        except NotWired:
            assert plan is None, "the compiler takes what is not wired"
            return self
        assert plan is not None, "the compiler refuses what is wired"
        self.plan = plan
        short = {
            name: 1 for name, atom in self.layout.atoms.items() if name in self.case.short and len(atom.save_as) > 1
        }
        self.reference = self._make_reference(short)
        while FlowState(self.records.rows["flow", "run"]["state"]) not in FINISHED:
            self._enter()
        self.records.check_end(self.layout, in_order=self.case.is_plain)
        return self

    def _make_reference(self, short: dict[str, int]) -> Reference:
        if not isinstance(self.layout, Scopes):
            return Reference(self.layout, self.case.inputs, short)
        options = {"defers": self.case.defer_reverts, "resolves": not self.case.never_resolve}
        return ScopedReference(self.layout, self.case.inputs, short, **options)

    @property
    def scoped(self) -> ScopedReference:
        """The reference of a case with retries or deciders: nothing is asked in others."""
        assert isinstance(self.reference, ScopedReference), "asked, though nobody can be"
        return self.reference

    # -- one entry to the loop --

    def _enter(self) -> None:
        self.entries += 1
        if self.entries > 1 and self._likely(self.case.crashes):
            self.window = self.random.randint(1, self.case.window)
        run = Run(self.plan, self.records.rows["flow", "run"], owner=f"o{self.entries}", window=self.window)
        run.listening = self.case.listening
        if self.widths:
            window_of = [_window_of(self, name) for name in self.plan.names]
            run.windows = Windows(window_of, [*self.widths, self.case.window])
        run.inputs = {symbol: Inline((f"input {symbol}",)) for symbol in self.case.inputs}
        for (kind, key), row in self.records.rows.items():
            if kind == "atom":
                run.restore(self.plan.index[key], row)
        run.history = {self.plan.index[name]: rounds_of(rows) for name, rows in self.records.history.items()}
        run.defer_reverts, run.never_resolve = self.case.defer_reverts, self.case.never_resolve
        self.pending, self.untold = [], set()
        messages: Sequence[Message] = [Begin(self.now)]
        try:
            while True:
                starts = self._decide(run, messages)
                if not run.in_flight and run.flow_state is not FlowState.RUNNING:
                    assert not starts
                    return
                self._perform(run, starts)
                messages = self._next_messages()
        except Crash:
            return

    def _decide(self, run: Run, messages: Sequence[Message]) -> Sequence[Start]:
        starts: list[Start] = []
        while True:
            committed = copy(self.reference)
            if isinstance(self.reference, ScopedReference):
                self.reference.now = self.now
            for message in messages:
                self._tell_reference(message)
            if isinstance(self.reference, ScopedReference):
                self.reference.wake()
            decision = self._step(run, messages)
            if self._likely(self.case.crashes / 2):
                self.reference = committed
                self.records.check_untouched()
                raise Crash
            self.records.apply(decision.changes)
            self._compare(run)
            for start in decision.starts:
                name, round_ = self.plan.names[start.node], self._round(self.plan.names[start.node])
                assert start.round == round_
                assert start.attempt == 1 + self.records.told[name, round_, start.direction]
            if self._likely(self.case.crashes / 2):
                raise Crash
            if decision.ask is not None:
                messages = [self._answer(run, decision.ask)]
            elif (decision.starts or decision.goes_on) and self.wishes.random() < self.cancels:
                messages = [Cancel(self.now, "CANCELLED", [*decision.starts, *self._cancelled()])]
            elif (decision.starts or decision.goes_on) and self._likely(self.case.suspends / 2):
                messages = [Suspend(self.now, [*decision.starts, *self._cancelled()])]
            else:
                starts += decision.starts
                if not decision.goes_on:
                    return starts
                messages = []

    def _step(self, run: Run, messages: Sequence[Message]) -> Decision:
        self.steps += 1
        assert self.steps < MOST_STEPS, "it goes on for ever"
        decision = step(run, messages)
        rounds: set[str] = set()
        if isinstance(self.reference, ScopedReference):
            asks = self.reference.asks()
            if decision.ask is not None:
                assert not decision.starts
                self._check_question(run, decision.ask, asks)
                return decision
            assert not asks, asks
            rounds = self.reference.rounds() if messages else set()  # they begin in a step of their own
        may_start = self.reference.startable() - rounds
        room = self.window - len(self.reference.in_flight)
        started = [self.plan.names[start.node] for start in decision.starts]
        assert may_start.issuperset(started), (started, may_start)
        if decision.goes_on:
            assert rounds, "no round is due"
            assert len(started) < room, (started, rounds, room)
        else:
            most = _most_startable(self, may_start, room)
            assert len(started) == len(set(started)) == most, (started, may_start, room)
            assert not rounds or len(started) == room or self.reference.flow != "RUNNING", (started, rounds, room)
        for start, name in zip(decision.starts, started, strict=True):
            assert self.reference.started(name) == start.direction, name
        _check_windows(self)
        flow = self.reference.flow if decision.goes_on else self.reference.settled()
        assert run.flow_state == flow, (run.flow_state, flow)
        self._check_events(run, decision)
        return decision

    def _perform(self, run: Run, starts: Iterable[Start]) -> None:
        for start in starts:
            name = self.plan.names[start.node]
            executes = start.direction is Direction.EXECUTE
            fails = name in self.case.fails and not (name in self.case.recovers and start.round)
            fails = fails if executes else name in self.case.revert_fails
            if not self._arguments_agree(run, start.node, start.direction):
                fails = True
            absent = frozenset({1}) if executes and name in self.reference.absent else None
            if fails:
                ended = Ended(start, self.now, failure=Inline(f"failure of {name}, round {start.round}"))
            else:
                result = Inline((name, start.round)) if executes else None
                ended = Ended(start, self.now, result, absent=absent)
            self.pending.append(ended)
            self.made.append(ended)
            self.untold.add(ended)

    def _answer(self, run: Run, ask: Ask) -> Answered:
        """Answer for the hooks, as the case says."""
        name = self.plan.names[ask.node]
        value: Any = None
        if ask.question == DECIDE:
            said = self._voted(name)
            value = Depth(said) if said in WIDEST_FIRST else None
            delay_s = 0.0
        else:
            controller = self.layout.atoms[name].controller
            said = controller.answer(sum(len(one.failures) for one in run.history.get(ask.node, ())))
            if not self._arguments_agree(run, ask.node, ON_FAILURE):
                said = "RAISES"
            value = None if said == "RAISES" else retries.Decision(said)
            delay_s = controller.delay_s if said == "RETRY" else 0.0
        self.said, self.delay_s = said, delay_s
        raised = f"failure of {name}, round {self._round(name)}"
        return Answered(ask, self.now, value, Inline(raised) if said == "RAISES" else None, self.delay_s)

    def _voted(self, name: str) -> str:
        votes = self.scoped.voters(name)
        said = [(voter.answer(name, self._round(name)), depth) for voter, depth in votes]
        against = [depth for answer, depth in said if answer == "NO"]
        if "RAISES" in [answer for answer, _ in said]:
            return "RAISES"
        return min(against, key=WIDEST_FIRST.index) if against else "YES"

    def _round(self, name: str) -> int:
        return self.reference.round[name] if isinstance(self.reference, ScopedReference) else 0

    def _next_messages(self) -> list[Message]:
        messages: list[Message] = []
        if not self.pending or self.time.random() < 0.3:
            self.now += self.time.choice((1.0, LONGEST_DELAY_S))
        if self._likely(self.case.suspends / 2):
            messages.append(Suspend(self.now, self._cancelled()))
        if self.wishes.random() < self.cancels:
            messages.append(Cancel(self.now, "CANCELLED", self._cancelled()))
        take = self.random.randint(0 if messages else 1, max(1, len(self.pending))) if self.pending else 0
        self.random.shuffle(self.pending)
        messages += self.pending[:take]
        del self.pending[:take]
        for ended in messages:
            if isinstance(ended, Ended):
                ended.at = self.now
        if not messages or self.time.random() < 0.3:
            messages.append(Woke(self.now))
        if self.made and self._likely(0.15):
            late = self.random.choice(self.made)  # a second copy, or what an earlier owner's thread sends
            if late not in self.pending:
                late.at = self.now
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

    def _check_question(self, run: Run, ask: Ask, asks: set[tuple[str, str]]) -> None:
        name = self.plan.names[ask.node]
        if ask.question == DECIDE:
            assert (name, "") in asks, (name, asks)
            votes = [(vote.decider, vote.depth) for vote in voters(run, ask.node)]
            assert sorted(votes, key=repr) == sorted(self.scoped.voters(name), key=repr)
            return
        about = self.plan.names[ask.about]
        assert (name, about) in asks, (name, about, asks)
        self.question = self.scoped.put(name, about)
        assert ask.failure is not None
        assert ask.failure.live == self.question.what

    def _tell_reference(self, message: Message) -> None:
        name = self.plan.names
        match message:
            case Begin():
                self.reference.enter()
            case Ended(start=start) if message in self.untold:
                self.untold.remove(message)
                self.reference.ended(name[start.node], message.failure is not None)
            case Answered(ask=ask) if ask.question == DECIDE:
                self.scoped.decide(name[ask.node], self.said)
            case Answered():
                self.scoped.answered(self.question, self.said, self.delay_s)
            case Cancel(withdrawn=withdrawn):
                self.reference.cancelled([name[start.node] for start in withdrawn])
            case Suspend(withdrawn=withdrawn):
                self.reference.suspended([name[start.node] for start in withdrawn])

    def _arguments_agree(self, run: Run, node: int, method: Direction | str) -> bool:
        """Compare the sources of all arguments; return whether all that must be there are."""
        name = self.plan.names[node]
        atom = self.layout.atoms[name]
        arguments = atom.execute_arguments if method == Direction.EXECUTE else atom.revert_arguments
        if method == ON_FAILURE:
            assert isinstance(atom, Retry)
            arguments = atom.on_failure_arguments
        expected = {a.name: self.reference.source(name, a.symbol) for a in arguments}
        missing = [a.symbol for a in arguments if not a.optional and expected[a.name] is None]
        try:
            handles = {a: (handle.live, index) for a, handle, index in sources(run, node, method)}
            assert all(live[1] == self._round(live[0]) for live, _ in handles.values() if len(live) > 1)
            found: Any = {a: (live[0], index) for a, (live, index) in handles.items()}
        except NotProvided as error:
            found = error.symbol
        if missing:
            assert found in missing, (name, missing)
            return False
        assert found == {a: source for a, source in expected.items() if source is not None}, name
        return True

    def _check_events(self, run: Run, decision: Decision) -> None:
        events = [*decision.endings, *decision.startings]
        assert run.listening or not events
        for event in events:
            if event.node is None:
                move = (FlowState(event.old), FlowState(event.state))
                assert move in FLOW_MOVES, move
                self.records.moves.add(FLOW_MOVES[move])
        assert not run.listening or len(decision.startings) == len(decision.starts)

    def _compare(self, run: Run) -> None:
        """See that Run, records and reference agree."""
        self.records.compare(run)
        assert {name: run.state[node].value for name, node in self.plan.index.items()} == self.reference.state
        assert {self.plan.names[node] for node in run.in_flight} == self.reference.in_flight
        if isinstance(self.reference, ScopedReference):
            assert self.records.told_rounds() == self.reference.history


def _window_of(play: Play, name: str) -> int:
    """Return the window of an atom, by its name; retries run on no executor, and have a wide one for themselves."""
    atom = play.layout.atoms.get(name)
    return len(play.widths) if atom is None or isinstance(atom, Retry) else sum(name.encode()) % len(play.widths)


def _most_startable(play: Play, may_start: set[str], room: int) -> int:
    """Return how many of those that may start have room, in all and in their windows."""
    if not play.widths:
        return min(room, len(may_start))
    in_flight = Counter(_window_of(play, name) for name in play.reference.in_flight)
    waiting = Counter(_window_of(play, name) for name in may_start)
    widths = [*play.widths, play.case.window]
    return min(room, sum(min(count, widths[window] - in_flight[window]) for window, count in waiting.items()))


def _check_windows(play: Play) -> None:
    """Check that no window has more in flight than it is wide."""
    if play.widths:
        in_flight = Counter(_window_of(play, name) for name in play.reference.in_flight)
        widths = [*play.widths, play.case.window]
        assert all(count <= widths[window] for window, count in in_flight.items()), (in_flight, widths)
