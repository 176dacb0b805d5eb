"""Engines over a backend: flows are built, run, suspended, cancelled, killed, taken over, and fail, in any order.

What is decided when is the core's, and compared elsewhere; here engine, logbook and claims are at work, step by step.
Each commit is looked at: no row of the tables is left, and what is saved is never run again. What was begun has ended
when the flow has, whatever came between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowbook.engines import Engine, load
from flowbook.engines.context import Context, Outcome
from flowbook.exceptions import CompilationFailure, FlowOwned, OwnershipLost, StorageError, StorageUnavailable
from flowbook.failure import Failure
from flowbook.persistence import Backend
from flowbook.persistence.backend import Claim, Fence
from flowbook.persistence.changes import Append, Change, Put
from flowbook.persistence.memory import MemoryBackend
from flowbook.persistence.owners import Owner
from flowbook.states import ATOM_TRANSITIONS, FINISHED, UNFINISHED_ATOMS, AtomEvent, AtomState, Direction, FlowState
from flowbook.testing.faults import Counting
from simulation.drawing import DELAYS_S, SYMBOLS, Part, build, draw_flow, parts_of
from simulation.records import MOVES

INPUTS = dict.fromkeys(SYMBOLS[:4], 0)
STRANGER = Owner("elsewhere", "another boot", "another namespace", 1, 1, 1)
LEAST_ATOMS, MOST_ATOMS = 3, 9
MOST_STEPS = 2_000
NEITHER: Collection[Direction] = ()
FAILING = (NEITHER, NEITHER, NEITHER, (Direction.EXECUTE,), (Direction.EXECUTE,), tuple(Direction))
DONE = {AtomState.SUCCESS, AtomState.IGNORE}


class Clock:
    """Time stands still until a rule lets it pass."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at


class Watched(Counting):
    """One process's way to the logbook, which ends with it; all of them share ``seen``."""

    def __init__(self, inner: Backend, seen: Seen) -> None:
        super().__init__(inner)
        self.seen = seen
        self.left: int | None = None  # how many commits the process has still to live
        self.last_is_written = False

    def count(self, verb: str) -> int:
        if self.left == 0:
            raise StorageUnavailable(self.url, "the process is dead")
        return super().count(verb)

    def commit(self, claim: Claim, changes: Sequence[Change], *, fence: Fence = Fence.SEQ) -> Claim:
        if self.left is not None and self.left > 0:
            self.left -= 1
        if self.left == 0 and not self.last_is_written:
            self.count("commit")
        claim = self.inner.commit(claim, changes, fence=fence)
        self.seen.take(changes)
        self.count("commit")
        return claim


class Seen:
    """What the commits about one run have said so far."""

    def __init__(self) -> None:
        self.states: dict[str, AtomState] = {}
        self.rounds: dict[str, int] = {}
        self.saved: set[tuple[str, int, str]] = set()
        self.handed: list[tuple[tuple[str, int], Future[Outcome]]] = []  # over to executors, by atom and round
        self.begun: set[tuple[str, int]] = set()

    def note_begun(self) -> None:
        """Note what was handed over and not taken back so far: by an owner that is dead, nothing more is."""
        self.begun.update(attempt for attempt, future in self.handed if not future.cancelled())

    def is_left(self, name: str, round_: int) -> bool:
        """Return whether an atom is in this round and was not executed."""
        return self.rounds[name] == round_ and self.states[name] in (AtomState.PENDING, AtomState.IGNORE)

    def take(self, changes: Sequence[Change]) -> None:
        """Look at what one commit changes."""
        begins = [c for c in changes if isinstance(c, Put) and c.kind == "flow" and c.row["state"] == FlowState.PENDING]
        for change in changes:
            if isinstance(change, Append) and change.kind == "attempt" and change.row["outcome"] == "SUCCESS":
                attempt = (change.key, change.row["round"], change.row["direction"])
                assert attempt not in self.saved, f"{attempt} is saved twice"
                self.saved.add(attempt)
            if change.kind == "atom":
                old = self.states.get(change.key, AtomState.PENDING)
                new = AtomState(change.row["state"]) if isinstance(change, Put) else AtomState.PENDING
                is_reset = bool(begins) and ATOM_TRANSITIONS.get((old, AtomEvent.RESET)) == new
                assert old == new or is_reset or (old, new) in MOVES, (change.key, old, new)
                self.states[change.key] = new
                self.rounds[change.key] = change.row.get("round", 0) if isinstance(change, Put) else 0


