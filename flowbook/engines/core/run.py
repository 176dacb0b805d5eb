"""The Run: all state of a flow while an engine works on it, in arrays by node. Values stay outside, as handles.

Records, not the Run, are the truth: it is rebuilt from them at each entry, and changed in place by the core alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowbook.flows.plan import ROOT, Plan
from flowbook.persistence.changes import Append, Inline, Put
from flowbook.states import EXECUTE, UNFINISHED_ATOMS, AtomState, Direction, FlowState, Intention

if TYPE_CHECKING:
    from flowbook.engines.core.messages import Ask, Ended
    from flowbook.engines.core.windows import Windows

PROGRESS = "progress"
"""The name among an atom's metadata that says how far it is."""

REASON = "reason"
"""The field of the flow's record that says why it is cancelled, while and after it is."""

READABLE = frozenset({AtomState.SUCCESS, AtomState.REVERTING})
"""States in which an atom's result may be read by others."""


class Reverting:
    """What is to become of a scope that is being reverted: ``retries`` says whether a new round follows.

    ``left`` counts the atoms that reverting has still to reach. What became ready no later than in ``wave``, that of
    the atom that failed, is executed nevertheless. A new round begins no earlier than ``next_try_at`` (None: at once).
    """

    __slots__ = ("left", "next_try_at", "retries", "wave")

    def __init__(self, wave: int, *, retries: bool, next_try_at: float | None = None) -> None:
        self.left = 0
        self.next_try_at = next_try_at
        self.retries = retries
        self.wave = wave

    @property
    def intention(self) -> Intention:
        """What the record of the scope says."""
        return Intention.RETRY if self.retries else Intention.REVERT


class Round(NamedTuple):
    """What a retry gave for one round, and which failures came of it, by the names of atoms; both as handles."""

    result: Inline | None
    failures: dict[str, Inline]


