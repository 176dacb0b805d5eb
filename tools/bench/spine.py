"""What an atom costs: declared, compiled, run in memory and on SQLite, in chains and fans of no-op tasks.

Sizes and kinds are interleaved and medians shown, so that a noisy machine disturbs all alike. Commits are counted
first: seconds are of this machine, commits are of the design. ``python tools/bench/spine.py --help`` tells the options.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flowbook import Flow, LinearFlow, Task, UnorderedFlow, engines
from flowbook.flows.compilation import compile_flow
from flowbook.persistence import fetch

SHAPES: dict[str, Callable[[str], Flow]] = {"chain": LinearFlow, "fan": UnorderedFlow}


class NoOp(Task):
    """Does nothing."""

    def execute(self) -> None:
        """Return nothing."""


@dataclass
class Case:
    """One thing that is measured: seconds of each round, and commits of the last."""

    name: str
    atoms: int
    measure: Callable[[], tuple[float, int]]
    seconds: list[float]
    commits: int = 0

    def round(self) -> None:
        """Measure once more."""
        seconds, self.commits = self.measure()
        self.seconds.append(seconds)

    @property
    def us_per_atom(self) -> float:
        """The median cost of an atom in microseconds."""
        return statistics.median(self.seconds) / self.atoms * 1e6


def flow_of(shape: str, atoms: int) -> Flow:
    """Return a flow of no-op tasks."""
    return SHAPES[shape](shape).add(*[NoOp(f"t{i}") for i in range(atoms)])


def compiling(shape: str, atoms: int) -> tuple[float, int]:
    """Return the seconds that declaring and compiling take, the networkx graph not included."""
    began = time.perf_counter()
    compile_flow(flow_of(shape, atoms), ())
    return time.perf_counter() - began, 0


def drawing(shape: str, atoms: int) -> tuple[float, int]:
    """Return the seconds that the networkx graph of a compiled flow takes."""
    compilation = compile_flow(flow_of(shape, atoms), ())
    began = time.perf_counter()
    assert len(compilation.graph) == atoms
    return time.perf_counter() - began, 0


def running(shape: str, atoms: int, engine: str, url: str) -> tuple[float, int]:
    """Return the seconds and commits of a run, claim and release included, loading excluded."""
    with tempfile.TemporaryDirectory() as folder, fetch(url.format(folder=folder)) as backend:
        backend.open()
        loaded = engines.load(flow_of(shape, atoms), backend=backend, engine=engine)
        began = time.perf_counter()
        loaded.run()
        return time.perf_counter() - began, loaded.storage.commits


def bare(atoms: int) -> tuple[float, int]:
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
        return seconds, atoms


def cases_of(sizes: list[int], durable: int) -> list[Case]:
    """Return all that is measured."""
    cases: list[Case] = []
    url = "sqlite:///{folder}/runs.db"
    for shape in SHAPES:
        for atoms in sizes:
            kinds: dict[str, Callable[[], tuple[float, int]]] = {
                f"{shape}, declare and compile": partial(compiling, shape, atoms),
                f"{shape}, networkx graph": partial(drawing, shape, atoms),
                f"{shape}, memory, serial": partial(running, shape, atoms, "serial", "memory:"),
                f"{shape}, memory, threads": partial(running, shape, atoms, "parallel", "memory:"),
            }
            cases += [Case(name, atoms, measure, []) for name, measure in kinds.items()]
        for engine in ("serial", "parallel"):
            name = f"{shape}, sqlite, {engine}"
            cases.append(Case(name, durable, partial(running, shape, durable, engine, url), []))
    cases.append(Case("chain, bare sqlite3, same statements", durable, partial(bare, durable), []))
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
        figures = [{"name": c.name, "atoms": c.atoms, "us": c.us_per_atom, "commits": c.commits} for c in cases]
        print(json.dumps(figures))
        return
    print(f"{'':38} {'atoms':>7} {'commits/atom':>13} {'us/atom':>9} {'atoms/s':>10}")
    for case in cases:
        us = case.us_per_atom
        print(f"{case.name:38} {case.atoms:7} {case.commits / case.atoms:13.3f} {us:9.2f} {1e6 / us:10.0f}")
    print(f"\n{'cost at the largest size / at the smallest':38}")
    for name in dict.fromkeys(case.name for case in cases):
        same = [case for case in cases if case.name == name]
        if len(same) > 1:
            print(f"{name:38} {same[-1].us_per_atom / same[0].us_per_atom:7.2f}")


if __name__ == "__main__":
    main()
