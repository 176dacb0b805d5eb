"""What becomes of a run in ZooKeeper when a process, a session, a server or a reply is lost at any step.

The run then ends as if nothing had happened, and nothing that was saved is done again. All of it runs with
``FLOWBOOK_FULL=1``, else a sample that is always the same.
"""

from __future__ import annotations

import random
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import servers
from crash import driving
from crash.flows import CANONICAL, Step, lines_of
from crash.forks import Forks
from crash.judging import judge
from crash.keepers import MULTI, CuttingProxy, client_of, expire
from crash.owners import Gate
from crash.proxy import Link, Proxy, cut, lose_reply
from daemons.process import LOOPBACK, Daemon
from daemons.zookeeper import ensemble, four_letters, zookeeper
from flowbook import FlowState, LinearFlow, engines
from flowbook.exceptions import FlowOwned, OwnershipLost, TooLarge
from flowbook.persistence import fetch
from flowbook.persistence.backend import Backend, Claim
from flowbook.persistence.changes import Append
from flowbook.persistence.owners import current_owner
from flowbook.persistence.zookeeper.backend import ZookeeperBackend
from flowbook.testing.backend_samples import begin
from flowbook.testing.faults import Counting, CrashAtCommit

pytestmark = pytest.mark.skipif(not servers.ZOOKEEPER.is_installed, reason="ZooKeeper is not installed")

SESSION_S = 1
SAMPLED = ["linear", "reverting", "retried", "suspended"]
STOPS_WITHIN_S = 0.1

CUTS = {"cut": cut, "reply lost": lose_reply}

Point = tuple[int, str]


@pytest.fixture(scope="module")
def server() -> Iterator[Daemon]:
    with zookeeper() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def forks(fast_folder: Path) -> Iterator[Forks]:
    server = Forks(fast_folder, ["crash.keepers", "crash.owners", "kazoo.client"])
    yield server
    server.close()


@pytest.fixture
def new_url(server: Daemon) -> Callable[[], str]:
    return lambda: f"{server.url}{uuid4().hex}?session_timeout_s={SESSION_S}"


def points_of(commits: int, name: str, *, full: bool, sample: int = 1) -> list[Point]:
    """Return where to crash: before and after each commit, or a sample of that which depends on ``name`` alone."""
    every = [(commit, when) for commit in range(1, commits + 1) for when in ("before", "after")]
    return every if full else random.Random(name).sample(every, min(sample, len(every)))


