"""Rounds of a race: processes that stay want one run after the other, and each run is done once, by one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from crash.flows import lines_of
from crash.forks import Child, Forks
from crash.owners import Gate, run_half
from flowbook.persistence import fetch

HALF_DONE_EVERY = 3
"""How often a run was begun by somebody, and suspended, before the race for it."""


def play_rounds(forks: Forks, folder: Path, conf: dict[str, Any], *, count: int, rounds: int) -> Counter[str]:
    """Have ``count`` processes race for ``rounds`` runs; return how many there were of what.

    Raises AssertionError when an atom was executed twice, or by more than one of them.
    """
    logs = folder / "logs"
    logs.mkdir()
    with fetch(conf) as backend:
        backend.open()
        for round_ in range(0, rounds, HALF_DONE_EVERY):
            run_half(backend, str(logs / str(round_)), f"round {round_}")
    with racing(forks, folder, "crash.owners:play", rounds, count, conf=conf, logs=str(logs)) as children:
        pids = {child.pid for child in children}
        answers = list(zip(*[child.wait().answer for child in children], strict=True))
    for round_, came_of_it in enumerate(answers):
        lines = lines_of(logs / str(round_))
        assert [(line.atom, line.attempt) for line in lines] == [(name, 1) for name in "abcd"], (round_, came_of_it)
        owners = {line.pid for line in lines} & pids
        assert len(owners) == 1, (round_, came_of_it)
        assert {*came_of_it} <= {"finished", "FlowOwned"}, (round_, came_of_it)
        assert "finished" in came_of_it, round_
    refused = sum(came_of_it.count("FlowOwned") for came_of_it in answers)
    return Counter({"rounds of several owners": len(answers), "refused in such rounds": refused})


@contextmanager
def racing(forks: Forks, folder: Path, function: str, rounds: int, count: int, **how: Any) -> Iterator[list[Child]]:
    """Start processes that come to a gate before each round and after the last one, and let them through all."""
    with ExitStack() as stack:
        gates = []
        for name in ("even", "odd"):
            (folder / name).mkdir()
            gates.append(Gate(folder / name))
            stack.callback(gates[-1].close)
        paths = [gate.path for gate in gates]
        children = [forks.start(function, gates=paths, rounds=rounds, **how) for _ in range(count)]
        for round_ in range(rounds + 1):
            gates[round_ % 2].wait_for(count)
            gates[round_ % 2].open(count)
        yield children
