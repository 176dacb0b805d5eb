"""DBOS: a workflow of steps, each recorded in its system database before the next one begins."""

from __future__ import annotations

from dbos import DBOS, DBOSConfig
from serving import Asked, Case, Figures, serve, timed


def nothing() -> None:
    """Return nothing."""


def durable(asked: Asked) -> Figures:
    """Measure one workflow of a chain of steps; DBOS is launched before."""
    DBOS(config=DBOSConfig(name="chain", system_database_url=asked.place, log_level="ERROR"))
    step = DBOS.step()(nothing)

    def chain(steps: int) -> None:
        for _ in range(steps):
            step()

    workflow = DBOS.workflow()(chain)
    DBOS.launch()
    try:
        workflow(1)
        with timed() as figures:
            workflow(asked.atoms)
    finally:
        DBOS.destroy(destroy_registry=True)
    return figures


CASES: dict[str, Case] = {"durable chain": durable}

if __name__ == "__main__":
    serve(CASES)