class Expected:
    """How each flow ends when nothing happens to it, and what it then does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[Any, Any]] = {}

    def of(self, flow: str, engine: str) -> tuple[Any, Any]:
        if (flow, engine) not in self._known:
            log = str(self._folder / f"{flow}-{engine}")
            backend = Counting(fetch("memory:?strict=true"))
            self._known[flow, engine] = driving.drive(flow, backend, engine=engine, log=log), lines_of(log)
        return self._known[flow, engine]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    return Expected(tmp_path_factory.mktemp("expected"))


@pytest.mark.parametrize("flow", [name for name in CANONICAL if name != "many"])
def test_a_run_whose_session_expires_at_any_commit_stops_and_is_continued(
    flow: str,
    server: Daemon,
    new_url: Callable[[], str],
    tmp_path: Path,
    expected: Expected,
    figures: Counter[str],
    full: bool,
) -> None:
    if not full and flow not in SAMPLED:
        pytest.skip("FLOWBOOK_FULL=1 runs it")
    answer, lines = expected.of(flow, "serial")
    for commit, when in points_of(answer["commits"], flow, full=full, sample=2):
        url, log, looks = new_url(), str(tmp_path / f"log-{commit}-{when}"), []
        with ZookeeperBackend(url) as inner:
            backend = CrashAtCommit(inner, at=commit, when=when, crash=lambda inner=inner: expire(inner, server.port))
            try:
                end = driving.drive(flow, backend, engine="serial", log=log)
            except OwnershipLost:
                looks.append(driving.look(inner, log))
                end = driving.drive(flow, inner, engine="serial", log=log)
        is_last = (commit, when) == (answer["commits"], "after")
        assert looks or is_last or CANONICAL[flow].suspended_by, "it wrote on"  # a suspended one claims anew
        figures["sessions expired"] += 1
        figures.update(judge(answer, end, looks, lines_of(log), lines))


def test_when_a_session_is_lost_writing_stops_at_once(
    server: Daemon, new_url: Callable[[], str], figures: Counter[str], full: bool
) -> None:
    late_s = [_written_after_a_loss_s(server, new_url()) for _ in range(30 if full else 1)]
    assert max(late_s) < STOPS_WITHIN_S
    figures["sessions lost while writing"] += len(late_s)
    figures["ms after a loss at most until the last acknowledged write"] = round(1000 * max(late_s))


def _written_after_a_loss_s(server: Daemon, url: str) -> float:
    """Write until the session is lost; return how long after that the last write was acknowledged, 0 for before."""
    with ZookeeperBackend(url) as backend:
        claim = begin(backend)
        lost_at, acknowledged = [], []

        def listen(state: str) -> None:
            if state == "LOST":
                lost_at.append(time.monotonic())

        def write(claim: Claim) -> None:
            for count in range(100_000):
                claim = backend.commit(claim, [Append("try", "a", {"n": count})])
                acknowledged.append(time.monotonic())

        client_of(backend).add_listener(listen)
        thread = threading.Thread(target=expire, args=(backend, server.port))
        thread.start()
        with pytest.raises(OwnershipLost):
            write(claim)
        thread.join()
        count = len(acknowledged)
        assert len(lost_at) == 1
        found = [row["n"] for row in backend.load("f").appended.get("try", {}).get("a", [])]
        assert found[:count] == list(range(count))
        assert len(found) <= count + 1  # what was under way may have been written
        with pytest.raises(OwnershipLost):
            backend.commit(claim, [])
        with pytest.raises(OwnershipLost):
            backend.renew(claim, lease_s=60)
        assert list(backend.renew(claim, lease_s=0)) == []
        backend.commit(backend.claim("flow:f", current_owner(), lease_s=60), [])
        return max(0.0, max(acknowledged, default=0.0) - lost_at[0])


@pytest.mark.parametrize("fault", CUTS)
@pytest.mark.parametrize("flow", ["linear", "reverting"])
def test_a_run_whose_connection_is_lost_at_any_request_goes_on(
    flow: str, fault: str, server: Daemon, tmp_path: Path, expected: Expected, figures: Counter[str], full: bool
) -> None:
    """All that is larger than a few records is written in parts, so that many requests make one commit."""
    answer, lines = expected.of(flow, "serial")

    def drive(at: int) -> int:
        log = str(tmp_path / f"log-{at}")
        url = f"zookeeper://{LOOPBACK}:{{}}/{uuid4().hex}?znode_limit_bytes=512&session_timeout_s=10"
        with Proxy(server.port) as proxy, ZookeeperBackend(url.format(proxy.port)) as inner:
            inner.open()
            opened = proxy.requests
            proxy.arm(CUTS[fault], at=at)
            judge(answer, driving.drive(flow, Counting(inner), engine="serial", log=log), [], lines_of(log), lines)
            figures["connections lost"] += not proxy.is_armed
            return proxy.requests - opened

    every = range(1, drive(sys.maxsize) + 1)
    for at in every if full else random.Random(f"{flow} {fault}").sample(every, 2):
        drive(at)


def test_a_commit_whose_reply_is_lost_after_the_deadline_is_looked_up_all_the_same(server: Daemon) -> None:
    def wake_too_late(link: Link, request: bytes) -> None:
        link.ask(request)
        threading.Event().wait(1.5)
        link.close()

    url = f"zookeeper://{LOOPBACK}:{{}}/{uuid4().hex}?timeout_s=1"
    with Proxy(server.port) as proxy, ZookeeperBackend(url.format(proxy.port)) as backend:
        claim = begin(backend)
        proxy.arm(wake_too_late, containing=struct.pack(">i", MULTI))
        claim = backend.commit(claim, [Append("try", "a", {"n": 1})])
        assert not proxy.is_armed
        backend.commit(claim, [Append("try", "a", {"n": 2})])
        assert [row["n"] for row in backend.load("f").appended["try"]["a"]] == [1, 2]


class Large(Step):
    """Gives so many bytes."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name)
        self.size = size

    def execute(self, log: str, **given: int) -> Any:
        super().execute(log, **given)
        return "x" * self.size


