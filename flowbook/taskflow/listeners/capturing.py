"""Adapts ``taskflow.listeners.capturing``: a listener that keeps what it hears."""

from collections.abc import Collection
from typing import Any

from flowbook.taskflow.listeners.base import Details, Listener, ListenFor


class CaptureListener(Listener):
    """Appends what it hears to ``values``, as `_format_capture` makes it; those with a name to skip are left out."""

    FLOW, TASK, RETRY = "flow", "task", "retry"

    def __init__(
        self,
        engine: Any,
        *,
        capture_flow: bool = True,
        capture_task: bool = True,
        capture_retry: bool = True,
        skip_tasks: Collection[str] | None = None,
        skip_retries: Collection[str] | None = None,
        skip_flows: Collection[str] | None = None,
        values: list[Any] | None = None,
        **listening: ListenFor,
    ) -> None:
        super().__init__(engine, **listening)
        self._captures = {self.FLOW: capture_flow, self.TASK: capture_task, self.RETRY: capture_retry}
        self._skips = {self.FLOW: skip_flows or (), self.TASK: skip_tasks or (), self.RETRY: skip_retries or ()}
        self.values: list[Any] = [] if values is None else values

    @staticmethod
    def _format_capture(kind: str, state: str, details: Details) -> Any:
        return kind, state, details

    def _receive(self, kind: str, state: str, details: Details) -> None:
        if self._captures[kind] and details[f"{kind}_name"] not in self._skips[kind]:
            self.values.append(self._format_capture(kind, state, details))
