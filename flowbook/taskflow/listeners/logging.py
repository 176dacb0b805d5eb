"""Adapts ``taskflow.listeners.logging``: listeners that log, failures with what led to them."""

import logging
import os
from collections.abc import Collection
from typing import Any, ClassVar

from flowbook.failure import Failure
from flowbook.listeners.logging import TROUBLE
from flowbook.listeners.masking import masked, names_in
from flowbook.taskflow.formatters import FailureFormatter
from flowbook.taskflow.listeners import base

LOG = logging.getLogger(__name__)


class LoggingListener(base.DumpingListener):
    """Logs flow and tasks at ``level``, to ``log``, else to the class's ``_LOGGER``, else to the module's."""

    _LOGGER: ClassVar[Any] = None

    def __init__(self, engine: Any, *, log: Any = None, level: int = logging.DEBUG, **heard: base.ListenFor) -> None:
        super().__init__(engine, **heard)
        self._logger, self._level = log or self._LOGGER or LOG, level

    def _dump(self, message: str, *args: Any, **kwargs: Any) -> None:
        self._logger.log(self._level, message, *args, **kwargs)


class DynamicLoggingListener(LoggingListener):
    """Logs at ``level``, and at ``failure_level`` what fails or is reverted, as ``fail_formatter`` tells it."""

    def __init__(
        self,
        engine: Any,
        *,
        failure_level: int = logging.WARNING,
        hide_inputs_outputs_of: Collection[str] = (),
        fail_formatter: Any = None,
        mask_inputs_keys: Collection[str] = (),
        mask_outputs_keys: Collection[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(engine, **options)
        self._failure_level = failure_level
        self._hidden = names_in(hide_inputs_outputs_of, "hide_inputs_outputs_of")
        self._masked = names_in(mask_outputs_keys, "mask_outputs_keys")
        self._fail_formatter = fail_formatter or FailureFormatter(engine, self._hidden, mask_inputs_keys, self._masked)

    def _receive(self, kind: str, state: str, details: base.Details) -> None:
        if kind == "retry":
            return
        name, result = details[f"{kind}_name"], details.get("result")
        level = self._failure_level if state in TROUBLE else self._level
        text, exc_info, rest = "", None, list[Any]()
        if isinstance(result, Failure):
            tell = self._fail_formatter.format
            exc_info, why = tell(result, lambda node: (node.metadata["kind"], node.item.name) == (kind, name))
            level, text, rest = self._failure_level, "%s%s", [os.linesep if why else "", why]
        elif "result" in details and name not in self._hidden and self._logger.isEnabledFor(self._level):
            text, rest = ", result '%s'", [masked(result, self._masked)]
        told = (kind.capitalize(), name, details[f"{kind}_uuid"], state, details["old_state"], *rest)
        self._logger.log(level, f"%s '%s' (%s) is %s, was %s{text}", *told, exc_info=exc_info)
