"""Our side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import serving
from serving import Asked, Case, Figures, serve
from shapes import SHAPES

from flowbook import Flow, GraphFlow, LinearFlow, Notice, Task, UnorderedFlow, engines
from flowbook.exceptions import NotFound
from flowbook.flows.compilation import compile_flow
from flowbook.persistence import fetch

THREADS = 8


class NoOp(Task):
    """Does nothing."""

    def execute(self) -> None:
        """Return nothing."""


class Takes(Task):
    """Takes what others gave, and does nothing with it."""

    def execute(self, **values: object) -> None:
        """Return nothing."""


def chain(atoms: int) -> Flow:
    """Return a flow of atoms in a row."""
    return LinearFlow("chain").add(*[NoOp(f"t{i}") for i in range(atoms)])


def fan(atoms: int) -> Flow:
    """Return a flow of atoms that need nothing of each other."""
    return UnorderedFlow("fan").add(*[NoOp(f"t{i}") for i in range(atoms)])


def layers(shape: str, atoms: int) -> Flow:
    """Return layers of atoms that take what three others gave."""
    tasks = [
        Takes(f"t{i}", provides=f"v{i}", requires=[f"v{j}" for j in after])
        for i, after in enumerate(SHAPES[shape](atoms))
    ]
    return GraphFlow("layers").add(*tasks)


def linked(atoms: int) -> Flow:
    """Return the same layers; the atoms only come after each other, and take nothing."""
    tasks = [NoOp(f"t{i}") for i in range(atoms)]
    flow = GraphFlow("linked layers").add(*tasks)
    for task, after in zip(tasks, SHAPES["layers"](atoms), strict=True):
        for number in after:
            flow.link(tasks[number], task)
    return flow


FLOWS: dict[str, Callable[[int], Flow]] = {
    "chain": chain,
    "fan": fan,
    "layers": partial(layers, "layers"),
    "wide layers": partial(layers, "wide layers"),
    "linked layers": linked,
}


def compiling(shape: str, asked: Asked) -> Figures:
    """Measure compiling; the atoms are declared before."""
    flow = FLOWS[shape](asked.atoms)
    with serving.timed() as figures:
        compile_flow(flow, ())
    return figures


def run(shape: str, asked: Asked) -> Figures:
    """Measure a run in memory; it is loaded before."""
    engine = engines.load(FLOWS[shape](asked.atoms))
    with serving.timed() as figures:
        engine.run()
    return figures


def whole(shape: str, asked: Asked) -> Figures:
    """Measure declaring, compiling and running in memory."""
    with serving.timed() as figures:
        engines.load(FLOWS[shape](asked.atoms)).run()
    return figures


def threads(asked: Asked) -> Figures:
    """Measure a fan in memory on threads; it is loaded before."""
    engine = engines.load(fan(asked.atoms), engine="parallel", max_workers=THREADS)
    with serving.timed() as figures:
        engine.run()
    return figures


def durable(shape: str, engine: str, asked: Asked) -> Figures:
    """Measure a run in a storage, claim and release included; it is loaded, and the last one forgotten, before."""
    workers = THREADS if engine == "parallel" else None
    flow, run_id = FLOWS[shape](asked.atoms), "ours-00000"
    with fetch(asked.place) as backend:
        with suppress(NotFound):
            backend.destroy(run_id)
        loaded = engines.load(flow, backend=backend, run_id=run_id, engine=engine, max_workers=workers)
        with serving.timed() as figures:
            loaded.run()
        figures["commits"] = loaded.storage.commits
    return figures


def resume(asked: Asked) -> Figures:
    """Measure from ``load`` of a chain that is half done until its next atom starts, declaring not included."""
    with fetch(asked.place) as backend:
        with suppress(NotFound):
            backend.destroy("half")
        first = engines.load(chain(asked.atoms), backend=backend, run_id="half")
        half = f"t{asked.atoms // 2}"

        def stop(notice: Notice) -> None:
            if notice.atom == half:
                first.suspend()

        first.atom_notifier.register("SUCCESS", stop)
        first.run()
    flow = chain(asked.atoms)
    with fetch(asked.place) as backend:
        backend.open()
        with serving.timed() as figures:
            second = engines.load(flow, backend=backend, run_id="half")
            steps = second.run_iter()
            second.atom_notifier.register("RUNNING", lambda _: second.suspend())
            for _ in steps:
                pass
        assert second.resumed is not None
    return figures


CASES: dict[str, Case] = {
    **{f"compile {shape}": partial(compiling, shape) for shape in FLOWS},
    **{f"run {shape}": partial(run, shape) for shape in FLOWS},
    **{f"whole {shape}": partial(whole, shape) for shape in FLOWS},
    "threads fan": threads,
    "durable chain": partial(durable, "chain", "serial"),
    "durable fan": partial(durable, "fan", "parallel"),
    "resume": resume,
}

if __name__ == "__main__":
    serve(CASES)
