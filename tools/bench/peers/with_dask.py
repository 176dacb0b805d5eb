"""dask's synchronous scheduler, which keeps no states: `dask.get` of graphs in its own form.

Graphs of plain tuples, which it takes as well, are converted by it first: that takes a quarter more time.
"""

from __future__ import annotations

from functools import partial

import dask
from dask._task_spec import Task, TaskRef
from serving import Asked, Case, Figures, serve, timed
from shapes import SHAPES


def nothing(*values: object) -> None:
    """Return nothing."""


def graph_of(after: list[list[int]]) -> dict[int, Task]:
    """Return the graph of a shape: each task takes what those before it gave."""
    return {i: Task(i, nothing, *[TaskRef(j) for j in needed]) for i, needed in enumerate(after)}


def last(after: list[list[int]]) -> list[int]:
    """Return those that nobody needs: they are asked for."""
    needed = {number for some in after for number in some}
    return [number for number in range(len(after)) if number not in needed]


def run(shape: str, asked: Asked) -> Figures:
    """Measure a graph that is made before."""
    after = SHAPES[shape](asked.atoms)
    graph, wanted = graph_of(after), last(after)
    with timed() as figures:
        dask.get(graph, wanted)
    return figures


def whole(shape: str, asked: Asked) -> Figures:
    """Measure making the graph, and getting it."""
    after = SHAPES[shape](asked.atoms)
    wanted = last(after)
    with timed() as figures:
        dask.get(graph_of(after), wanted)
    return figures


CASES: dict[str, Case] = {
    **{f"run {shape}": partial(run, shape) for shape in SHAPES},
    **{f"whole {shape}": partial(whole, shape) for shape in SHAPES},
}

if __name__ == "__main__":
    serve(CASES)
