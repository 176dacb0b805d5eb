"""TaskFlow's ``engines.action_engine.executor``: where tasks run, as a native ``engine`` and its options."""

import sys
from concurrent.futures import Executor
from importlib import import_module
from time import monotonic
from typing import Any

import futurist

from flowbook.engines.kinds import ParallelEngine
from flowbook.taskflow.utils.eventlet_utils import check_for_eventlet


class _GreenEngine(ParallelEngine):
    """Lets green threads run while it waits."""

    def _wait(self, timeout_s: float | None) -> Any:  # as in Engine
        eventlet = import_module("eventlet")  # here: it may not be installed
        until = monotonic() + (sys.maxsize if timeout_s is None else timeout_s)
        while self._inbox._queue.empty() and monotonic() < until:
            eventlet.sleep(0.001)
        return super()._wait(0.0)


class ParallelThreadTaskExecutor:
    """Has tasks run on threads made for each run, or on an executor that was given, which is never shut down."""

    def __init__(self, executor: Executor | None = None, max_workers: int | None = None) -> None:
        self.engine = _GreenEngine if isinstance(executor, futurist.GreenThreadPoolExecutor) else ParallelEngine
        self.options: dict[str, Any] = {"executor": executor, "executors": None, "max_workers": max_workers}


class SerialTaskExecutor(ParallelThreadTaskExecutor):
    """Has tasks run one after the other in the engine's thread, all that became ready together."""

    def __init__(self) -> None:
        super().__init__(futurist.SynchronousExecutor(), sys.maxsize)


class ParallelGreenThreadTaskExecutor(ParallelThreadTaskExecutor):
    """Has tasks run on green threads, which end when there is no more to do. Raises ValueError without eventlet."""

    def __init__(self, executor: None = None, max_workers: int | None = None) -> None:
        check_for_eventlet(ValueError("green threads need eventlet, which is not installed"))
        super().__init__(futurist.GreenThreadPoolExecutor(max_workers or 1000), max_workers)
