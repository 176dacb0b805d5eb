"""Adapts ``taskflow.listeners.timing``: durations and times of events, kept in the metadata of flow and atoms."""

import logging
import time
from collections.abc import Callable
from typing import Any

from flowbook.taskflow import exceptions, states
from flowbook.taskflow.listeners import base

LOG = logging.getLogger(__name__)

STARTING_STATES = frozenset({states.RUNNING, states.REVERTING})
FINISHED_STATES = frozenset(base.FINISH_STATES)
WATCH_STATES = STARTING_STATES | FINISHED_STATES | {states.PENDING}


class EventTimeListener(base.Listener):
    """Keeps when flow, tasks and retries came into each state, in Unix time, under ``<STATE>-timestamp``."""

    def _receive(self, kind: str, state: str, details: base.Details) -> None:
        self._keep(kind, details[f"{kind}_name"], {f"{state}-timestamp": time.time()})

    def _keep(self, kind: str, name: str, metadata: dict[str, float]) -> None:
        storage = self._engine.storage
        try:
            if kind == "flow":
                storage.update_flow_metadata(metadata)
            else:
                storage.update_atom_metadata(name, metadata)
        except exceptions.StorageFailure:
            LOG.warning("could not keep %s of %s '%s'", metadata, kind, name, exc_info=True)


class DurationListener(EventTimeListener):
    """Keeps how many seconds each task and the flow took under ``duration``, and no times of events."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine, WATCH_STATES, WATCH_STATES, ())
        self._began: dict[tuple[str, str], float] = {}
        self._tell: Callable[[str], object] = LOG.debug

    def deregister(self) -> None:
        """Hear no more, and log what did not end."""
        super().deregister()
        for kind, name in self._began:
            LOG.warning("%s '%s' has not ended", kind, name)
        self._began.clear()

    def _receive(self, kind: str, state: str, details: base.Details) -> None:
        name = details[f"{kind}_name"]
        began = self._began.pop((kind, name), None)
        if state in STARTING_STATES:
            self._began[kind, name] = time.monotonic()
            self._tell(f"{kind} '{name}' has begun.")
        elif state in FINISHED_STATES and began is not None:
            seconds = time.monotonic() - began
            self._keep(kind, name, {"duration": seconds})
            self._tell(f"{kind} '{name}' took {seconds:.2f} seconds.")


class PrintingDurationListener(DurationListener):
    """Prints beginnings and durations, too: with ``printer``, if one is given."""

    def __init__(self, engine: Any, printer: Callable[[str], object] | None = None) -> None:
        super().__init__(engine)
        self._tell = printer or print
