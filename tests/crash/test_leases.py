"""A claim is kept as long as its interpreter can run a thread now and then; and one that is lost is not written under.

In files an owner of this machine is seen to live, whatever its lease says: there the owner is one of another machine.
In memory nobody else can claim anything.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import servers
from acceptance.command_line import Waiting
from crash.driving import RUN
from crash.flows import lines_of
from crash.forks import Forks
from crash.leases import work
from crash.owners import COMES_WITHIN_S, Gate
from daemons.storages import IN_FILES, OUTLIVING, kinds, new_storage
from flowbook import LinearFlow, engines, task
from flowbook.cli.main import main
from flowbook.exceptions import FlowOwned
from flowbook.persistence import Backend, fetch
from flowbook.persistence.owners import current_owner
from flowbook.testing.backend_samples import stranger
from flowbook.views import view_run

LONG_LEASE_S, LEASES = 2, 3
SHORT_LEASE_S = 1

CLOCKS_DIFFER_S = 0.1
"""By how much a server's idea of now may differ from ours on one machine: it counts milliseconds, or ticks."""


@pytest.fixture
def gate(new_folder: Callable[[], Path]) -> Iterator[Callable[[], Gate]]:
    with ExitStack() as gates:

        def make() -> Gate:
            gate = Gate(new_folder())
            gates.callback(gate.close)
            return gate

        yield make


def storage(kind: str, request: pytest.FixtureRequest, folder: Path, lease_s: int) -> str:
    """Return the URL of an empty storage; in ZooKeeper the lease is that of the session."""
    url = new_storage(kind, request, folder)
    with fetch(url):
        pass
    return f"{url}&session_timeout_s={lease_s}" if kind == "zookeeper" else url


def installed() -> list[str]:
    """Return the backends that can be had here and outlive a process."""
    there = {
        "postgresql": servers.POSTGRESQL.is_installed,
        "mysql": servers.MARIADB.is_installed,
        "zookeeper": servers.ZOOKEEPER.is_installed,
    }
    return [kind for kind in OUTLIVING if there.get(kind, True)]


def records_of(backend: Backend) -> str:
    """Return all that the logbook holds of the run."""
    records = backend.load(RUN)
    return json.dumps([records.rows, records.appended], sort_keys=True)


@pytest.mark.server
@pytest.mark.slow
def test_an_atom_of_three_leases_keeps_its_claim_whatever_the_backend(
    forks: Forks,
    gate: Callable[[], Gate],
    new_folder: Callable[[], Path],
    request: pytest.FixtureRequest,
    figures: Counter[str],
) -> None:
    """All at once, since they mostly wait."""
    with ExitStack() as opened:
        peers: dict[str, Backend] = {}
        children, gates, tries = {}, {}, Counter[str]()
        for kind in installed():
            folder, gates[kind] = new_folder(), gate()
            url = storage(kind, request, folder, LONG_LEASE_S)
            how = {"way": "computes", "gate": gates[kind].path, "lease_s": LONG_LEASE_S, "elsewhere": kind in IN_FILES}
            children[kind] = forks.start("crash.leases:work", conf=url, log=str(folder / "log"), **how)
            peers[kind] = opened.enter_context(fetch(url))
        for each in gates.values():
            each.wait_for(1)
        until = time.monotonic() + LEASES * LONG_LEASE_S
        while time.monotonic() < until:
            for kind, peer in peers.items():
                with pytest.raises(FlowOwned):
                    peer.claim(f"flow:{RUN}", stranger(), lease_s=60)
                tries[kind] += 1
            time.sleep(0.05)
        for kind in peers:
            gates[kind].open()
            assert children[kind].wait().answer == {"did": "finished", "executed": [[atom, 0] for atom in "abcd"]}, kind
            assert view_run(peers[kind], RUN).owner is None
            figures["claims kept for three leases"] += 1
            figures["peers refused meanwhile"] += tries[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds(*OUTLIVING))
def test_a_call_that_hogs_the_gil_past_its_lease_ends_in_lost_ownership_and_not_in_two_writers(
    kind: str,
    forks: Forks,
    gate: Callable[[], Gate],
    new_folder: Callable[[], Path],
    request: pytest.FixtureRequest,
    figures: Counter[str],
) -> None:
    folder, held = new_folder(), gate()
    url, log = storage(kind, request, folder, SHORT_LEASE_S), str(folder / "log")
    how: dict[str, Any] = {"log": log, "way": "hogs", "gate": held.path, "lease_s": SHORT_LEASE_S}
    first = forks.start("crash.leases:work", conf=url, **how, elsewhere=kind in IN_FILES)
    held.wait_for(1)
    began = time.monotonic()
    while (peer := work(url, **how))["did"] == "FlowOwned":
        assert time.monotonic() - began < COMES_WITHIN_S, "the lease does not end"
        time.sleep(0.05)
    took_s = time.monotonic() - began
    assert peer == {"did": "finished", "executed": [("b", 0), ("c", 0), ("d", 0)]}
    with fetch(url) as backend:
        written = records_of(backend)
        held.open()
        assert first.wait().answer == {"did": "OwnershipLost", "executed": [["a", 0], ["b", 0]]}
        assert records_of(backend) == written
        assert [(line.atom, line.attempt) for line in lines_of(log)] == [
            ("a", 1),
            ("b", 1),
            ("b", 2),
            ("c", 1),
            ("d", 1),
        ]
    figures["owners that hogged the GIL, replaced and refused"] += 1
    figures["ms from there to the end of their runs by others"] += int(1000 * took_s)


# -- who owns a run, and since when --


def shown(url: str, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """Return the owner that ``flowbook show`` tells in its document, and the line that people read."""
    assert main(["show", "r1", "--json", "--backend", url]) == 0
    owner = json.loads(capsys.readouterr().out)["owner"]
    assert main(["show", "r1", "--backend", url]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("owner:")]
    return owner, "".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds(*OUTLIVING))
def test_show_says_who_owns_a_run_since_when_and_nobody_in_the_end(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, before = new_storage(kind, request, tmp_path), time.time()
    waiting = Waiting(tmp_path, "--backend", url)
    try:
        owner, line = shown(url, capsys)
        host = current_owner().host
        assert owner["name"] == f"{host}:{waiting.process.pid}"
        since = datetime.fromisoformat(owner["since"]).timestamp()
        assert before - CLOCKS_DIFFER_S <= since <= time.time() + CLOCKS_DIFFER_S
        assert owner["lives"] is True
        assert f"{host}:{waiting.process.pid} since " in line
        waiting.let_go()
        assert waiting.end().code == 0
    finally:
        waiting.kill()
    assert shown(url, capsys) == (None, "")


def test_in_memory_the_view_says_who_owns_a_run_since_when_and_nobody_in_the_end() -> None:
    backend, before = fetch("memory:"), time.time()
    seen = []

    @task
    def look() -> None:
        seen.append(view_run(backend, "r1").owner)

    engines.run(LinearFlow("flow").add(look), backend=backend, run_id="r1")
    (owner,) = seen
    assert owner is not None
    assert (owner.name, owner.lives) == (str(current_owner()), True)
    assert before <= owner.since <= time.time()
    assert view_run(backend, "r1").owner is None
