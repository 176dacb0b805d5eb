"""What two kinds of processes do with a run: one owns it and is stopped somewhere, its peers wait to go on with it."""

from __future__ import annotations

import os
import time
from typing import Any, Final, Literal

from crash import driving
from crash.flows import Step, note
from crash.owners import pass_gate
from flowbook import LinearFlow, Notice, engines
from flowbook.exceptions import FlowOwned, OwnershipLost
from flowbook.persistence import Backend, fetch, owners
from flowbook.persistence.backend import Claim
from flowbook.persistence.owners import Owner
from flowbook.testing.faults import Counting

LEASE_S: Final = 5.0
"""The lease of all who own a run here; a session with ZooKeeper lasts as long."""

Where = Literal["idle", "execute"]

_gate = ""


class Held(Step):
    """Waits at a gate in the process that has one."""

    def execute(self, log: str, **given: int) -> int:
        note(log)
        if _gate:
            pass_gate(_gate)
        return len(given)


def chain() -> LinearFlow:
    return LinearFlow("chain").add(Step("a"), Held("b", after=["a"]), Step("c", after=["b"]), Step("d", after=["c"]))


def own(conf: dict[str, Any], log: str, run_id: str, gate: str, where: Where) -> str:
    """Run the chain, and stop at a gate: ``idle`` behind the commit of its first atom, or in ``execute`` of the second.

    It looks to others like a process of another machine, so that only its lease or session tells that it is gone.
    Returns how it ended.
    """
    global _gate
    owners._boot_id = lambda: "another boot"
    if where == "execute":
        _gate = gate
    with fetch(conf) as backend:
        engine = engines.load_from_factory(chain, store={"log": log}, backend=backend, run_id=run_id, lease_s=LEASE_S)

        def listen(notice: Notice) -> None:
            if where == "idle" and notice.atom == "a":
                pass_gate(gate)

        engine.atom_notifier.register("SUCCESS", listen)
        try:
            engine.run()
        except OwnershipLost:
            return "OwnershipLost"
    return "finished"


class Finding(Counting):
    """Notes what there is when a run is claimed for the first time: what the owner before has left."""

    def __init__(self, inner: Backend, log: str, run_id: str) -> None:
        super().__init__(inner)
        self._log, self._run_id = log, run_id
        self.found: dict[str, Any] | None = None

    def claim(self, key: str, owner: Owner, *, lease_s: float, take_over: bool = False) -> Claim:
        claim = super().claim(key, owner, lease_s=lease_s, take_over=take_over)
        if self.found is None:
            self.found = driving.look(self.inner, self._log, self._run_id)
        return claim


def wait(conf: dict[str, Any], log: str, run_id: str, gate: str) -> dict[str, Any]:
    """Wait for the run's owner, and say so at a gate; return what became of the run, and what was found if it went on.

    That comes with the time, and the process.
    """
    told: list[FlowOwned] = []

    def tell(owned: FlowOwned) -> None:
        if not told:  # the next owner may be another peer
            pass_gate(gate)
        told.append(owned)

    with fetch(conf) as inner:
        backend = Finding(inner, log, run_id)
        results = engines.wait_and_resume(backend, run_id, allow=[__name__], lease_s=LEASE_S, on_owner=tell)
        at = time.monotonic()
        ended = driving.outcome(engines.load_from_run(backend, run_id, allow=[__name__]), backend, run_id)
    results.pop("log")
    assert results == ended["ended"]["results"]
    return {**ended, "at": at, "pid": os.getpid(), "found": backend.found}


def undisturbed(log: str, run_id: str) -> dict[str, Any]:
    """Run the chain in this process; return what became of it."""
    backend: Backend = Counting(fetch("memory:?strict=true"))
    engine = engines.load(chain(), {"log": log}, backend=backend, run_id=run_id)
    engine.run()
    return driving.outcome(engine, backend, run_id)
