"""A slow reference of how a flow without retries and deciders behaves, to compare the core with.

It reads the declared flow, and searches where the core counts. Messages are told to it one by one; it answers what may
start, and how a run ends when nothing is in flight. It replaces its sets and never changes them: a copy is a snapshot.
"""

from __future__ import annotations

from simulation.layout import Layout

ALWAYS = float("inf")
DONE = {"SUCCESS", "IGNORE"}
IN_THE_WAY = {"RUNNING", "SUCCESS", "FAILURE", "REVERTING"}


class Wishes:
    """What a wish from outside does to a flow."""

    state: dict[str, str]
    wave: dict[str, int]
    flow: str
    failed: set[str]
    in_flight: set[str]
    queue: set[str]
    undecided: set[str]
    left: set[str]
    reverted_since: dict[str, int]
    broken_in: float
    is_cancelled = False

    def suspended(self, withdrawn: list[str]) -> None:
        for name in withdrawn:
            before_revert = "FAILURE" if name in self.failed else "SUCCESS"
            self._set(name, "PENDING" if self.state[name] == "RUNNING" else before_revert)
        self.queue, self.in_flight = self.queue.union(withdrawn), self.in_flight.difference(withdrawn)
        self.flow = "SUSPENDING"

    def cancelled(self, withdrawn: list[str]) -> None:
        """Take back what was never begun, not by an earlier owner either, and revert the rest."""
        flow = self.flow
        self.suspended(withdrawn)
        self.flow = flow
        if self._is_ending():
            return
        self.is_cancelled = True
        pending = {name for name in self.queue if self.state[name] == "PENDING"}
        self.queue, self.undecided = self.queue - (pending - self.left), set()
        self._revert_all()
        self._queue_ready(-1)

    def _is_ending(self) -> bool:
        return self.broken_in < ALWAYS or bool(self.reverted_since)

    def _revert_all(self) -> None:
        self.reverted_since = {"": -1}

    def _set(self, name: str, state: str) -> None:
        self.state = {**self.state, name: state}

    def _queue_ready(self, wave: int) -> None:
        raise NotImplementedError


