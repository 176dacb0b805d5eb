"""What processes do that want the same run, and how a test has them wait for each other: by pipes with names."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Any, Literal

import flowbook
from crash.driving import RUN, crash_at_statement
from crash.flows import Step, lines_of, note
from flowbook import LinearFlow, Task, engines
from flowbook.exceptions import FlowOwned, OwnershipLost, StorageBusy
from flowbook.persistence import Backend, fetch
from flowbook.testing.faults import CrashAtCommit

COMES_WITHIN_S = 60


class Gate:
    """A place where processes wait until a test lets them go on."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder)
        self._pipes = []
        for name in ("came", "go"):
            os.mkfifo(folder / name)
            self._pipes.append(os.open(folder / name, os.O_RDWR))

    def wait_for(self, count: int) -> None:
        """Wait until ``count`` processes have come."""
        for _ in range(count):
            readable, _, _ = select.select(self._pipes[:1], [], [], COMES_WITHIN_S)
            assert readable, "a process did not come to the gate"
            os.read(self._pipes[0], 1)

    def open(self, count: int = 1) -> None:
        """Let ``count`` processes go on, now or when they come."""
        os.write(self._pipes[1], b"." * count)

    def close(self) -> None:
        for pipe in self._pipes:
            os.close(pipe)


def pass_gate(path: str) -> None:
    """Come to a gate, and wait until it is opened."""
    for name, mode in (("came", os.O_WRONLY), ("go", os.O_RDONLY)):
        pipe = os.open(os.path.join(path, name), mode)
        if mode == os.O_WRONLY:
            os.write(pipe, b".")
        else:
            os.read(pipe, 1)
        os.close(pipe)


class Held(Task):
    """Waits at the gate that the input ``gate`` names, if it does, in its first attempt."""

    def execute(self, log: str, gate: str) -> None:
        note(log)
        if gate and flowbook.current().attempt == 1:
            pass_gate(gate)


def owned() -> LinearFlow:
    """Return a flow of four, of which the second can be held."""
    return LinearFlow("owned").add(Step("a"), Held("b"), Step("c"), Step("d"))


def contend(
    conf: dict[str, Any],
    log: str,
    *,
    start: str = "",
    gate: str = "",
    take_over: bool = False,
    stop_at: tuple[Literal["", "before", "after", "inside"], int] = ("", 0),
) -> dict[str, Any]:
    """Run `owned`, beginning at the gate ``start``; return what came of it, and how much this process executed.

    ``stop_at`` says where it stops itself: ``before`` or ``after`` a commit, or ``inside`` one.
    """
    when, at = stop_at
    if when == "inside":
        crash_at_statement(at, stop_this_process, only="COMMIT")
    with fetch(conf) as inner:
        backend: Backend = inner
        if when == "before" or when == "after":
            backend = CrashAtCommit(inner, at=at, when=when, crash=stop_this_process)
        if start:
            pass_gate(start)
        engine = None
        try:
            engine = engines.load(owned(), {"log": log, "gate": gate}, backend=backend, run_id=RUN, take_over=take_over)
            engine.run()
            did = "finished"
        except (FlowOwned, OwnershipLost, StorageBusy) as error:
            did = type(error).__name__
    return {
        "did": did,
        "resumed": str(engine.resumed) if engine is not None else "",
        "executed": [line.atom for line in lines_of(log) if line.pid == os.getpid()],
    }


def stop_this_process() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