@pytest.mark.parametrize("limit", [2_000, 1_048_576])
def test_a_value_over_the_limit_fails_its_atom_and_takes_nothing_with_it(
    limit: int, server: Daemon, tmp_path: Path, figures: Counter[str]
) -> None:
    log, url = str(tmp_path / "log"), f"{server.url}{uuid4().hex}?value_limit_bytes="
    chain = LinearFlow("large").add(Step("a"), Large("fits", limit - 2), Large("large", limit - 1))
    with ZookeeperBackend(f"{url}{limit}") as backend:
        made = engines.load(chain, {"log": log}, backend=backend, run_id="r")
        with pytest.raises(TooLarge) as caught:
            made.run()
        assert (caught.value.size_bytes, caught.value.limit_bytes) == (limit + 1, limit)
        assert "large" in str(caught.value)
        assert made.state is FlowState.REVERTED
    with ZookeeperBackend(f"{url}{limit + 1}") as backend:
        again = engines.load(chain, {"log": log}, backend=backend, run_id="r", rerun=True)
        again.run()
        assert again.state is FlowState.SUCCESS
        assert {name: len(again.storage.get(name)) for name in ("fits", "large")} == {
            "fits": limit - 2,
            "large": limit - 1,
        }
    done = Counter(line.what for line in lines_of(log))
    assert set(done.values()) == {1}
    figures["values over the limit"] += 1


@pytest.mark.parametrize("when", ["request", "reply"])
def test_a_commit_whose_connection_is_cut_takes_place_once(
    when: Any, server: Daemon, tmp_path: Path, expected: Expected, figures: Counter[str]
) -> None:
    answer, lines = expected.of("linear", "serial")
    proxy = CuttingProxy(server.port)
    with ZookeeperBackend(f"zookeeper://{LOOPBACK}:{proxy.port}/{uuid4().hex}") as inner:
        inner.open()
        first = proxy.multis + 1
        for number in range(first, first + 60, 2):
            proxy.cut(number, when)
        log = str(tmp_path / "log")
        backend = Counting(inner)
        end = driving.drive("linear", backend, engine="serial", log=log)
        judge(answer, end, [], lines_of(log), lines)
        assert proxy.multis > first + backend.calls["commit"]  # some were asked again
        figures["connections cut"] += (proxy.multis - first) // 2
        claim = begin(inner, "other")
        for count in range(20):
            claim = inner.commit(claim, [Append("try", "a", {"n": count})])
        assert [row["n"] for row in inner.load("other").appended["try"]["a"]] == list(range(20))
        assert claim.seq == 21
    proxy.close()


@pytest.mark.parametrize("flow", ["linear", "reverting"])
def test_a_run_outlives_its_server(
    flow: str, tmp_path: Path, expected: Expected, figures: Counter[str], full: bool
) -> None:
    answer, lines = expected.of(flow, "serial")
    points = points_of(answer["commits"], flow, full=full)
    with zookeeper() as own:
        for commit, when in points:
            log = str(tmp_path / f"log-{commit}-{when}")
            chance = random.Random(f"{flow} {commit} {when}")
            with ZookeeperBackend(f"{own.url}{uuid4().hex}?timeout_s=30&session_timeout_s=10") as inner:
                restart = threading.Timer(chance.random() / 10, own.start)

                def crash(restart: threading.Timer = restart) -> None:
                    own.kill()
                    restart.start()

                backend = CrashAtCommit(inner, at=commit, when="before" if when == "before" else "after", crash=crash)
                end = driving.drive(flow, backend, engine="serial", log=log)
                judge(answer, end, [], lines_of(log), lines)
                restart.join()
            figures["servers killed"] += 1


@pytest.mark.slow
def test_a_server_killed_while_a_run_commits_loses_and_doubles_nothing(figures: Counter[str], full: bool) -> None:
    with zookeeper() as own, ZookeeperBackend(f"{own.url}runs?timeout_s=30&session_timeout_s=10") as backend:
        claim, count, chance = begin(backend), 0, random.Random(7)
        for _ in range(20 if full else 2):
            killer = threading.Timer(chance.random() / 5, lambda: (own.kill(), own.start()))
            killer.start()
            while killer.is_alive():
                claim = backend.commit(claim, [Append("try", "a", {"n": count})])
                count += 1
            killer.join()
            figures["servers killed"] += 1
        assert [row["n"] for row in backend.load("f").appended["try"]["a"]] == list(range(count))
        assert claim.seq == count + 1


