"""What an atom costs: declared, compiled, run in memory, in a directory and on SQLite, in chains and fans.

The tasks do nothing. Sizes and kinds are interleaved and medians shown, so that a noisy machine disturbs all alike.
Commits and syncs are counted: seconds are of this machine, counts are of the design. ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bare import SeenFiles

from flowbook import Flow, LinearFlow, Task, UnorderedFlow, engines
from flowbook.flows.compilation import compile_flow
from flowbook.persistence import Backend, fetch
from flowbook.persistence.directory.backend import DirectoryBackend

SHAPES: dict[str, Callable[[str], Flow]] = {"chain": LinearFlow, "fan": UnorderedFlow}


class NoOp(Task):
    """Does nothing."""

    def execute(self) -> None:
        """Return nothing."""


class Measured(NamedTuple):
    """What one round took; ``syncs`` are counted where every file call is ours."""

    seconds: float
    commits: int = 0
    syncs: int | None = None


NOTHING = Measured(0.0)


@dataclass
class Case:
    """One thing that is measured: seconds of each round; commits and waits for the disk of the last."""

    name: str
    atoms: int
    measure: Callable[[], Measured]
    seconds: list[float]
    last: Measured = NOTHING

    def round(self) -> None:
        """Measure once more."""
        self.last = self.measure()
        self.seconds.append(self.last.seconds)

    @property
    def us_per_atom(self) -> float:
        """The median cost of an atom in microseconds."""
        return statistics.median(self.seconds) / self.atoms * 1e6


def flow_of(shape: str, atoms: int) -> Flow:
    """Return a flow of no-op tasks."""
    return SHAPES[shape](shape).add(*[NoOp(f"t{i}") for i in range(atoms)])


def compiling(shape: str, atoms: int) -> Measured:
    """Return the seconds that declaring and compiling take, the networkx graph not included."""
    began = time.perf_counter()
    compile_flow(flow_of(shape, atoms), ())
    return Measured(time.perf_counter() - began)


def drawing(shape: str, atoms: int) -> Measured:
    """Return the seconds that the networkx graph of a compiled flow takes."""
    compilation = compile_flow(flow_of(shape, atoms), ())
    began = time.perf_counter()
    assert len(compilation.graph) == atoms
    return Measured(time.perf_counter() - began)


def running(shape: str, atoms: int, engine: str, url: str) -> Measured:
    """Return the seconds and commits of a run, claim and release included, loading excluded."""
    with tempfile.TemporaryDirectory() as folder, fetch(url.format(folder=folder)) as backend:
        return _running(shape, atoms, engine, backend)


def in_directory(shape: str, atoms: int, engine: str) -> Measured:
    """Return the seconds, commits and syncs of a run in a directory, claim, release and snapshot included."""
    files = SeenFiles()
    with tempfile.TemporaryDirectory() as folder, DirectoryBackend(f"dir:{folder}", files=files) as backend:
        backend.open()
        files.syncs = 0
        return _running(shape, atoms, engine, backend)._replace(syncs=files.syncs)


def _running(shape: str, atoms: int, engine: str, backend: Backend) -> Measured:
    backend.open()
    loaded = engines.load(flow_of(shape, atoms), backend=backend, engine=engine)
    began = time.perf_counter()
    loaded.run()
    return Measured(time.perf_counter() - began, loaded.storage.commits)


def appending(atoms: int) -> Measured:
    """Return the seconds of a durable chain's lines, the very same, appended and synced one by one and nothing else."""
    files = SeenFiles()
    with tempfile.TemporaryDirectory() as folder, DirectoryBackend(f"dir:{folder}/runs", files=files) as backend:
        _running("chain", atoms, "serial", backend)
        lines = [line.rstrip(b"\n") + b"\n" for line in files.lines if b'"seq":' in line]  # without room behind
        file = os.open(f"{folder}/bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        began = time.perf_counter()
        for line in lines:
            os.write(file, line)
            os.fdatasync(file)
        seconds = time.perf_counter() - began
        os.close(file)
    return Measured(seconds, len(lines), len(lines))


def bare(atoms: int) -> Measured:
    """Return the seconds of the statements of a durable chain with the sqlite3 module and no engine."""
    row = '{"state":"SUCCESS","attempt":1,"started_at":1700000000.0,"result":null}'
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("create table heads(key text primary key, seq integer) without rowid")
        db.execute("create table records(flow, kind, key, data, primary key(flow, kind, key)) without rowid")
        db.execute("create table appended(id integer primary key, flow, kind, key, data)")
        db.execute("insert into heads values ('r', 0)")
        put = "insert into records values (?,?,?,?) on conflict(flow,kind,key) do update set data=excluded.data"
        began = time.perf_counter()
        for i in range(atoms):
            db.execute("begin immediate")
            db.execute("update heads set seq=seq+1 where key='r' and seq=?", (i,))
            db.executemany(put, [("r", "atom", f"t{i}", row), ("r", "atom", f"t{i + 1}", row)])
            db.execute("insert into appended(flow,kind,key,data) values (?,?,?,?)", ("r", "attempt", f"t{i}", row))
            db.execute("commit")
        seconds = time.perf_counter() - began
        db.close()
        return Measured(seconds, atoms)


def cases_of(sizes: list[int], durable: int) -> list[Case]:
    """Return all that is measured."""
    cases: list[Case] = []
    url = "sqlite:///{folder}/runs.db"
    for shape in SHAPES:
        for atoms in sizes:
            kinds: dict[str, Callable[[], Measured]] = {
                f"{shape}, declare and compile": partial(compiling, shape, atoms),
                f"{shape}, networkx graph": partial(drawing, shape, atoms),
                f"{shape}, memory, serial": partial(running, shape, atoms, "serial", "memory:"),
                f"{shape}, memory, threads": partial(running, shape, atoms, "parallel", "memory:"),
            }
            cases += [Case(name, atoms, measure, []) for name, measure in kinds.items()]
        for engine in ("serial", "parallel"):
            name = f"{shape}, sqlite, {engine}"
            cases.append(Case(name, durable, partial(running, shape, durable, engine, url), []))
            name = f"{shape}, directory, {engine}"
            cases.append(Case(name, durable, partial(in_directory, shape, durable, engine), []))
    cases.append(Case("chain, bare sqlite3, same statements", durable, partial(bare, durable), []))
    cases.append(Case("chain, same lines appended and synced", durable, partial(appending, durable), []))
    return cases


def main() -> None:
    """Measure, and print a table (or, with --json, the figures)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000], help="atoms in memory")
    parser.add_argument("--durable", type=int, default=1_000, help="atoms on SQLite")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cases = cases_of(asked.sizes, asked.durable)
    for _ in range(asked.rounds):
        for case in cases:
            case.round()
    if asked.json:
        figures = [
            {"name": c.name, "atoms": c.atoms, "us": c.us_per_atom, "commits": c.last.commits, "syncs": c.last.syncs}
            for c in cases
        ]
        print(json.dumps(figures))
        return
    print(f"{'':38} {'atoms':>7} {'commits/atom':>13} {'syncs/atom':>11} {'us/atom':>9} {'atoms/s':>10}")
    for case in cases:
        us = case.us_per_atom
        syncs = "" if case.last.syncs is None else f"{case.last.syncs / case.atoms:.3f}"
        commits = f"{case.last.commits / case.atoms:.3f}"
        print(f"{case.name:38} {case.atoms:7} {commits:>13} {syncs:>11} {us:9.2f} {1e6 / us:10.0f}")
    costs = {case.name: case.us_per_atom for case in cases}
    print()
    for name, least in (("sqlite", "bare sqlite3, same statements"), ("directory", "same lines appended and synced")):
        print(f"chain, {least} / {name}, serial: {costs[f'chain, {least}'] / costs[f'chain, {name}, serial']:.2f}")
    print(f"\n{'cost at the largest size / at the smallest':38}")
    for name in dict.fromkeys(case.name for case in cases):
        same = [case for case in cases if case.name == name]
        if len(same) > 1:
            print(f"{name:38} {same[-1].us_per_atom / same[0].us_per_atom:7.2f}")


if __name__ == "__main__":
    main()
