"""The kinds of engines: one loop, and where it lets attempts run."""

from __future__ import annotations

from flowbook.engines import executors
from flowbook.engines.engine import Engine
from flowbook.engines.executors.base import Executor
from flowbook.exceptions import NotPossible


class SerialEngine(Engine):
    """Runs attempts one by one in the thread that calls ``run``."""

    def make_executor(self) -> Executor:
        """Return the serial executor. Raises NotPossible when another one was asked for."""
        if self._options.executor not in (None, "serial"):
            raise NotPossible(
                f"a serial engine takes no executor {self._options.executor!r}", todo='use engine="parallel"'
            )
        return executors.make("serial", self._options.max_workers)


class ParallelEngine(Engine):
    """Runs attempts side by side, on threads or on the executor that was given."""

    def make_executor(self) -> Executor:
        """Return the executor that was asked for: one found by its name, or the user's own."""
        return executors.make(self._options.executor or "threads", self._options.max_workers)
