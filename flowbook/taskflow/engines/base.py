"""TaskFlow's ``engines.base``: the class of every engine, also of those of another package."""

from collections.abc import Mapping
from typing import Any

from flowbook.taskflow.persistence.models import FlowDetail
from flowbook.taskflow.types.notifier import Notifier


class Engine:
    """Runs a flow by its ``run``, and keeps what comes of it in ``storage``; `ActionEngine` has the other methods.

    ``notifier`` tells the states of the flow, ``atom_notifier`` those of its atoms.
    """

    def __init__(self, flow: Any, flow_detail: FlowDetail, backend: Any, options: Mapping[str, Any] | None) -> None:
        self._flow, self._flow_detail, self._backend = flow, flow_detail, backend
        self.options, self.statistics = dict(options or {}), dict[str, Any]()  # numbers of the last run
        self.notifier, self.atom_notifier = Notifier(), Notifier()
