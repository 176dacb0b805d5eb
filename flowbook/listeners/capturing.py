"""Capturing: notices are kept, for tests and for looking at afterwards."""

from __future__ import annotations

from typing import Unpack

from flowbook.engines.engine import Engine
from flowbook.events import Notice
from flowbook.listeners.base import Listener, Listening


class CaptureListener(Listener):
    """Appends each notice to ``notices``, a list of its own unless one is given."""

    def __init__(self, engine: Engine, notices: list[Notice] | None = None, **listening: Unpack[Listening]) -> None:
        super().__init__(engine, **listening)
        self.notices: list[Notice] = [] if notices is None else notices

    def hear(self, notice: Notice) -> None:
        """Keep the notice."""
        self.notices.append(notice)
