"""A process that runs many small flows on one backend, and tells from time to time what it holds.

Called with the URL of the backend; lines on its standard input say how many flows to run next, and each is answered
with a line of JSON: memory, descriptors, threads. Between two lines nothing runs, so others can look at the server.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import sys
import threading
import tracemalloc
from contextlib import suppress
from itertools import count
from pathlib import Path

from flowbook import Flow, LinearFlow, Times, UnorderedFlow, engines, task
from flowbook.persistence import Backend, fetch


class NotToday(Exception):
    """What a task raises."""


@task(provides="total")
def add(x: int) -> int:
    return x + 1


@task
def tell(total: int) -> dict[str, int]:
    return {"total": total}


@task(revert=lambda: None)
def reserve() -> str:
    return "a room"


@task
def refuse() -> None:
    raise NotToday("no")


def plain() -> Flow:
    return LinearFlow("plain").add(add, tell)


def wide() -> Flow:
    return UnorderedFlow("wide").add(*[reserve.atom(f"reserve {n}") for n in range(4)])


def reverted() -> Flow:
    return LinearFlow("reverted").add(reserve, refuse)


def retried() -> Flow:
    return LinearFlow("retried", retry=Times(2)).add(reserve, refuse)


FLOWS = ((plain, "serial"), (wide, "parallel"), (reverted, "serial"), (retried, "parallel"))


def play(backend: Backend, url: str, number: int) -> None:
    """Run one small flow; each eighth opens and closes a backend of its own, unless that would be empty."""
    make, engine = FLOWS[number % len(FLOWS)]
    run_id = f"run {number}"
    own = number % 8 == 5 and not backend.keeps_references
    with suppress(NotToday):
        workers = 2 if engine == "parallel" else None
        engines.run(
            make(),
            store={"x": number} if make is plain else {},
            backend=url if own else backend,
            run_id=run_id,
            engine=engine,
            max_workers=workers,
        )
    if backend.keeps_references:  # in memory, what was kept would be the growth
        backend.destroy(run_id)


def held() -> dict[str, int]:
    """Return what the process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "memory_bytes": pages * resource.getpagesize(),
        "traced_bytes": tracemalloc.get_traced_memory()[0],
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
    }


def main(url: str, *options: str) -> None:
    logging.disable(logging.CRITICAL)
    numbers = count()
    with fetch(url) as backend:
        for line in sys.stdin:
            for _, number in zip(range(int(line)), numbers, strict=False):
                play(backend, url, number)
            if "trace" in options and not tracemalloc.is_tracing():
                tracemalloc.start()
            print(json.dumps(held()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
