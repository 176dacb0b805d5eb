"""TaskFlow's ``engines.worker_based.engine``: importable, but not offered yet."""

from typing import Any

from flowbook.taskflow import exceptions


class WorkerBasedActionEngine:
    """Will run tasks in other processes; until then making one raises NotImplementedError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotImplementedError("engines with remote workers are not offered yet: use 'parallel'")
