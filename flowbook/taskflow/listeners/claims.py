"""Adapts ``taskflow.listeners.claims``: an engine that works for a job stops when the job is no longer its owner's."""

import logging
from collections.abc import Callable
from typing import Any

from flowbook.taskflow import exceptions, states
from flowbook.taskflow.listeners.base import Details, Listener

LOG = logging.getLogger(__name__)


class CheckingClaimListener(Listener):
    """Calls ``on_job_loss(engine, state, details)``, or suspends the engine, when ``owner`` has lost ``job``."""

    def __init__(
        self, engine: Any, job: Any, board: Any, owner: str, on_job_loss: Callable[..., object] | None = None
    ) -> None:
        super().__init__(engine)
        if on_job_loss is not None and not callable(on_job_loss):
            raise ValueError(f"on_job_loss cannot be called: {on_job_loss!r}")
        self._job, self._board, self._owner = job, board, owner
        self._on_job_loss = on_job_loss or self._suspend_engine_on_loss

    def _suspend_engine_on_loss(self, engine: Any, state: str, details: Details) -> None:
        try:
            engine.suspend()
        except exceptions.TaskFlowException:
            LOG.warning("could not suspend %s, whose job %s is lost", engine, self._job, exc_info=True)

    def _receive(self, kind: str, state: str, details: Details) -> None:
        if kind != "retry" and self._has_been_lost():
            LOG.warning("the job %s is no longer claimed by '%s'", self._job, self._owner)
            self._on_job_loss(self._engine, state, details)

    def _has_been_lost(self) -> bool:
        try:
            return bool(self._job.state == states.UNCLAIMED or self._board.find_owner(self._job) != self._owner)
        except (exceptions.NotFound, exceptions.JobFailure):
            return True
