"""Telling: committed changes of state become notices, for those who listen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from flowbook.engines.core.messages import Event
from flowbook.events import PROGRESS, Notice, Notifier
from flowbook.flows.plan import Plan

Metadata = Mapping[int, Mapping[str, Any]]
"""What stands beside the atoms, by node."""

NO_METADATA: Final[Metadata] = MappingProxyType({})


class Teller:
    """The notifiers of one engine: one for the states of its flow, one for those of its atoms. True if any is heard."""

    def __init__(self, run_id: str, plan: Plan) -> None:
        self.notifier = Notifier()
        self.atom_notifier = Notifier()
        self._run_id = run_id
        self._plan = plan

    def __bool__(self) -> bool:
        """Return whether anybody listens: the core makes no events otherwise."""
        return bool(self.notifier.listeners or self.atom_notifier.listeners)

    def tell(self, events: Iterable[Event], at: float, metadata: Metadata = NO_METADATA) -> None:
        """Hand out a notice of each event, in order, in the calling thread; ``metadata`` holds progress, by node."""
        for event in events:
            told = (event.state, event.old, at, event.attempt)
            if event.node is None:
                self.notifier.notify(Notice(self._run_id, self._plan.flow_name, "flow", "", *told))
            else:
                atom = self._plan.atom(event.node)
                progress = metadata.get(event.node, {}).get("progress") if event.state == PROGRESS else None
                notice = Notice(self._run_id, self._plan.flow_name, atom.kind, atom.name, *told, progress)
                self.atom_notifier.notify(notice)
