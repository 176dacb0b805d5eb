"""Prefect: a flow of tasks, whose states its temporary server keeps in SQLite."""

from __future__ import annotations

from prefect import flow, task
from serving import Asked, Case, Figures, serve, timed


def nothing() -> None:
    """Return nothing."""


def whole(asked: Asked) -> Figures:
    """Measure a flow of a chain of tasks; its server is started by a flow before."""
    step = task(nothing)

    def chain(steps: int) -> None:
        for _ in range(steps):
            step()

    chained = flow(chain)
    chained(1)
    with timed() as figures:
        chained(asked.atoms)
    return figures


CASES: dict[str, Case] = {"whole chain": whole}

if __name__ == "__main__":
    serve(CASES)
