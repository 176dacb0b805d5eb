"""Timing: how long the flow and each of its atoms took. Nothing is stored: the logbook has the times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Unpack

from flowbook.engines.engine import Engine
from flowbook.events import Notice
from flowbook.listeners.base import Listener, Listening
from flowbook.states import FINISHED, UNFINISHED_ATOMS, AtomState, FlowState

_ATOM_ENDS: Final = frozenset({AtomState.SUCCESS, AtomState.FAILURE, AtomState.REVERTED, AtomState.REVERT_FAILURE})
_FLOW_BEGINS: Final = frozenset({FlowState.RUNNING})
_FLOW_ENDS: Final = FINISHED | {FlowState.SUSPENDED}


@dataclass(frozen=True, slots=True)
class Duration:
    """How long one attempt of an atom took, or one entry of the flow, and the ``state`` that it ended in.

    ``kind`` is ``flow``, ``task`` or ``retry``; ``attempt`` counts from 1, and is 0 for the flow.
    """

    kind: str
    name: str
    state: str
    attempt: int
    seconds: float

    def __str__(self) -> str:
        """Give it in one line."""
        return f"{self.kind} {self.name!r} took {self.seconds:.2f} s to {self.state}"


class DurationListener(Listener):
    """Adds a `Duration` to ``durations`` for each attempt that ends, and for the flow; ``printer`` is given its line.

    An attempt begins when its start is committed: what it waited for a free worker counts.
    """

    def __init__(
        self, engine: Engine, printer: Callable[[str], object] | None = None, **listening: Unpack[Listening]
    ) -> None:
        super().__init__(engine, **listening)
        self.durations: list[Duration] = []
        self._printer = printer
        self._began: dict[str, float] = {}  # by the atom's name, empty for the flow

    def hear(self, notice: Notice) -> None:
        """Remember when something begins; note how long it took when it ends."""
        begins, ends = (UNFINISHED_ATOMS, _ATOM_ENDS) if notice.atom else (_FLOW_BEGINS, _FLOW_ENDS)
        if notice.state in begins:
            self._began[notice.atom] = notice.at
        elif notice.state in ends:
            self._note_end(notice)
        elif notice.state == AtomState.PENDING:
            self._began.pop(notice.atom, None)

    def _note_end(self, notice: Notice) -> None:
        began = self._began.pop(notice.atom, None)
        if began is None:  # it began before anybody listened
            return
        name = notice.atom or notice.flow
        taken = Duration(notice.kind, name, notice.state, notice.attempt, max(0.0, notice.at - began))
        self.durations.append(taken)
        if self._printer is not None:
            self._printer(str(taken))
