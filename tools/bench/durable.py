"""What a durable atom costs: chains and fans on every storage that outlives its process, beside the same writes alone.

A chain commits each result before the next atom starts; a fan of eight threads shares commits. Both are shown beside
the *bare* chain: the statements and bytes of the same run, written once more by the driver alone. All are interleaved
and medians shown, so that a noisy machine disturbs all alike. Servers are started for the measurement, with every
commit synced, unless their URLs are given: ``postgresql=postgresql://user@host/runs``. ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from bare import BARE, OURS, Recording, Taken, recording_of, timed

from flowbook import Flow, LinearFlow, Task, UnorderedFlow, engines
from flowbook.exceptions import NotFound
from flowbook.persistence import Backend, fetch

KINDS = ("sqlite", "dir", "postgresql", "mysql", "zookeeper")
THREADS = 8


class NoOp(Task):
    """Does nothing."""

    def execute(self) -> None:
        """Return nothing."""


class Storage:
    """One storage, and what was measured on it."""

    def __init__(self, kind: str, backend: Backend, atoms: int) -> None:
        self.kind, self.backend, self.atoms = kind, backend, atoms
        self.commits: dict[str, float] = {}
        self.taken: dict[str, list[Taken]] = {"bare": [], "chain": [], "fan": []}
        self._recording: Recording = recording_of(backend)
        with self._recording.caught():
            self._run(LinearFlow, "serial")

    def round(self) -> None:
        """Measure everything once more."""
        self._forget(BARE)
        self.taken["bare"].append(self._recording.again())
        self.taken["chain"].append(self._run(LinearFlow, "serial"))
        self.taken["fan"].append(self._run(UnorderedFlow, "parallel", max_workers=THREADS))

    def _run(self, shape: type[Flow], engine: Any, **options: Any) -> Taken:
        """Return what a run takes, claim and release included, loading excluded."""
        self._forget(OURS)
        flow = shape("flow").add(*[NoOp(f"t{i}") for i in range(self.atoms)])
        loaded = engines.load(flow, backend=self.backend, engine=engine, run_id=OURS, **options)
        taken = timed(loaded.run)
        self.commits[shape.__name__] = loaded.storage.commits / self.atoms
        return taken

    def _forget(self, run_id: str) -> None:
        with suppress(NotFound):
            self.backend.destroy(run_id)

    def figures(self) -> dict[str, Any]:
        """Return what was measured, by the atom; of all rounds the medians."""
        us = {name: self._median_us([one.wall_s for one in taken]) for name, taken in self.taken.items()}
        cpu = {name: self._median_us([one.cpu_s for one in taken]) for name, taken in self.taken.items()}
        rounds = range(len(self.taken["bare"]))
        bare, chain, fan = ([one.wall_s for one in self.taken[name]] for name in ("bare", "chain", "fan"))
        return {
            "kind": self.kind,
            **{f"{name}_us": us[name] for name in us},
            "of_bare": statistics.median(bare[i] / chain[i] for i in rounds),
            "own_us": statistics.median(self._of_round(i) for i in rounds),
            "fan_of_chain": statistics.median(chain[i] / fan[i] for i in rounds),
            "chain_cpu_us": cpu["chain"],
            "fan_cpu_us": cpu["fan"],
            "commits_chain": self.commits["LinearFlow"],
            "commits_fan": self.commits["UnorderedFlow"],
            "bytes_chain": self.taken["bare"][-1].size_bytes / self.atoms,
        }

    def _of_round(self, number: int) -> float:
        return (self.taken["chain"][number].cpu_s - self.taken["bare"][number].cpu_s) / self.atoms * 1e6

    def _median_us(self, seconds: Sequence[float]) -> float:
        return statistics.median(seconds) / self.atoms * 1e6


@contextmanager
def url_of(kind: str, given: str) -> Iterator[str]:
    """Yield the URL of an empty storage; what was made for it goes away with the block."""
    with ExitStack() as stack:
        if given:
            yield given
        elif kind in ("sqlite", "dir"):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            yield f"sqlite:///{folder}/runs.db" if kind == "sqlite" else f"dir:{folder}/runs"
        else:
            sys.path.append(str(Path(__file__).parents[2] / "tests"))
            databases, name = import_module("daemons.databases"), "mariadb" if kind == "mysql" else kind
            synced = {} if kind == "zookeeper" else {"syncs": True}
            server = stack.enter_context(getattr(import_module(f"daemons.{name}"), name)(**synced))
            if kind == "zookeeper":
                yield f"{server.url}runs"
            else:
                make = databases.new_mariadb_database if kind == "mysql" else databases.new_postgresql_schema
                yield make(server)


def main() -> None:
    """Measure, and print a table (or, with --json, the figures)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--backend", nargs="+", default=["sqlite", "dir"], help=f"of {', '.join(KINDS)}, or kind=URL")
    asked = parser.parse_args()
    with ExitStack() as stack:
        storages = []
        for word in asked.backend:
            kind, _, given = word.partition("=")
            backend = fetch(stack.enter_context(url_of(kind, given)))
            storages.append(Storage(kind, stack.enter_context(backend), asked.atoms))
        for _ in range(asked.rounds):
            for storage in storages:
                storage.round()
        figures = [storage.figures() for storage in storages]
    if asked.json:
        print(json.dumps(figures))
        return
    print(f"{os.cpu_count()} processors; medians of {asked.rounds} rounds of {asked.atoms} atoms; microseconds an atom")
    head = ("", "bare", "chain", "of bare", "own CPU", "fan", "fan/chain", "CPU fan", "commits", "in a fan", "bytes")
    print("{:10} {:>6} {:>6} {:>8} {:>8} {:>6} {:>9} {:>8} {:>8} {:>8} {:>6}".format(*head))
    for one in figures:
        print(
            f"{one['kind']:10} {one['bare_us']:6.0f} {one['chain_us']:6.0f} {one['of_bare']:8.2f} {one['own_us']:8.0f} "
            f"{one['fan_us']:6.0f} {one['fan_of_chain']:9.2f} {one['fan_cpu_us']:8.0f} "
            f"{one['commits_chain']:8.3f} {one['commits_fan']:8.3f} {one['bytes_chain']:6.0f}"
        )


if __name__ == "__main__":
    main()
