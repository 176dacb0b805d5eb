"""The records of one run: what was committed, which rows of the tables that came by, and whether a Run agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from flowbook.engines.core.run import Run
from flowbook.engines.storage import rounds_of
from flowbook.persistence.changes import Append, Change, Put
from flowbook.states import ATOM_TRANSITIONS, FLOW_TRANSITIONS, UNFINISHED_ATOMS, AtomEvent, AtomState
from simulation.layout import Layout

FLOW_ROW = {"id": "run", "state": "PENDING"}

RESETS = {(AtomState.REVERTED, AtomEvent.RESET), (AtomState.IGNORE, AtomEvent.RESET)}
MOVES = {
    (old, new): [(old, event)]
    for (old, event), new in ATOM_TRANSITIONS.items()
    if event != "RESET" or (old, event) in RESETS
}
MOVES[AtomState.PENDING, AtomState.FAILURE] = [  # of a decider that raised
    (AtomState.PENDING, AtomEvent.START),
    (AtomState.RUNNING, AtomEvent.FAIL),
]
MOVES[AtomState.SUCCESS, AtomState.RUNNING] = [  # of a retry that is started for a new round in one commit
    (AtomState.SUCCESS, AtomEvent.RETRY),
    (AtomState.RETRYING, AtomEvent.START),
]
MOVES[AtomState.RUNNING, AtomState.RETRYING] = [(AtomState.RUNNING, AtomEvent.WITHDRAW)]
for before_revert in (AtomState.SUCCESS, AtomState.FAILURE):
    MOVES[AtomState.REVERTING, before_revert] = [(AtomState.REVERTING, AtomEvent.WITHDRAW)]
FLOW_MOVES = {(old, new): (old, event) for (old, event), new in FLOW_TRANSITIONS.items() if event != "RESET"}

Move = tuple[str, str]
"""A state and an event: a row of a table."""


class Records:
    """A logbook of dictionaries, which outlives its owners."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Any] = {("flow", "run"): FLOW_ROW}
        self.history: dict[str, list[Any]] = {}
        self.attempts: list[tuple[str, Any]] = []
        self.told = Counter[tuple[str, int, str]]()  # of the attempts, by atom, round and direction
        self.moves: set[Move] = set()
        self._committed: dict[tuple[str, str], str] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Write what one decision changes."""
        for change in changes:
            key = (change.kind, change.key)
            if change.kind == "history":
                if isinstance(change, Append):
                    self.history = {**self.history, change.key: [*self.history.get(change.key, []), change.row]}
                else:
                    self.history = {name: rows for name, rows in self.history.items() if name != change.key}
                continue
            if isinstance(change, Append):
                self.attempts.append((change.key, change.row))
                self.told[change.key, change.row["round"], change.row["direction"]] += 1
                continue
            if change.kind == "atom":
                self._note_move(self.rows.get(key), change.row if isinstance(change, Put) else None)
            if isinstance(change, Put):
                self.rows[key] = change.row
            else:
                self.rows.pop(key, None)
        self._committed = {key: repr(row) for key, row in self.rows.items()}

    def _note_move(self, old: Any, new: Any) -> None:
        told = [
            (AtomState(row["state"]), row.get("round", 0), row["attempt"], row.get("revert_attempt", 0))
            if row
            else (AtomState.PENDING, 0, 0, 0)
            for row in (old, new)
        ]
        if told[0] != told[1]:
            move = (told[0][0], told[1][0])
            assert move in MOVES, move
            self.moves.update(MOVES[move])

    def compare(self, run: Run) -> None:
        """See that the Run says what the records say."""
        flow_row = self.rows["flow", "run"]
        assert flow_row == run.flow_row
        assert flow_row["state"] == run.flow_state
        for name, node in run.plan.index.items():
            row = self.rows.get(("atom", name))
            if row is None:
                assert (run.state[node], run.attempt[node]) == (AtomState.PENDING, 0), name
            else:
                waits = node not in run.in_flight  # the wave of a start is recorded with it
                held = {"wave": row["wave"]} if waits and "wave" in row else {}
                assert row == {**run.row_of(node), **held}, name
        assert {run.plan.index[name]: rounds_of(rows) for name, rows in self.history.items()} == run.history

    def told_rounds(self) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """Return the rounds of all retries, as the reference tells them."""
        return {
            name: [
                (f"{name}, round {one.result.live[1]}", {about: told.live for about, told in one.failures.items()})
                for one in rounds_of(rows)
                if one.result is not None
            ]
            for name, rows in self.history.items()
        }

    def check_untouched(self) -> None:
        """See that nothing changed without a commit."""
        for key, text in self._committed.items():
            assert repr(self.rows[key]) == text, f"{key} changed without a commit"

    def check_end(self, layout: Layout, *, in_order: bool) -> None:
        """See that no attempt is told twice and that what was begun has ended.

        ``in_order``: that each is undone after all behind it (without rounds).
        """
        numbers = [(name, row["round"], row["direction"], row["attempt"]) for name, row in self.attempts]
        assert len(numbers) == len(set(numbers)), "an attempt was told twice"
        saved = [
            number[:3] for number, (_, row) in zip(numbers, self.attempts, strict=True) if row["outcome"] == "SUCCESS"
        ]
        assert len(saved) == len(set(saved)), "a saved atom was run again"
        for (kind, name), row in self.rows.items():
            if kind == "atom":
                assert row["state"] not in (*UNFINISHED_ATOMS, AtomState.RETRYING), f"{name} never ended"
                was_begun = self.told[name, row.get("round", 0), "EXECUTE"] > 0
                assert not was_begun or row["state"] not in (AtomState.PENDING, AtomState.IGNORE), f"{name} was left"
        if not in_order:
            return
        reverted = [name for name, row in self.attempts if row["direction"] == "REVERT" and row["outcome"] == "SUCCESS"]
        for at, name in enumerate(reverted):
            assert layout.behind[name].isdisjoint(reverted[at + 1 :]), f"{name} was reverted too early"
