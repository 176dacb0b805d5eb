"""What decisions rely on and say is measured."""

from __future__ import annotations

import threading
import time

from flowbook.engines.executors.threads import ThreadsExecutor


def test_an_idle_pool_of_threads_ends_at_once() -> None:
    """0003: futurist alone takes up to a second."""
    executor = ThreadsExecutor(4)
    executor.submit(lambda: (None, None)).result()
    before = time.monotonic()
    executor.shutdown()
    assert time.monotonic() - before < 0.25
    assert not [thread for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]
