"""parsl: apps on its executor of threads, their states kept in memory by its kernel."""

from __future__ import annotations

import tempfile

import parsl
from parsl.config import Config
from parsl.executors.threads import ThreadPoolExecutor
from serving import Asked, Case, Figures, serve, timed

THREADS = 8


def nothing() -> None:
    """Return nothing."""


def threads(asked: Asked) -> Figures:
    """Measure submitting a fan, and waiting for its results."""
    with tempfile.TemporaryDirectory() as folder:
        executors = [ThreadPoolExecutor(max_threads=THREADS)]
        with parsl.load(Config(executors=executors, run_dir=folder, initialize_logging=False)):
            app = parsl.python_app(nothing)
            with timed() as figures:
                for future in [app() for _ in range(asked.atoms)]:
                    future.result()
        parsl.clear()
    return figures


CASES: dict[str, Case] = {"threads fan": threads}

if __name__ == "__main__":
    serve(CASES)
