"""The limit: what an engine cannot be quicker than, on the same machine and with the same durability."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import networkx
import replaying
from serving import Asked, Case, Figures, serve, timed
from with_flowbook import THREADS, chain

from flowbook import engines
from flowbook.persistence import Backend, fetch
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.persistence.zookeeper.backend import ZookeeperBackend


@dataclass
class Recording:
    """What a run sent: where it was, how that is sent again to another place, and its size."""

    place: str
    send: Callable[[str], Figures]
    size_bytes: int


RECORDINGS: dict[tuple[str, int], Recording] = {}
"""What was recorded, by the kind of storage and the number of atoms."""


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
    """Run a chain, and keep what it sent for `durable`; the seconds are of no use."""
    scheme = urlsplit(asked.place).scheme
    recorded = {"dir": record_files, "zookeeper": record_zookeeper}.get(scheme, record_sql)(asked)
    RECORDINGS[scheme, asked.atoms] = recorded
    return {"seconds": 0.0}


def durable(asked: Asked) -> Figures:
    """Measure sending the same to another place."""
    recording = RECORDINGS[urlsplit(asked.place).scheme, asked.atoms]
    return {**recording.send(asked.place), "bytes": recording.size_bytes}


def _run(atoms: int, backend: Backend) -> None:
    engines.load(chain(atoms), backend=backend, run_id="recorded").run()


def record_files(asked: Asked) -> Recording:
    """Return the lines of a run in a directory."""
    files = replaying.RecordedFiles()
    with DirectoryBackend(asked.place, files=files) as backend:
        _run(asked.atoms, backend)

    def send(place: str) -> Figures:
        with timed() as figures:
            replaying.append(place.removeprefix("dir:"), files.lines)
        return figures

    return Recording(asked.place, send, sum(map(len, files.lines)))


def record_sql(asked: Asked) -> Recording:
    """Return the statements of a run in a database, those of the connection that had most of them."""
    with fetch(asked.place) as backend:
        assert isinstance(backend, SqlBackend)
        backend.open()
        backend.close()  # the schema is there, and the next connection is a recorded one
        made = replaying.record_sql(backend)
        _run(asked.atoms, backend)
    calls = max(made, key=len)

    def send(place: str) -> Figures:
        with fetch(place) as made_ready:
            made_ready.open()
        connection = replaying.connect(place)
        with timed() as figures:
            replaying.send_sql(connection, calls)
        connection.close()
        return figures

    return Recording(asked.place, send, sum(replaying.size_bytes(values) for _, values in calls))


def record_zookeeper(asked: Asked) -> Recording:
    """Return the requests of a run in ZooKeeper; they are sent again below another path."""
    with fetch(asked.place) as backend:
        assert isinstance(backend, ZookeeperBackend)
        backend.open()
        requests = replaying.record_zookeeper(backend)
        _run(asked.atoms, backend)
        sent = list(requests)

    def send(place: str) -> Figures:
        with fetch(place + urlsplit(asked.place).path) as made_ready:
            made_ready.open()
        client = replaying.connect(place)
        with timed() as figures:
            replaying.send_zookeeper(client, sent)
        client.stop()
        client.close()
        return figures

    return Recording(asked.place, send, 0)


CASES: dict[str, Case] = {"threads fan": threads, "graph": graph, "record": record, "durable chain": durable}

if __name__ == "__main__":
    serve(CASES)