class Hands:
    """An executor that runs nothing by itself: rules say which attempt ends, and how."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._submitted: list[tuple[Future[Outcome], Context, Callable[[], Outcome]]] = []

    @property
    def pending(self) -> list[tuple[Future[Outcome], Context, Callable[[], Outcome]]]:
        """The attempts that were neither ended nor withdrawn."""
        return [attempt for attempt in self._submitted if not attempt[0].done()]

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Future[Outcome]:
        atom, _, context, _ = args
        attempt = (atom.name, context.round, context.direction.value)
        assert attempt not in self.seen.saved, f"{attempt} is run again"
        future: Future[Outcome] = Future()
        if context.direction is Direction.EXECUTE:
            self.seen.handed.append(((atom.name, context.round), future))
        self._submitted.append((future, context, lambda: call(*args)))
        return future

    def end(self, which: int, failing: Collection[Direction]) -> None:
        """Let one of the pending attempts end; it fails if its direction is among those."""
        future, context, call = self.pending[which % len(self.pending)]
        future.set_running_or_notify_cancel()
        failure = Failure.from_exception(ValueError(f"{context.atom} fails"))
        future.set_result(Outcome(failure=failure) if context.direction in failing else call())


class Engines(RuleBasedStateMachine):
    """Runs one flow after the other; engines come and go."""

    url = "memory:"

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.inner = MemoryBackend(self.url, clock=self.clock)
        self.runs = 0
        self.stranger_until = 0.0
        self.engine: Engine | None = None
        self.states: Generator[str] = (_ for _ in ())
        self.told: list[str] = []

    @precondition(lambda self: self.engine is None and self.is_over())
    @rule(seed=st.integers(0, 9_999), never_resolve=st.sampled_from((False, False, False, False, True)))
    def build(self, seed: int, never_resolve: bool) -> None:
        """Begin another run, of the first flow from this seed on that is wired."""
        self.options: dict[str, Any] = {"defer_reverts": seed % 2 == 0, "never_resolve": never_resolve}
        self.part = next(
            part for part in map(_drawn, count(seed)) if _is_wired(part) and (_retries(part) or not seed % 4)
        )
        self.runs += 1
        self.told, self.seen, self.is_cancelled = [], Seen(), False

    @precondition(lambda self: self.engine is None and self.runs)
    @rule(window=st.integers(1, 4), take_over=st.booleans(), rerun=st.sampled_from((False, False, True)))
    def enter(self, window: int, take_over: bool, rerun: bool) -> None:
        """Let a new engine take the run up, or be refused while a stranger has it."""
        self.process = Watched(self.inner, self.seen)
        self.hands = Hands(self.seen)
        engine = load(
            build(self.part),
            INPUTS,
            backend=self.process,
            run_id=self.run_id,
            engine="parallel",
            executor=self.hands,
            max_workers=window,
            take_over=take_over,
            rerun=rerun,
            clock=self.clock,
            **self.options,
        )
        self.states, self.engine = engine.run_iter(), engine
        try:
            self._next()
        except FlowOwned:
            assert not take_over
            self.engine = None

    @property
    def run_id(self) -> str:
        return f"run {self.runs}"

    def is_over(self) -> bool:
        return not self.runs or bool(self.told and self.told[-1] in FINISHED)

    @precondition(lambda self: self.engine is not None)
    @rule(ends=st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(FAILING)), max_size=3), min_size=1))
    def go_on(self, ends: list[list[tuple[int, Collection[Direction]]]]) -> None:
        """Let attempts end, and the engine take that in; several times."""
        for together in ends:
            if self.engine is not None:
                self._take_in(together)

    @precondition(lambda self: self.engine is not None)
    @rule()
    def suspend(self) -> None:
        assert self.engine is not None
        self.engine.suspend()

    @precondition(lambda self: self.engine is not None)
    @rule()
    def cancel(self) -> None:
        assert self.engine is not None
        self.engine.cancel()
        self.is_cancelled = True

    @precondition(lambda self: self.engine is not None)
    @rule(trouble=st.sampled_from(("dies", "dies soon", "dies as it commits", "is robbed")), commits=st.integers(1, 9))
    def meet_trouble(self, trouble: str, commits: int) -> None:
        """Let the engine's process die, now or some commits later; or a stranger claim the run, for so many seconds."""
        if trouble == "is robbed":
            self.inner.claim(f"flow:{self.run_id}", STRANGER, lease_s=commits, take_over=True)
            self.stranger_until = self.clock.at + commits
        elif trouble == "dies":
            self._die()
        else:
            self.process.left, self.process.last_is_written = commits, trouble == "dies soon"

    @precondition(lambda self: self.stranger_until >= self.clock.at)
    @rule()
    def time_passes(self) -> None:
        """Let the lease of the stranger end."""
        self.clock.at = self.stranger_until + 1.0

    @invariant()
    def atoms_are_as_the_flow_says(self) -> None:
        if self.engine is None and self.told and self.told[-1] in FINISHED:
            self._check_end(FlowState(self.told[-1]))

    def teardown(self) -> None:
        """Run what is left with nothing in the way: it comes to an end."""
        if self.engine is not None:
            self._die()
        for _ in range(MOST_STEPS):
            if self.engine is None:
                if self.is_over():
                    break
                self.enter(window=2, take_over=True, rerun=False)
            else:
                self._take_in([(0, NEITHER)])
        assert self.is_over(), "it goes on for ever"

    def _take_in(self, ends: list[tuple[int, Collection[Direction]]]) -> None:
        for which, failing in ends or [(0, NEITHER)]:
            if self.hands.pending:
                self.hands.end(which, failing)
            else:  # a retry waits to begin its next round
                self.clock.at += max(DELAYS_S)
        with suppress(OwnershipLost, StorageUnavailable):
            self._next()
            return
        self.engine = None

    def _die(self) -> None:
        self.process.left, self.process.last_is_written = 0, False
        self.seen.note_begun()
        with suppress(StorageError):
            self.states.close()
        self.engine = None

    def _next(self) -> None:
        """Let the engine come to where it waits, or to its end."""
        assert self.engine is not None
        for told in self.states:
            self.told.append(told)
            if told == "WAITING" and (self.hands.pending or not self.engine.storage.run.in_flight):
                return
        self.engine = None

    def _check_end(self, state: FlowState) -> None:
        atoms = set(self.seen.states.values())
        if state is FlowState.SUCCESS:
            assert atoms <= DONE
        elif state is FlowState.REVERTED:
            assert AtomState.REVERTED in atoms or self.is_cancelled
        elif state is FlowState.FAILURE:
            assert AtomState.REVERT_FAILURE in atoms or self.options["never_resolve"]
        assert atoms.isdisjoint({*UNFINISHED_ATOMS, AtomState.RETRYING})
        self.seen.note_begun()
        left = {name for name, round_ in self.seen.begun if self.seen.is_left(name, round_)}
        assert not left, f"{left} were begun, and neither ended nor reverted"


def _drawn(seed: int) -> Part:
    random = Random(seed)
    return draw_flow(random, random.randint(LEAST_ATOMS, MOST_ATOMS))


def _retries(part: Part) -> bool:
    return any(one.retry is not None and one.children for one in parts_of(part))


def _is_wired(part: Part) -> bool:
    try:
        load(build(part), INPUTS)
    except CompilationFailure:
        return False
    return True


class EnginesOverText(Engines):
    """The same over rows that are written and read as text."""

    url = "memory:?strict=true"


pytestmark = pytest.mark.slow
QUICK = {"stateful_step_count": 30}
TestEngines = Engines.TestCase
TestEngines.settings = settings(**QUICK)
TestEnginesOverText = EnginesOverText.TestCase
TestEnginesOverText.settings = settings(**QUICK)