class Reference(Wishes):
    """What a flow of this layout may do. What becomes ready together is one wave, one later than what it waited for."""

    def __init__(self, layout: Layout, inputs: frozenset[str], absent: dict[str, int]) -> None:
        self.layout, self.inputs, self.absent = layout, inputs, absent
        self.state = dict.fromkeys(layout.atoms, "PENDING")
        self.wave = dict.fromkeys(layout.atoms, -1)
        self.executed_in: dict[str, int] = {}  # the waves of what was started: that of a revert is forgotten
        self.flow, self.failed = "PENDING", set[str]()
        self.in_flight, self.queue = set[str](), set[str]()
        self.parked = set[str]()  # those that may not begin a round yet (here: none)
        self.left: set[str] = set()  # what an earlier owner was at, until it has ended: also while it is withdrawn
        self.undecided: set[str] = set()  # those that are ready but for their deciders (here: none)
        self.reverted_since: dict[str, int] = {}  # the waves of failures, by what is reverted (here: all, "")
        self.broken_in: float = ALWAYS  # the wave of a revert that failed
        self.undone: set[str] = set()  # the reverts that are still made after that

    def enter(self) -> None:
        self.left = self.left | {name for name, state in self.state.items() if state in ("RUNNING", "REVERTING")}
        undo = {name for name in self.queue if self.state[name] in ("SUCCESS", "FAILURE")}
        again = {name for name in self.state if self.state[name] in ("RUNNING", "RETRYING") or self._is_begun(name)}
        waves = self.wave = {**self.wave, **{name: self.executed_in[name] for name in undo | again}}
        latest = max(waves.values(), default=-1)
        self.flow, self.in_flight, self.queue = "RUNNING", set(), set()  # RUNNING or REVERTING now means: interrupted
        self.parked = set()
        self._queue_ready(latest)
        ready = self.queue | self.undecided | self.parked
        waves = {**waves, **{name: self.wave[name] for name in ready - again if self.state[name] == "PENDING"}}
        if self._keeps_waves():  # but what is free to be reverted is so from now on
            ready = {n for n in ready if self.broken_in == ALWAYS and self.state[n] in IN_THE_WAY - {"RUNNING"}}
        self.wave = {**waves, **dict.fromkeys(ready, latest + 1)}

    def _keeps_waves(self) -> bool:
        return self.broken_in < ALWAYS

    def ended(self, name: str, failed: bool) -> None:
        executed, wave = self._end(name)
        succeeded, failure = ("SUCCESS", "FAILURE") if executed else ("REVERTED", "REVERT_FAILURE")
        self._set(name, failure if failed else succeeded)
        if executed and failed:
            self.failed = self.failed | {name}
            if self.broken_in == ALWAYS and not self.reverted_since:
                self.reverted_since = {"": wave}
                self.queue = {n for n in self.queue if self.wave[n] <= wave or self._is_interrupted(n)}
        elif failed:
            self._break(wave)
        self._queue_ready(wave)

    def startable(self) -> set[str]:
        return self.queue if self.flow == "RUNNING" else set()

    def started(self, name: str) -> str:
        executes = self.state[name] in ("PENDING", "RUNNING")
        if executes:
            self.executed_in = {**self.executed_in, name: self.wave[name]}
        self._set(name, "RUNNING" if executes else "REVERTING")
        self.queue, self.in_flight = self.queue - {name}, self.in_flight | {name}
        return "EXECUTE" if executes else "REVERT"

    def settled(self) -> str:
        if self.in_flight:
            return self.flow
        if self.queue or (self.parked and self.flow == "SUSPENDING"):
            assert self.flow == "SUSPENDING", "nothing was started though it might"
            self.flow = "SUSPENDED"
        elif self.parked:
            assert self.broken_in == ALWAYS, "it waits for what is not started any more"
        elif self.broken_in < ALWAYS or self.reverted_since:
            self.flow = "FAILURE" if self.broken_in < ALWAYS else "REVERTED"
        else:
            assert DONE.issuperset(self.state.values()), "stuck: nothing may start, and something is left"
            self.flow = "SUCCESS"
        return self.flow

    def source(self, name: str, symbol: str) -> tuple[str, int | str | None] | None:
        """Return who gives an atom this symbol, and which part of what it gives; None when nobody does."""
        if symbol in self.inputs:
            return f"input {symbol}", None
        for other in self.layout.visible[name]:
            parts = self.layout.atoms[other].save_as
            has_result = self.state[other] in ("SUCCESS", "REVERTING") and other not in self.failed
            if has_result and symbol in parts and (other not in self.absent or parts[symbol] != self.absent[other]):
                return other, parts[symbol]
        return None

    def _end(self, name: str) -> tuple[bool, int]:
        """Take an atom out of flight; return whether it was executed, and its wave: not before that of a failure."""
        scope = self._reverter(name)
        failures = [wave for wave in (self.broken_in, self.reverted_since.get(scope, -1)) if wave < ALWAYS]
        self.wave = {**self.wave, name: int(max(self.wave[name], *failures))}
        self.in_flight, self.undone = self.in_flight - {name}, self.undone - {name}
        self.left = self.left - {name}
        if self.state[name] != "RUNNING":
            return False, self.wave[name]
        self.executed_in = {**self.executed_in, name: self.wave[name]}
        return True, self.wave[name]

    def _break(self, wave: int) -> None:
        if self.broken_in == ALWAYS:
            self.queue = {n for n in self.queue if self.wave[n] <= wave or self._is_interrupted(n)}
            self.parked = set()
            self.undone = {n for n in self.queue | self.in_flight if self.state[n] in IN_THE_WAY - {"RUNNING"}}
            self.broken_in = wave

    def _queue_ready(self, wave: int) -> None:
        idle = [name for name in self.state if name not in self.queue | self.in_flight | self.parked]
        due = [name for name in idle if self._may_execute(name)]
        self.wave = {**self.wave, **{n: self._ready_wave(n) for n in due if n not in self.undecided}}
        self.queue = self.queue.union(due)
        free = [name for name in idle if name not in due and self._may_revert(name)]
        self.wave = {**self.wave, **dict.fromkeys(free, wave + 1)}
        self.queue = self.queue.union(free)

    def _ready_wave(self, name: str) -> int:
        return 1 + max((self.wave[other] for other in self.layout.before[name]), default=-1)

    def _is_interrupted(self, name: str) -> bool:
        return name in self.left and name not in self.in_flight

    def _is_begun(self, name: str) -> bool:
        """Return whether an earlier owner began an atom whose restart was withdrawn."""
        return self.state[name] == "PENDING" and name in self.left

    def _reverter(self, name: str) -> str | None:
        return "" if self.reverted_since else None

    def _may_execute(self, name: str) -> bool:
        return self.state[name] == "RUNNING" or self._is_begun(name) or self._is_due(name)

    def _is_due(self, name: str) -> bool:
        if self.state[name] != "PENDING" or any(self.state[n] not in DONE for n in self.layout.before[name]):
            return False
        scope = self._reverter(name)
        return self._ready_wave(name) <= min(self.broken_in, ALWAYS if scope is None else self.reverted_since[scope])

    def _may_revert(self, name: str) -> bool:
        if self.broken_in < ALWAYS:
            return name in self.undone or self.state[name] == "REVERTING"
        if self._reverter(name) is None or self.state[name] not in IN_THE_WAY:
            return False
        return all(n not in self.queue and self.state[n] not in IN_THE_WAY for n in self._behind(name))

    def _behind(self, name: str) -> set[str]:
        return self.layout.behind[name]
