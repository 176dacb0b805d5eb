"""Progress: how far each atom has come, and how much of the flow is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flowbook.engines.engine import Engine
from flowbook.events import ANY, PROGRESS, Notice
from flowbook.listeners.base import QUEUE_SIZE, Listener
from flowbook.states import AtomState, FlowState

_DONE: Final = frozenset({AtomState.SUCCESS, AtomState.IGNORE})


class ProgressListener(Listener):
    """Hands the name of an atom and how far it has come to ``callback``: 0.0 as it starts, 1.0 when it succeeded.

    Between these it is what the attempt tells with ``flowbook.current().update_progress``, as it is committed.
    """

    def __init__(
        self,
        engine: Engine,
        callback: Callable[[str, float], object],
        *,
        detached: bool = False,
        queue_size: int = QUEUE_SIZE,
    ) -> None:
        super().__init__(
            engine,
            flow_states=(FlowState.RUNNING,),
            atom_states=(ANY, PROGRESS),
            detached=detached,
            queue_size=queue_size,
        )
        self._callback = callback
        self._done: set[str] = set()

    @property
    def share(self) -> float:
        """How many of the flow's atoms are done, as a share of all: 0.0 to 1.0."""
        count = self.engine.storage.plan.atom_count
        return len(self._done) / count if count else 1.0

    def hear(self, notice: Notice) -> None:
        """Count what is done, and hand on how far an atom is."""
        if not notice.atom:
            self._done = self._done_before()
            return
        if notice.state in _DONE:
            self._done.add(notice.atom)
        elif notice.state != PROGRESS:
            self._done.discard(notice.atom)
        if (progress := _progress(notice)) is not None:
            self._callback(notice.atom, progress)

    def _done_before(self) -> set[str]:
        """Return what the storage knows to be done: by an earlier entry, too."""
        storage = self.engine.storage
        return {name for name in storage.plan.index if storage.get_atom_state(name) in _DONE}


def _progress(notice: Notice) -> float | None:
    if notice.state == AtomState.RUNNING:
        return 0.0
    return 1.0 if notice.state == AtomState.SUCCESS else notice.progress
