"""Plays a case on both sides and says whether the outcomes agree, and whether ours is legal by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from differential.comparing import Mismatch, compare
from differential.differences import WHOLE, excused
from differential.peer import Peer
from differential.recording import FLOW, Spec, items_of
from differential.with_flowbook import Player
from flowbook.states import ATOM_TRANSITIONS, FLOW_TRANSITIONS

MOST_ORDERS = 30
"""How many of the orders that TaskFlow may take are tried before its outcome counts as another one."""

ENDS = {"SUCCESS": {"SUCCESS", "IGNORE"}, "REVERTED": {"SUCCESS", "IGNORE", "PENDING", "REVERTED"}}
"""The states in which a flow may leave its atoms, but in FAILURE, where nothing may be left under way."""

ENDINGS = {"SUCCESS", "FAILURE", "REVERTED", "REVERT_FAILURE"}
UNDER_WAY = {"RUNNING", "REVERTING", "RETRYING"}
_MOVES = {(str(old), str(new)) for (old, _), new in ATOM_TRANSITIONS.items()}
_FLOW_MOVES = {(str(old), str(new)) for (old, _), new in FLOW_TRANSITIONS.items()}


@dataclass(frozen=True)
class Verdict:
    """What came of a case: ``differences`` that were needed, or ``mismatches`` that none of them explains."""

    theirs: Spec
    ours: Spec
    differences: frozenset[str] = frozenset()
    mismatches: Sequence[Mismatch] = ()
    orders: int = 1

    @property
    def is_equal(self) -> bool:
        """Whether the outcomes are equal but for details: no difference had to excuse all."""
        return not (self.mismatches or self.differences & WHOLE)


def judge(spec: Spec, peer: Peer) -> Verdict:
    """Play a case on both sides at once; where they differ, try the other orders that TaskFlow may take."""
    peer.ask(spec)
    ours = _play(spec)
    theirs = peer.take()
    first = _compared(spec, theirs, ours)
    if "broken" in theirs or "broken" in ours:
        return first
    endings = [who for who, what, *rest in ours["log"] if what == "state" and who != FLOW and rest[0] in ENDINGS]
    verdict, order = first, 0
    while not verdict.is_equal and order < MOST_ORDERS:
        order += 1
        verdict = _compared(spec, peer.play(spec, order, endings), ours, order + 1)
    return verdict if verdict.is_equal else first


def _play(spec: Spec) -> Spec:
    try:
        return Player(spec).outcome()
    except Exception as error:
        return {"broken": f"{type(error).__name__}: {error}"}


def _compared(spec: Spec, theirs: Spec, ours: Spec, orders: int = 1) -> Verdict:
    if "broken" in theirs or "broken" in ours:
        return Verdict(theirs, ours, mismatches=[Mismatch("broken", FLOW, theirs.get("broken"), ours.get("broken"))])
    illegal = list(illegalities(spec, ours))
    if illegal:
        return Verdict(theirs, ours, mismatches=[Mismatch("illegal", FLOW, "", text) for text in illegal])
    mismatches = compare(spec, theirs, ours)
    names = excused(theirs, ours, mismatches)
    if names is None:
        return Verdict(theirs, ours, mismatches=mismatches, orders=orders)
    return Verdict(theirs, ours, differences=frozenset(names), orders=orders)


def illegalities(spec: Spec, outcome: Spec) -> list[str]:
    """Return what an engine may never do, and did here."""
    end = outcome["ends"][-1]
    found = [] if end in (*ENDS, "FAILURE") else [f"the flow ends {end}"]
    for name, state in outcome["atoms"].items():
        if state in UNDER_WAY or (end in ENDS and state not in ENDS[end]):
            found.append(f"{name} is left {state} in a flow that ends {end}")
    now: dict[str, Any] = {atom["name"]: "PENDING" for atom in items_of(spec["flow"])} | {FLOW: "PENDING"}
    for who, what, *rest in outcome["log"]:
        if what == "state":
            state, old = rest
            moves = _FLOW_MOVES if who == FLOW else _MOVES
            if old != now[who] or (old, state) not in moves:
                found.append(f"{who or 'the flow'}, {now[who]} before, is said to go from {old} to {state}")
            now[who] = state
    return found
