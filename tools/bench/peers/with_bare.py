"""The limit: what an engine cannot be quicker than, on the same machine and with the same durability."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import networkx
from serving import Asked, Case, Figures, serve, timed
from with_flowbook import THREADS, chain

from flowbook import engines
from flowbook.exceptions import NotFound
from flowbook.persistence import Backend, fetch

sys.path.append(str(Path(__file__).parents[1]))  # the bench of durable storages catches what a run writes
from bare import BARE, OURS, Recording, recording_of

RECORDED: dict[str, tuple[Backend, Recording]] = {}
"""What was recorded, by the URL of the storage."""


def nothing() -> None:
    """Return nothing."""


def threads(asked: Asked) -> Figures:
    """Measure a pool of threads, and waiting for its results."""
    with timed() as figures, ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(nothing) for _ in range(asked.atoms)]:
            future.result()
    return figures


def graph(asked: Asked) -> Figures:
    """Measure building a graph of a chain."""
    with timed() as figures:
        built = networkx.DiGraph()
        built.add_nodes_from(range(asked.atoms))
        built.add_edges_from((number - 1, number) for number in range(1, asked.atoms))
    return figures


def record(asked: Asked) -> Figures:
    """Run a chain, and keep what it writes for `durable`; the time is of no use."""
    backend = fetch(asked.place)
    recording = recording_of(backend)
    backend.open()
    with recording.caught(), timed() as figures:
        engines.load(chain(asked.atoms), backend=backend, run_id=OURS).run()
    RECORDED[asked.place] = backend, recording
    return figures


def durable(asked: Asked) -> Figures:
    """Measure writing it once more; what was written so before is forgotten first."""
    backend, recording = RECORDED[asked.place]
    with suppress(NotFound):
        backend.destroy(BARE)
    taken = recording.again()
    return {"seconds": taken.wall_s, "cpu_s": taken.cpu_s, "bytes": float(taken.size_bytes)}


CASES: dict[str, Case] = {"threads fan": threads, "graph": graph, "record": record, "durable chain": durable}

if __name__ == "__main__":
    serve(CASES)
