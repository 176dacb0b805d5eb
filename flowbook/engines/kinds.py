"""The kinds of engines: one loop, and where it lets attempts run."""

from __future__ import annotations

from flowbook.engines import executors
from flowbook.engines.engine import Engine
from flowbook.engines.executors.base import Executor
from flowbook.engines.executors.routing import executor_for, namers
from flowbook.exceptions import NotPossible


class SerialEngine(Engine):
    """Runs attempts one by one in the thread that calls ``run``."""

    def make_executor(self) -> Executor:
        """Return the serial executor. Raises NotPossible when another one was asked for, by an atom too."""
        for name, atom in namers(self.compilation.plan.atoms, self._options).items():
            what = f"{atom.name!r} names the executor {name!r}, and a serial engine runs all atoms itself"
            raise NotPossible(what, where=atom.place, todo=_TODO_NAMED)
        if self._options.max_in_flight not in (None, 1):
            raise NotPossible("a serial engine runs one atom at a time", todo='use engine="parallel"')
        if self._options.executor not in (None, "serial"):
            raise NotPossible(
                f"a serial engine takes no executor {self._options.executor!r}", todo='use engine="parallel"'
            )
        return executors.make("serial", self._options.max_workers)


class ParallelEngine(Engine):
    """Runs attempts side by side, on threads, on the executor that was given, or on those that atoms name."""

    def make_executor(self) -> Executor:
        """Return the executor that was asked for, by a name or as an object, together with those that atoms name."""
        return executor_for(self.compilation.plan.atoms, self._options)


_TODO_NAMED = 'use engine="parallel"; executors=None lets an engine run all atoms in one place'
