"""Logging: notices become log records; failures with what led to them, secrets masked."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final, Unpack

from flowbook.engines.engine import Engine
from flowbook.events import Notice
from flowbook.failure import Failure
from flowbook.listeners.base import Listener, Listening, failure_of
from flowbook.listeners.surroundings import StorageReader, Surroundings, chain_text, exc_info_of
from flowbook.states import AtomState, Direction, FlowState

LOG = logging.getLogger(__name__)

TROUBLE: Final = frozenset(
    {AtomState.FAILURE, AtomState.RETRYING, AtomState.REVERTED, AtomState.REVERT_FAILURE}
    | {FlowState.FAILURE, FlowState.REVERTED}
)
"""States of atoms and flows that are logged at a higher level."""


class LoggingListener(Listener):
    """Logs each notice at ``level``, and a failure with its traceback; no inputs and outputs.

    ``log`` is ``flowbook.listeners.logging`` when none is given.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        log: logging.Logger | None = None,
        level: int = logging.DEBUG,
        **listening: Unpack[Listening],
    ) -> None:
        super().__init__(engine, **listening)
        self._log = LOG if log is None else log
        self._level = level

    def hear(self, notice: Notice) -> None:
        """Log the notice."""
        if self._log.isEnabledFor(self._level):
            _log(self._log, self._level, notice, failure_of(self.engine, notice), [])


class DynamicLoggingListener(Listener):
    """Logs at ``level`` what goes well, with results, and at ``failure_level`` what does not, with what led to it.

    That is the traceback and those of its causes, what the atom was called with, and the atoms before it, each once
    and at most 50, with their inputs and outputs. The symbols in ``mask_inputs_keys`` and ``mask_outputs_keys``, and
    the keys of that name in what is shown, have ``***`` for a value; of atoms in ``hide_inputs_outputs_of`` neither
    is shown. Text of exceptions is logged as it is, but for secrets (`flowbook.secrets`). ``log`` is
    ``flowbook.listeners.logging`` when none is given.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        log: logging.Logger | None = None,
        level: int = logging.DEBUG,
        failure_level: int = logging.WARNING,
        hide_inputs_outputs_of: Collection[str] = (),
        mask_inputs_keys: Collection[str] = (),
        mask_outputs_keys: Collection[str] = (),
        **listening: Unpack[Listening],
    ) -> None:
        super().__init__(engine, **listening)
        self._log = LOG if log is None else log
        self._level = level
        self._failure_level = failure_level
        self._surroundings = Surroundings(
            engine.compilation.plan,
            StorageReader(engine.storage),
            hide_inputs_outputs_of=hide_inputs_outputs_of,
            mask_inputs_keys=mask_inputs_keys,
            mask_outputs_keys=mask_outputs_keys,
        )

    def hear(self, notice: Notice) -> None:
        """Log the notice."""
        level = self._failure_level if notice.state in TROUBLE else self._level
        if not self._log.isEnabledFor(level):
            return
        failure = failure_of(self.engine, notice)
        if failure is not None:
            reverts = notice.state == AtomState.REVERT_FAILURE
            lines = self._surroundings.of(notice.atom, Direction.REVERT if reverts else Direction.EXECUTE)
        elif notice.atom and notice.state == AtomState.SUCCESS:
            output = self._surroundings.output(notice.atom)
            lines = [f"gave {output}"] if output else []
        else:
            lines = []
        _log(self._log, level, notice, failure, lines)


def _log(log: logging.Logger, level: int, notice: Notice, failure: Failure | None, lines: list[str]) -> None:
    """Log a notice and what is known of it; a text stands for an exception that is not at hand or tells a secret."""
    exc_info = None if failure is None else exc_info_of(failure)
    why = "" if failure is None else f": {failure.type_names[0]}: {failure.exception_str}"
    told = [f"{notice}{why}", *(f"  {line}" for line in lines)]
    if failure is not None and exc_info is None:
        told.append(chain_text(failure).rstrip())
    log.log(level, "%s", "\n".join(told), exc_info=exc_info)
