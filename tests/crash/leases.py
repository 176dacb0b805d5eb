"""What a process does whose atom takes long: it computes, or it waits in a C call that no thread of it gets past."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import Any

import flowbook
from crash.driving import RUN
from crash.flows import Step, lines_of, note
from flowbook import LinearFlow, Task, engines
from flowbook.exceptions import FlowOwned, OwnershipLost
from flowbook.persistence import fetch, owners


def _come_to(gate: str) -> None:
    pipe = os.open(os.path.join(gate, "came"), os.O_WRONLY)
    os.write(pipe, b".")
    os.close(pipe)


def compute_until_open(gate: str) -> None:
    """Come to a gate, and keep the interpreter busy until it is opened: other threads get their turns."""
    _come_to(gate)
    pipe = os.open(os.path.join(gate, "go"), os.O_RDONLY | os.O_NONBLOCK)
    while True:
        sum(range(10_000))
        with suppress(BlockingIOError):
            os.read(pipe, 1)
            os.close(pipe)
            return


def hog_until_open(gate: str) -> None:
    """Come to a gate, and wait in a C call that keeps the GIL until it is opened: no other thread runs meanwhile."""
    _come_to(gate)
    pipe = os.open(os.path.join(gate, "go"), os.O_RDONLY)
    ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)
    os.close(pipe)


WAYS = {"computes": compute_until_open, "hogs": hog_until_open}


class Long(Task):
    """Takes until a gate is opened, in its first attempt, in one of `WAYS`."""

    def execute(self, log: str, way: str, gate: str) -> None:
        note(log)
        if flowbook.current().attempt == 1:
            WAYS[way](gate)


def long() -> LinearFlow:
    """Return a flow of four, of which the second takes long."""
    return LinearFlow("long").add(Step("a"), Long("b"), Step("c"), Step("d"))


def work(conf: str, log: str, way: str, gate: str, lease_s: float, *, elsewhere: bool = False) -> dict[str, Any]:
    """Run `long`; return what came of it, and how much this process executed.

    ``elsewhere``: to others it looks like a process of another machine, whose death only its lease can tell.
    """
    if elsewhere:
        owners._boot_id = lambda: "another boot"
    with fetch(conf) as backend:
        try:
            inputs = {"log": log, "way": way, "gate": gate}
            engines.load(long(), inputs, backend=backend, run_id=RUN, lease_s=lease_s).run()
            did = "finished"
        except (FlowOwned, OwnershipLost) as error:
            did = type(error).__name__
    return {"did": did, "executed": [line.what[1:] for line in lines_of(log) if line.pid == os.getpid()]}
