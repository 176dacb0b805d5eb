"""TaskFlow with what it does by itself: the serial engine, records in memory."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from serving import Asked, Case, Figures, serve, timed
from taskflow import engines, task
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.persistence import backends

PATTERNS = {"chain": linear_flow.Flow, "fan": unordered_flow.Flow}


class NoOp(task.Task):  # type: ignore[misc]  # it has no types
    """Does nothing."""

    def execute(self) -> None:
        """Return nothing."""


def whole(shape: str, asked: Asked) -> Figures:
    """Measure declaring, compiling and running."""
    with timed() as figures:
        engines.run(PATTERNS[shape](shape).add(*[NoOp(f"t{i}") for i in range(asked.atoms)]))
    return figures


def durable(asked: Asked) -> Figures:
    """Measure a chain in a database; it is loaded before."""
    flow = linear_flow.Flow("chain").add(*[NoOp(f"t{i}") for i in range(asked.atoms)])
    backend = backends.fetch({"connection": asked.place})
    with closing(backend.get_connection()) as connection:
        connection.upgrade()
    engine = engines.load(flow, backend=backend)
    engine.compile()
    engine.prepare()
    with timed() as figures:
        engine.run()
    return figures


CASES: dict[str, Case] = {
    **{f"whole {shape}": partial(whole, shape) for shape in PATTERNS},
    "durable chain": durable,
}

if __name__ == "__main__":
    serve(CASES)
