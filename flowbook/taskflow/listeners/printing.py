"""Adapts ``taskflow.listeners.printing``."""

import sys
import traceback
from typing import Any

from flowbook.taskflow.listeners import base


class PrintingListener(base.DumpingListener):
    """Prints what happens to flow and tasks: to standard output, or to standard error."""

    def __init__(self, engine: Any, *, stderr: bool = False, **listening: base.ListenFor) -> None:
        super().__init__(engine, **listening)
        self._file = sys.stderr if stderr else sys.stdout

    def _dump(self, message: str, *args: Any, **kwargs: Any) -> None:
        print(message % args, file=self._file)
        if kwargs.get("exc_info") is not None:
            traceback.print_exception(*kwargs["exc_info"], file=self._file)
