"""What processes do that want the same run, and how a test has them wait for each other: by pipes with names."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import Any, Final, Literal

import flowbook
from crash.driving import RUN, crash_at_statement, opened
from crash.flows import Step, lines_of, note
from crash.forks import HANGS_AFTER_S
from flowbook import LinearFlow, Task, engines
from flowbook.clock import SystemClock
from flowbook.exceptions import FlowOwned, OwnershipLost, StorageBusy
from flowbook.persistence import Backend, fetch, owners
from flowbook.persistence.changes import Append
from flowbook.persistence.directory.files import Files, LocalFiles
from flowbook.testing.faults import CrashAtCommit
from flowbook.testing.files import CrashingFiles, stop_this_process

COMES_WITHIN_S = 60

EVERY_CALL: Final = frozenset(name for name in vars(Files) if not name.startswith("_"))
"""The verbs of `Files`, those that only look too."""


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
    stop_in_files: tuple[Literal["before", "after", "torn"], int] = ("before", 0),
    elsewhere: bool = False,
    late: bool = False,
) -> dict[str, Any]:
    """Run `owned`, beginning at the gate ``start``; return what came of it, and how much this process executed.

    ``stop_at`` says where it stops itself: ``before`` or ``after`` a commit, or ``inside`` one; ``stop_in_files`` at
    which call of `Files`. ``elsewhere``: it looks to others like a process of another machine. ``late``: its clock is
    past every lease.
    """
    when, at = stop_at
    if when == "inside":
        crash_at_statement(at, stop_this_process, only="COMMIT")
    if elsewhere:
        owners._boot_id = lambda: "another boot"
    files = CrashingFiles(
        LocalFiles(), at=stop_in_files[1], when=stop_in_files[0], crash=stop_this_process, verbs=EVERY_CALL
    )
    with opened(conf, files, InTheFuture() if late else None) as inner:
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
        "calls_of_files": files.count,
    }


def hold(conf: dict[str, Any], keys: list[str], gate: str) -> None:
    """Claim keys, twice each, and keep them until the gate is opened."""
    with fetch(conf) as backend:
        for key in keys * 2:
            backend.claim(key, owners.current_owner(), lease_s=1000)
        pass_gate(gate)


def destroy(conf: dict[str, Any], key: str, when: Literal["before", "after", "torn"], at: int) -> int:
    """Destroy a run, and crash at a call of files that changes something; return how many there were."""
    files = CrashingFiles(LocalFiles(), at=at, when=when)
    with opened(conf, files) as backend:
        backend.destroy(key)
    return files.count


def race(conf: dict[str, Any], gates: list[str], rounds: int) -> list[str]:
    """Reach for one run after the other, each time together with others; return what came of it.

    The owner of a run commits to it, and keeps it: the next round has another run, and the other one of two gates,
    since who is quick comes to it while somebody is still to go through the first.
    """
    came_of_it = []
    with fetch(conf) as backend:
        for round_ in range(rounds):
            pass_gate(gates[round_ % 2])
            signal.alarm(HANGS_AFTER_S)
            try:
                claim = backend.claim(f"flow:{round_}", owners.current_owner(), lease_s=1000)
                backend.commit(claim, [Append("attempt", "a", {"of": os.getpid()})])
                came_of_it.append("owner")
            except (FlowOwned, OwnershipLost, StorageBusy) as error:
                came_of_it.append(type(error).__name__)
        pass_gate(gates[rounds % 2])
    return came_of_it


def play(conf: dict[str, Any], logs: str, gates: list[str], rounds: int) -> list[str]:
    """Want one run after the other, each time together with others; return what came of it.

    The log of each round is a file in ``logs``. As in `race`, the rounds use two gates in turn.
    """
    came_of_it = []
    with fetch(conf) as backend:
        for round_ in range(rounds):
            pass_gate(gates[round_ % 2])
            signal.alarm(HANGS_AFTER_S)
            inputs = {"log": os.path.join(logs, str(round_)), "gate": ""}
            try:
                engines.load(owned(), inputs, backend=backend, run_id=f"round {round_}").run()
                came_of_it.append("finished")
            except (FlowOwned, OwnershipLost, StorageBusy) as error:
                came_of_it.append(type(error).__name__)
        pass_gate(gates[rounds % 2])
    return came_of_it


def run_half(backend: Backend, log: str, run_id: str) -> None:
    """Run the first two atoms of `owned`, and suspend it."""
    engine = engines.load(owned(), {"log": log, "gate": ""}, backend=backend, run_id=run_id)
    engine.atom_notifier.register("*", lambda notice: engine.suspend() if notice.atom == "b" else None)
    engine.run()


class InTheFuture(SystemClock):
    """A clock that is a year ahead."""

    def now(self) -> float:
        return super().now() + 365 * 86400.0
