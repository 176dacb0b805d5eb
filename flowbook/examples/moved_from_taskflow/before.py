"""Opens worlds: a host, a disk, a name and ports each, and all of it given back when something fails.

Written for TaskFlow. ``python -m flowbook.examples.moved_from_taskflow.before CONNECTION`` runs it, where TaskFlow is
installed; ``CONNECTION`` says where the logbook is kept.
"""

# mypy: ignore-errors
# TaskFlow has no types, and it need not be installed.

from __future__ import annotations

import logging
import sys
from contextlib import closing
from typing import Any

from taskflow import engines, retry, states, task
from taskflow.listeners.logging import DynamicLoggingListener
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.persistence import backends, models
from taskflow.types.failure import Failure

from flowbook.examples.moved_from_taskflow.datacentre import CENTRE, NameTaken, report


class ReserveHost(task.Task):
    """Finds a host for the world."""

    default_provides = "host"

    def execute(self, world: str, players: int) -> str:
        """Return the host."""
        return CENTRE.reserve_host(world, players)

    def revert(self, result: str | Failure, **kwargs: Any) -> None:
        """Give it back."""
        if not isinstance(result, Failure):
            CENTRE.give_back(result)


class CarveDisk(task.Task):
    """Makes a disk, which does not always work."""

    default_provides = "disk"

    def execute(self, host: str, size_gb: int) -> str:
        """Return the disk."""
        return CENTRE.carve_disk(host, size_gb)

    def revert(self, result: str | Failure, **kwargs: Any) -> None:
        """Give it back."""
        if not isinstance(result, Failure):
            CENTRE.give_back(result)


class RegisterName(task.Task):
    """Makes the world known."""

    default_provides = ("address", "certificate")

    def execute(self, world: str) -> tuple[str, str]:
        """Return the two."""
        return CENTRE.register_name(world)

    def revert(self, result: tuple[str, str] | Failure, **kwargs: Any) -> None:
        """Give the address back."""
        if not isinstance(result, Failure):
            CENTRE.give_back(result[0])


class OpenPorts(task.Task):
    """Lets players in, at any machine."""

    default_provides = "opened"

    def execute(self, machine: str, ports: list[int]) -> str:
        """Return what was opened."""
        return CENTRE.open_ports(machine, ports)

    def revert(self, result: str | Failure, **kwargs: Any) -> None:
        """Close them."""
        if not isinstance(result, Failure):
            CENTRE.give_back(result)


class StartWorld(task.Task):
    """Begins the game."""

    default_provides = "started"

    def execute(self, host: str, disk: str, certificate: str) -> str:
        """Return what was started."""
        return CENTRE.start(host, disk, certificate)


def open_world(size_gb: int) -> linear_flow.Flow:
    """Return the flow; it takes ``world`` and ``players``."""
    disk = linear_flow.Flow("disk", retry=retry.Times(3, provides="attempt"))
    disk.add(CarveDisk("carve_disk", inject={"size_gb": size_gb}))
    outside = unordered_flow.Flow("outside").add(
        RegisterName("register_name"),
        OpenPorts("open_ports", rebind={"machine": "host"}, inject={"ports": [7777, 7778]}),
    )
    return linear_flow.Flow("open world").add(
        ReserveHost("reserve_host"),
        disk,
        outside,
        StartWorld("start_world"),
    )


def run(engine: Any, world: str) -> None:
    """Run the engine, log what it tells, and report."""
    engine.compile()
    with DynamicLoggingListener(engine):
        try:
            engine.run()
            outcome = engine.storage.get_flow_state()
        except NameTaken as error:
            outcome = f"{engine.storage.get_flow_state()}, {error}"
    names = [atom.name for atom, _ in engine.compilation.execution_graph.nodes(data=True) if hasattr(atom, "execute")]
    atoms = engine.storage.get_atoms_states(names)
    report(world, outcome, {name: state for name, (state, _) in atoms.items()})


def begin(backend: Any, world: str, players: int) -> Any:
    """Return an engine that opens a world, recorded in a logbook of the world's name."""
    return engines.load_from_factory(
        open_world,
        factory_args=[20],
        store={"world": world, "players": players},
        book=models.LogBook(world),
        backend=backend,
    )


def go_on(backend: Any, world: str) -> Any:
    """Return an engine that goes on where the one that opened the world was suspended."""
    with closing(backend.get_connection()) as connection:
        (book,) = (book for book in connection.get_logbooks() if book.name == world)
    (flow_detail,) = book
    return engines.load_from_detail(flow_detail, backend=backend)


def main() -> None:
    """Open a world, fail to open another, and open a third one in two parts."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    connection = sys.argv[1] if len(sys.argv) > 1 else "memory"
    with backends.backend({"connection": connection}) as backend:
        run(begin(backend, "aldermoor", players=80), "aldermoor")
        run(begin(backend, "brackwater", players=8), "brackwater")
        engine = begin(backend, "coldharbour", players=12)
        engine.atom_notifier.register(states.SUCCESS, lambda state, details: stop_after_the_disk(engine, details))
        run(engine, "coldharbour")
        run(go_on(backend, "coldharbour"), "coldharbour")


def stop_after_the_disk(engine: Any, details: dict[str, Any]) -> None:
    """Suspend the engine when there is a disk."""
    if details.get("task_name") == "carve_disk":
        engine.suspend()


if __name__ == "__main__":
    main()