def test_a_run_outlives_the_leader_of_three(
    tmp_path: Path, expected: Expected, figures: Counter[str], full: bool
) -> None:
    answer, lines = expected.of("nested", "serial")
    servers = ensemble()
    threads = [threading.Thread(target=server.start) for server in servers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hosts = ",".join(f"{LOOPBACK}:{server.port}" for server in servers)
        for commit, when in points_of(answer["commits"], "nested", full=full):
            url = f"zookeeper://{hosts}/{uuid4().hex}?timeout_s=30&session_timeout_s=10"
            log, killed = str(tmp_path / f"log-{commit}-{when}"), []

            def crash(killed: list[Daemon] = killed) -> None:
                (leader,) = [server for server in servers if "Mode: leader" in four_letters(server.port, "srvr")]
                killed.append(leader)
                leader.kill()

            with ZookeeperBackend(url) as inner:
                backend = CrashAtCommit(inner, at=commit, when="before" if when == "before" else "after", crash=crash)
                end = driving.drive("nested", backend, engine="serial", log=log)
                judge(answer, end, [], lines_of(log), lines)
            (leader,) = killed
            leader.start()
            figures["leaders killed"] += 1
    finally:
        for server in servers:
            server.__exit__()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("stop_at", range(1, 8))
def test_a_process_that_slept_past_its_session_is_replaced_and_writes_no_more(
    stop_at: int,
    when: str,
    forks: Forks,
    new_url: Callable[[], str],
    tmp_path: Path,
    figures: Counter[str],
    full: bool,
) -> None:
    if not full and (stop_at, when) not in {(3, "before"), (4, "after")}:
        pytest.skip("FLOWBOOK_FULL=1 runs it")
    url, log = new_url(), str(tmp_path / "log")
    sleeper = forks.start("crash.keepers:work", url=url, log=log, stop_at=stop_at, when=when)
    sleeper.wait_stopped()
    with ZookeeperBackend(url) as backend:
        with pytest.raises(FlowOwned):  # its session goes on for a while
            backend.claim("flow:r", current_owner(), lease_s=60)
        wait_for_claim(backend, "flow:r")
        backend.close()
    heir = forks.call("crash.keepers:work", url=url, log=log, stop_at=0, when="before")
    assert heir.answer == "finished"
    by_heir = lines_of(log)
    sleeper.proceed()
    had_finished = (stop_at, when) == (7, "after")
    assert sleeper.wait().answer == ("finished" if had_finished else "OwnershipLost")
    in_flight = {(line.atom, line.attempt - 1) for line in by_heir if line.attempt > 1}
    after_waking = {(line.atom, line.attempt) for line in lines_of(log)[len(by_heir) :]}
    assert after_waking <= in_flight, "only what it had begun before it slept"
    assert {line.atom for line in by_heir} == set("abcde")
    assert len({(line.atom, line.attempt) for line in by_heir}) == len(by_heir)
    figures["slept past their session"] += 1


@pytest.mark.parametrize("count", [2, 5])
def test_of_several_processes_that_claim_a_run_one_has_it(
    count: int, forks: Forks, new_url: Callable[[], str], tmp_path: Path, figures: Counter[str], full: bool
) -> None:
    rounds = 300 if full else 15
    gates = [Gate(_made(tmp_path / name)) for name in ("one", "other")]
    how = {"conf": {"connection": new_url()}, "gates": [gate.path for gate in gates], "rounds": rounds}
    children = [forks.start("crash.owners:race", **how) for _ in range(count)]
    for round_ in range(rounds + 1):
        gates[round_ % 2].wait_for(count)
        gates[round_ % 2].open(count)
    for answers in zip(*[child.wait().answer for child in children], strict=True):
        assert sorted(answers) == ["FlowOwned"] * (count - 1) + ["owner"]
        figures["races for a claim"] += 1
    for gate in gates:
        gate.close()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_forked_child_writes_with_a_connection_of_its_own(forks: Forks, new_url: Callable[[], str]) -> None:
    url = new_url()
    end = forks.call("crash.keepers:fork_and_write", url=url)
    assert end.answer == {"child": 0, "sessions": 2}
    with ZookeeperBackend(url) as backend:
        rows = backend.load("f").appended["try"]["a"]
        assert [row["by"] for row in rows] == ["parent", "child", "parent"]


def wait_for_claim(backend: Backend, key: str) -> Claim:
    """Return a claim as soon as the present owner's session is over."""
    deadline = time.monotonic() + 20 * SESSION_S
    while True:
        try:
            return backend.claim(key, current_owner(), lease_s=60)
        except FlowOwned:
            assert time.monotonic() < deadline
            time.sleep(0.05)