class Run:
    """One flow under way.

    ``waiting`` counts the predecessors that are not done, ``blocking`` the successors that reverting has not passed
    yet. ``queue`` holds the nodes to execute or revert as slots become free; ``window`` bounds how many attempts are
    ``in_flight``, and ``windows``, where atoms name executors, how many on each. Those that became ready together are
    of one *wave* (``wave_of``): one more than the latest of those that they waited for, and 0 at first; ``wave`` is
    that of the atom whose end is taken in. ``left`` counts the atoms that are neither SUCCESS nor IGNORE.

    ``reverting`` are the scopes under reverting by their index, none inside another. ``parked`` is a heap of those that
    were reverted for a round that may not begin yet: when it may, and the scope. ``asks`` are the questions that
    wait. ``history`` has the rounds of retries, ``injected`` what an atom is given before anything else, by symbol,
    ``ignored_by`` the atom that deciders said no to when they had this one ignored.
    """

    __slots__ = (
        "absent",
        "asks",
        "attempt",
        "blocking",
        "broken",
        "defer_reverts",
        "failure",
        "flow_row",
        "flow_state",
        "history",
        "hook_failure",
        "ignored_by",
        "in_flight",
        "injected",
        "inputs",
        "left",
        "left_by",
        "listening",
        "metadata",
        "never_resolve",
        "now",
        "owner",
        "parked",
        "plan",
        "queue",
        "queued",
        "result",
        "revert_attempt",
        "revert_failure",
        "revert_result",
        "reverting",
        "round",
        "started_at",
        "state",
        "waiting",
        "wave",
        "wave_of",
        "window",
        "windows",
    )

    def __init__(self, plan: Plan, flow_row: Mapping[str, Any], *, owner: str = "", window: int = 1) -> None:
        size = len(plan.names)
        self.plan = plan
        self.flow_row = dict(flow_row)
        self.flow_state = FlowState(flow_row["state"])
        self.owner = owner
        self.left_by: dict[int, str] = {}  # the owners of interrupted attempts
        self.window = window
        self.windows: Windows | None = None
        self.listening = False
        self.now = 0.0
        self.inputs: dict[str, Inline] = {}
        self.state: list[AtomState] = [AtomState.PENDING] * size
        self.attempt: list[int] = [0] * size
        self.started_at: list[float] = [0.0] * size
        self.result: list[Inline | None] = [None] * size
        self.round: dict[int, int] = {}
        self.revert_attempt: dict[int, int] = {}
        self.failure: dict[int, Inline] = {}
        self.hook_failure: dict[int, Inline] = {}  # of retries whose on_failure raised
        self.revert_result: dict[int, Inline] = {}
        self.revert_failure: dict[int, Inline] = {}
        self.absent: dict[int, frozenset[int | str]] = {}
        self.metadata: dict[int, dict[str, object]] = {}
        self.waiting: list[int] = [len(before) for before in plan.predecessors]
        self.blocking: dict[int, int] = {}
        self.queue: deque[int] = deque()
        self.queued: set[int] = set()  # of those in `queue`, or held back by `windows`, the ones still meant
        self.in_flight: set[int] = set()
        self.wave = -1
        self.wave_of: list[int] = [-1] * size
        self.left = plan.atom_count
        self.reverting: dict[int, Reverting] = {}
        if flow_row.get("intention") == Intention.REVERT:
            self.reverting[ROOT] = Reverting(flow_row.get("last_wave", -1), retries=False)
        self.parked: list[tuple[float, int]] = []
        self.asks: deque[Ask] = deque()
        self.history: dict[int, list[Round]] = {}
        self.ignored_by: dict[int, int] = {}
        self.injected: dict[int, dict[str, Inline]] = {}
        self.broken = False
        self.defer_reverts = False
        self.never_resolve = False

    def restore(self, node: int, row: Mapping[str, Any]) -> None:
        """Take over the record of an atom, written by `row_of`; values are handles."""
        self.state[node] = AtomState(row["state"])
        self.attempt[node] = row.get("attempt", 0)
        self.started_at[node] = row.get("started_at", 0.0)
        self.wave_of[node] = row.get("wave", -1)
        self.result[node] = row.get("result")
        if "owner" in row:
            self.left_by[node] = row["owner"]
        if "round" in row:
            self.round[node] = row["round"]
        if "revert_attempt" in row:
            self.revert_attempt[node] = row["revert_attempt"]
        if "absent" in row:
            self.absent[node] = frozenset(row["absent"])
        if row.get("ignored_by") in self.plan.index:
            self.ignored_by[node] = self.plan.index[row["ignored_by"]]
        scope = self.plan.scope_of[node]
        if "intention" in row and self.plan.scopes[scope].retry == node:
            retries = row["intention"] == Intention.RETRY
            next_try_at = row.get("next_try_at")
            self.reverting[scope] = Reverting(row.get("last_wave", -1), retries=retries, next_try_at=next_try_at)
        for name, kept in self._rare():
            if name in row:
                kept[node] = row[name]

    def _rare(self) -> tuple[tuple[str, dict[int, Any]], ...]:
        return (
            ("failure", self.failure),
            ("hook_failure", self.hook_failure),
            ("revert_result", self.revert_result),
            ("revert_failure", self.revert_failure),
            ("metadata", self.metadata),
        )

    def row_of(self, node: int) -> dict[str, Any]:
        """Return the record of an atom as it is now; what has its default is left out."""
        state = self.state[node]
        row: dict[str, Any] = {
            "state": state._value_,
            "attempt": self.attempt[node],
            "started_at": self.started_at[node],
            "wave": self.wave_of[node],
        }
        result = self.result[node]
        if result is not None:
            row["result"] = result
        if self.round or self.revert_attempt or self.absent or self.ignored_by:
            if node in self.round:
                row["round"] = self.round[node]
            if node in self.revert_attempt:
                row["revert_attempt"] = self.revert_attempt[node]
            if node in self.absent:
                row["absent"] = sorted(self.absent[node], key=str)
            if node in self.ignored_by:
                row["ignored_by"] = self.plan.names[self.ignored_by[node]]
        if state in UNFINISHED_ATOMS:
            row["owner"] = self.left_by.get(node, self.owner)
        if self.failure or self.reverting or self.metadata:  # the other rare ones come only after a failure
            row.update((name, kept[node]) for name, kept in self._rare() if node in kept)
            scope = self.plan.scope_of[node]
            if scope != ROOT and scope in self.reverting and self.plan.scopes[scope].retry == node:
                reverting = self.reverting[scope]
                row.update(intention=reverting.intention.value, last_wave=reverting.wave)
                if reverting.next_try_at is not None:
                    row["next_try_at"] = reverting.next_try_at
        return row

    def clear(self, node: int) -> None:
        """Forget what a round left of an atom, PENDING in the next one; its metadata stay, without progress."""
        self.state[node] = AtomState.PENDING
        self.attempt[node] = 0
        self.started_at[node] = 0.0
        self.result[node] = None
        self.round[node] = self.round.get(node, 0) + 1
        if node in self.failure:
            self.failure[node].let_go()  # histories keep it, and rounds may be many
        if PROGRESS in self.metadata.get(node, ()):
            self.metadata[node] = {name: told for name, told in self.metadata[node].items() if name != PROGRESS}
        kept = (
            self.revert_attempt,
            self.failure,
            self.hook_failure,
            self.revert_result,
            self.revert_failure,
            self.absent,
            self.ignored_by,
        )
        for one in kept:
            one.pop(node, None)

    def keep_outcome(self, message: Ended) -> None:
        """Keep what an attempt gave."""
        node = message.start.node
        if message.start.direction is EXECUTE:
            if message.failure is not None:
                self.failure[node] = message.failure
                return
            self.result[node] = message.result
            if message.absent:
                self.absent[node] = message.absent
        elif message.failure is not None:
            self.revert_failure[node] = message.failure
        elif message.result is not None:
            self.revert_result[node] = message.result

    def put(self, node: int) -> Put:
        """Return the change that records an atom as it is now."""
        return Put("atom", self.plan.names[node], self.row_of(node))

    def put_flow(self) -> Put:
        """Return the change that records the flow as it is now."""
        self.flow_row.update(state=self.flow_state.value, updated_at=self.now)
        return Put("flow", self.flow_row["id"], dict(self.flow_row))  # a copy: what was committed never changes

    def attempt_ended(self, node: int, direction: Direction, outcome: str, ended_at: float | None) -> Append:
        """Return the change that records the end of the present attempt; no time of end when its owner stopped."""
        executes = direction is EXECUTE
        row = {
            "round": self.round.get(node, 0),
            "attempt": self.attempt[node] if executes else self.revert_attempt[node],
            "direction": direction._value_,
            "owner": self.left_by.pop(node, self.owner),
            "started_at": self.started_at[node],
            "ended_at": ended_at,
            "outcome": outcome,
        }
        return Append("attempt", self.plan.names[node], row)
