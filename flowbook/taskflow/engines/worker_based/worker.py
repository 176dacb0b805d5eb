"""TaskFlow's ``engines.worker_based.worker``: importable, but not offered yet."""

from flowbook.taskflow.engines.worker_based.engine import WorkerBasedActionEngine


class Worker(WorkerBasedActionEngine):
    """Will run tasks for engines in other processes; until then making one raises NotImplementedError."""
