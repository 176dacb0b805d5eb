"""dask's synchronous scheduler, which keeps no states: `dask.get` of graphs of tuples, and of dask's `Task` objects.

Tuples are what its pages on schedulers show; they are converted into tasks first. Its collections make tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dask
from dask._task_spec import Task, TaskRef
from serving import Asked, Case, Figures, serve, timed
from shapes import SHAPES

Graph = dict[str, Any]  # of what dask takes
After = list[list[int]]


def nothing(*values: object) -> None:
    """Return nothing."""


def tuples(after: After) -> Graph:
    """Return the graph of a shape: each task takes what those before it gave."""
    return {f"t{i}": (nothing, *[f"t{j}" for j in needed]) for i, needed in enumerate(after)}


def tasks(after: After) -> Graph:
    """Return the same graph, of objects."""
    return {f"t{i}": Task(f"t{i}", nothing, *[TaskRef(f"t{j}") for j in needed]) for i, needed in enumerate(after)}


def last(after: After) -> list[str]:
    """Return those that nobody needs: they are asked for."""
    needed = {number for some in after for number in some}
    return [f"t{number}" for number in range(len(after)) if number not in needed]


def run(graph_of: Callable[[After], Graph], shape: str, asked: Asked) -> Figures:
    """Measure a graph that is made before."""
    after = SHAPES[shape](asked.atoms)
    graph, wanted = graph_of(after), last(after)
    with timed() as figures:
        dask.get(graph, wanted)
    return figures


def whole(graph_of: Callable[[After], Graph], shape: str, asked: Asked) -> Figures:
    """Measure making the graph, and getting it."""
    after = SHAPES[shape](asked.atoms)
    wanted = last(after)
    with timed() as figures:
        dask.get(graph_of(after), wanted)
    return figures


CASES: dict[str, Case] = {
    f"{what} {shape} of {form.__name__}": partial(measure, form, shape)
    for what, measure in (("run", run), ("whole", whole))
    for shape in SHAPES
    for form in (tuples, tasks)
}

if __name__ == "__main__":
    serve(CASES)
