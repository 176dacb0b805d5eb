"""Printing: a line for each notice, with the traceback of what failed."""

from __future__ import annotations

import sys
from typing import TextIO, Unpack

from flowbook.engines.engine import Engine
from flowbook.events import Notice
from flowbook.listeners.base import Listener, Listening, failure_of
from flowbook.listeners.surroundings import chain_text


class PrintingListener(Listener):
    """Prints each notice to ``file``: standard output, as it is when something is printed, if none is given."""

    def __init__(self, engine: Engine, file: TextIO | None = None, **listening: Unpack[Listening]) -> None:
        super().__init__(engine, **listening)
        self._file = file

    def hear(self, notice: Notice) -> None:
        """Print the notice."""
        failure = failure_of(self.engine, notice)
        text = f"{notice}" if failure is None else f"{notice}\n{chain_text(failure).rstrip()}"
        print(text, file=self._file or sys.stdout)
