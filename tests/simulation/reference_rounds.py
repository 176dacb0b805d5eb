"""A slow reference of a flow with retries and deciders, one half: what may start, and how a new round begins.

Like `reference`, it searches where the core counts. Nothing is ever changed in place: a copy is a snapshot.
"""

from __future__ import annotations

from typing import Any

from simulation.layout import WHOLE, Scopes
from simulation.reference import ALWAYS, IN_THE_WAY, Reference


class Rounds(Reference):
    """What may go on in a flow of these scopes; ``intentions`` says which of them are reverted, and what for."""

    layout: Scopes

    def __init__(
        self, layout: Scopes, inputs: frozenset[str], absent: dict[str, int], *, defers: bool, resolves: bool
    ) -> None:
        super().__init__(layout, inputs, absent)
        self.defers, self.resolves = defers, resolves
        self.intentions: dict[str, str] = {}  # of the scopes that are reverted
        self.history: dict[str, list[tuple[str, dict[str, str]]]] = {}
        self.round = dict.fromkeys(layout.atoms, 0)
        self.ignored_by: dict[str, str] = {}  # the atom that the deciders said no to
        self.decided: set[str] = set()  # those whose deciders said yes
        self.due: set[str] = set()  # those that are still started after a revert has failed, nobody being asked
        self.now = 0.0
        self.next_try_at: dict[str, float] = {}  # when the round may begin that a scope is reverted for
        self.dropped: set[str] = set()  # those that were ready later than a failure: this owner does not start them

    def _keeps_waves(self) -> bool:
        return super()._keeps_waves() or bool(self._unjudged())

    def _unjudged(self) -> list[str]:
        return [n for n in self.state if self.state[n] == "FAILURE" and self._reverter(n) is None]

    def voters(self, name: str) -> list[tuple[Any, str]]:
        """Return the deciders that have a vote on an atom, with their depths."""
        votes = self.layout.votes[name]
        return [(decider, depth) for source, decider, depth in votes if not source or self.state[source] != "IGNORE"]

    def rounds(self) -> set[str]:
        """Return the retries that wait for room to begin a new round."""
        return set(filter(self._awaits_round, self.queue))

    def wake(self) -> None:
        """Queue what may go on by now."""
        due = {name for name in self.parked if self.next_try_at[name] <= self.now}
        self.parked, self.queue = self.parked - due, self.queue | due

    def started(self, name: str) -> str:
        if self._awaits_round(name):
            self._begin_round(name)
        if self.state[name] == "RETRYING":
            self._set(name, "PENDING")
        return super().started(name)

    def result_of(self, name: str) -> str:
        """Return what an atom gives in its present round."""
        return f"{name}, round {self.round[name]}"

    def _forget_intentions(self, scopes: set[str]) -> None:
        self.intentions = {scope: what for scope, what in self.intentions.items() if scope not in scopes}
        self.reverted_since = {scope: wave for scope, wave in self.reverted_since.items() if scope not in scopes}
        self.next_try_at = {scope: at for scope, at in self.next_try_at.items() if scope not in scopes}
        self.parked = self.parked - scopes

    def _begin_due_rounds(self, members: set[str], wave: int) -> None:
        """Begin the rounds that were due no later than what fails now: the retries of these are still run."""
        for name in filter(members.__contains__, self.rounds()):
            if self.wave[name] <= wave:
                self._begin_round(name)

    def _begin_round(self, scope: str) -> None:
        members = set(self.layout.members[scope])
        again = {n for n in self.state if n in members or self.ignored_by.get(n) in members} - {scope}
        again = {n for n in again if self.state[n] != "PENDING"}
        self._forget_intentions({scope})
        self.state = {**self.state, **dict.fromkeys(again, "PENDING"), scope: "RETRYING"}
        self.executed_in = {**self.executed_in, scope: self.wave[scope]}
        self.round = {**self.round, **{name: self.round[name] + 1 for name in again | {scope}}}
        self.ignored_by = {name: by for name, by in self.ignored_by.items() if name not in again}
        self.failed, self.decided, self.left = self.failed - members, self.decided - members, self.left - members
        self.dropped = self.dropped - members
        self._forget_history(members - {scope})

    def _forget_history(self, names: set[str]) -> None:
        self.history = {retry: rounds for retry, rounds in self.history.items() if retry not in names}

    def _awaits_round(self, name: str) -> bool:
        if self.intentions.get(name) != "RETRY" or self.state[name] != "SUCCESS":
            return False
        others = [other for other in self.layout.members[name] if other != name]
        return not any(other in self.queue or self.state[other] in IN_THE_WAY for other in others)

    def _queue_ready(self, wave: int) -> None:
        super()._queue_ready(wave)
        early = {name for name in self.rounds() if self.next_try_at.get(name, 0.0) > self.now}
        self.queue, self.parked = self.queue - early, self.parked | early
        broken = self.broken_in < ALWAYS
        undecided = set() if broken else {name for name in self.state if self._is_undecided(name)}
        self.wave = {**self.wave, **{name: self._ready_wave(name) for name in undecided - self.undecided}}
        self.undecided = undecided

    def _is_undecided(self, name: str) -> bool:
        asked = self.state[name] == "PENDING" and name not in self.decided | self.queue | self.in_flight
        return asked and self._is_due(name) and self._reverter(name) is None and bool(self.voters(name))

    def _may_execute(self, name: str) -> bool:
        if self.state[name] == "RETRYING" or (self.state[name] == "PENDING" and name in self.due):
            return True
        return (
            super()._may_execute(name) and name not in self.dropped and (name in self.decided or not self.voters(name))
        )

    def _reverter(self, name: str) -> str | None:
        """Return the scope that reverts an atom; a retry stays as it is for the next round of its own."""
        kept = {scope for scope, what in self.intentions.items() if what == "RETRY" and scope == name}
        return next((s for s in self.layout.around[name] if s in self.intentions and s not in kept), None)

    def _may_revert(self, name: str) -> bool:
        return super()._may_revert(name) or (self.broken_in == ALWAYS and self._awaits_round(name))

    def _behind(self, name: str) -> set[str]:
        scope = self._reverter(name)
        return self.layout.behind[name].intersection(self.layout.members[scope or WHOLE])
