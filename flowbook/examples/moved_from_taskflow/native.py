"""Opens worlds: a host, a disk, a name and ports each, and all of it given back when something fails.

In flowbook's own words. ``python -m flowbook.examples.moved_from_taskflow.native URL`` runs it; ``URL`` says where the
logbook is kept.
"""

from __future__ import annotations

import logging
import sys

from flowbook import Failure, LinearFlow, Notice, Times, UnorderedFlow, engines, persistence, task
from flowbook.engines import Engine
from flowbook.examples.moved_from_taskflow.datacentre import CENTRE, NameTaken, report
from flowbook.listeners import DynamicLoggingListener
from flowbook.persistence import Backend
from flowbook.views import view_run


def give_back(result: str | tuple[str, str] | Failure) -> None:
    """Give back what a task took: of several things, the first."""
    if not isinstance(result, Failure):
        CENTRE.give_back(result if isinstance(result, str) else result[0])


@task(provides="host", revert=give_back)
def reserve_host(world: str, players: int) -> str:
    """Return a host for the world."""
    return CENTRE.reserve_host(world, players)


@task(provides="disk", revert=give_back)
def carve_disk(host: str, size_gb: int) -> str:
    """Return a new disk, which does not always work."""
    return CENTRE.carve_disk(host, size_gb)


@task(provides=("address", "certificate"), revert=give_back)
def register_name(world: str) -> tuple[str, str]:
    """Make the world known."""
    return CENTRE.register_name(world)


@task(provides="opened", revert=give_back)
def open_ports(machine: str, ports: list[int]) -> str:
    """Let players in, at any machine."""
    return CENTRE.open_ports(machine, ports)


@task(provides="started")
def start_world(host: str, disk: str, certificate: str) -> str:
    """Begin the game."""
    return CENTRE.start(host, disk, certificate)


def open_world(size_gb: int) -> LinearFlow:
    """Return the flow; it takes ``world`` and ``players``."""
    disk = LinearFlow("disk", retry=Times(3, provides="attempt")).add(carve_disk.atom(inject={"size_gb": size_gb}))
    ports = open_ports.atom(rebind={"machine": "host"}, inject={"ports": [7777, 7778]})
    outside = UnorderedFlow("outside").add(register_name, ports)
    return LinearFlow("open world").add(reserve_host, disk, outside, start_world)


def run(engine: Engine, backend: Backend, world: str) -> None:
    """Run the engine, log what it tells, and report."""
    outcome = ""
    with DynamicLoggingListener(engine):
        try:
            engine.run()
        except NameTaken as error:
            outcome = f", {error}"
    states = {atom.name: atom.state for atom in view_run(backend, world).atoms}
    report(world, f"{engine.state}{outcome}", states)


def begin(backend: Backend, world: str, players: int) -> Engine:
    """Return an engine that opens a world, recorded as the run of its name."""
    store = {"world": world, "players": players}
    return engines.load_from_factory(open_world, [20], store=store, backend=backend, run_id=world)


def main() -> None:
    """Open a world, fail to open another, and open a third one in two parts."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    with persistence.fetch(sys.argv[1] if len(sys.argv) > 1 else "memory:") as backend:
        run(begin(backend, "aldermoor", players=80), backend, "aldermoor")
        run(begin(backend, "brackwater", players=8), backend, "brackwater")
        engine = begin(backend, "coldharbour", players=12)
        engine.atom_notifier.register("SUCCESS", lambda notice: stop_after_the_disk(engine, notice))
        run(engine, backend, "coldharbour")
        run(begin(backend, "coldharbour", players=12), backend, "coldharbour")  # the same again goes on


def stop_after_the_disk(engine: Engine, notice: Notice) -> None:
    """Suspend the engine when there is a disk."""
    if notice.atom == "carve_disk":
        engine.suspend()


if __name__ == "__main__":
    main()
