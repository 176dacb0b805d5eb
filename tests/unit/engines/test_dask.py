"""Dask: what travels to its workers, what becomes of it when they or the cluster are lost, and that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from flowbook import AtomState, Flow, FlowState, LinearFlow, Task, UnorderedFlow, engines
from flowbook.engines import executors
from flowbook.engines.context import Outcome
from flowbook.engines.engine import Engine
from flowbook.engines.executors.errors import ClusterLost, NotPicklable, WorkerLost
from flowbook.exceptions import EncodeError, NotPossible
from flowbook.failure import Failure
from flowbook.persistence import Backend, fetch
from flowbook.testing.executor_tasks import Give, Meet, Say, Turn, Wait, noted, wait_until
from unit.engines import process_tasks as tasks

pytestmark = [pytest.mark.slow, pytest.mark.server]


@pytest.fixture(autouse=True)
def path_without_folders_of_tests(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give workers, which get the path of the engine's process, none that another test has added for itself."""
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not each.startswith(folder)])


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Give a client with two workers, one of which is lost for good where a task ends its process."""
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0, "silence_logs": "ERROR"}
    with (
        LocalCluster(n_workers=2, scheduler_kwargs={"allowed_failures": 1}, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _load(flow: Flow | Task, executor: Any = "dask", **options: Any) -> Engine:
    return engines.load(flow, **{"engine": "parallel", "executor": executor, "max_workers": 2, **options})


def _end(engine: Engine) -> tuple[FlowState, dict[str, Failure]]:
    for _ in engine.run_iter():
        pass
    return engine.state, engine.storage.get_failures()


# -- what travels --


def test_a_task_that_cannot_be_pickled_is_refused_before_anything_is_begun(tmp_path: Path, client: Client) -> None:
    engine = _load(LinearFlow("f").add(Say("first", tmp_path), Give("holding", {"one": tasks.Holding()})), client)
    with pytest.raises(NotPicklable, match=r"holding\.value\['one'\]\.lock is a lock") as raised:
        engine.run()
    assert (engine.state, noted(tmp_path)) == (FlowState.SUSPENDED, [])
    assert "cannot pickle '_thread.lock' object" in raised.value.why


def test_an_argument_or_a_result_that_cannot_be_pickled_fails_the_attempt_and_is_named(client: Client) -> None:
    _, failures = _end(_load(tasks.Take("take"), client, store={"given": threading.Lock()}, never_resolve=True))
    assert failures["take"].exception_str.startswith("argument 'given' of 'take' cannot travel")
    _, failures = _end(_load(tasks.Hold("hold"), client, never_resolve=True))
    assert failures["hold"].exception_str.endswith("result['held'].lock is a lock")


def test_what_one_side_cannot_make_again_fails_the_attempt(client: Client) -> None:
    _, failures = _end(_load(tasks.Take("take"), client, store={"given": tasks.OneWay()}, never_resolve=True))
    assert "RuntimeError: only one way" in str(failures["take"].exception.why)  # type: ignore[union-attr]
    _, failures = _end(_load(tasks.ReturnOneWay("give"), client, never_resolve=True))
    assert failures["give"].exception_str == "only one way"


def test_what_is_defined_within_a_function_travels(client: Client) -> None:
    engine = _load(tasks.Call("call", lambda: 3, provides="three"), client)
    engine.run()
    assert engine.storage.fetch("three") == 3


def test_a_secret_that_a_worker_has_seen_is_masked_and_not_stored(client: Client) -> None:
    text = "dask-7f31-hidden"
    client.run(tasks.set_variable, "SECRET_OF_DASK", text)
    for call in ("raise", "tell"):
        engine = _load(tasks.Reveal("reveal", "SECRET_OF_DASK", call), client, never_resolve=True)
        _end(engine)
        failure = engine.storage.get_failures().get("reveal")
        shown = f"{failure.exception_str} {failure.traceback_str}" if failure else ""
        shown += str(engine.storage.get_metadata("reveal"))
        assert "***" in shown
        assert text not in shown
    with fetch("memory:?strict=true") as backend:
        engine = _load(tasks.Reveal("reveal", "SECRET_OF_DASK", "return"), client, backend=backend, never_resolve=True)
        _, failures = _end(engine)
        assert isinstance(failures["reveal"].exception, EncodeError)


def test_what_a_task_tells_last_is_heard_and_what_it_tells_later_is_not(client: Client) -> None:
    flow = UnorderedFlow("f").add(*[tasks.TellLast(f"t{i}") for i in range(50)])
    engine = _load(flow, client)
    engine.run()
    told = [engine.storage.get_metadata(f"t{i}") for i in range(50)]
    assert told == [{"progress": 1.0, "word": f"t{i}"} for i in range(50)]
    engine = _load(LinearFlow("f").add(tasks.LeaveTelling("leave"), Give("next", 3)), client)
    engine.run()
    assert engine.storage.get_metadata("next") == {}


def test_dask_does_not_warn_of_large_arguments(client: Client) -> None:
    engine = _load(Turn("turn", provides="turned"), client, store={"data": bytes(12_000_000) + b"end"})
    engine.run()
    assert engine.storage.fetch("turned")[:3] == b"dne"


def test_equal_calls_are_each_made_and_nothing_of_them_is_kept(tmp_path: Path, client: Client) -> None:
    for _ in range(2):
        _load(Say("same", tmp_path), client, run_id="r").run()
    assert noted(tmp_path) == ["same", "same"]
    wait_until(lambda: client.run_on_scheduler(_tasks_of) == [])


def _tasks_of(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.tasks)


def test_no_more_run_at_a_time_than_were_asked_for(tmp_path: Path, client: Client) -> None:
    made = executors.make(client, 1)
    futures = [made.submit(tasks.execute, Say(name, tmp_path)) for name in "ab"]
    futures += [made.submit(tasks.execute, Wait("w", tmp_path)), made.submit(tasks.execute, Say("c", tmp_path))]
    wait_until(lambda: noted(tmp_path) == ["a", "b", "w"])
    assert futures[3].cancel()
    (tmp_path / "gate").touch()
    made.shutdown()
    assert [future.result().value for future in futures[:3]] == ["a", "b", "w"]


# -- a worker is lost --


def _attempts(backend: Backend) -> list[Any]:
    return [row for rows in backend.load("r").appended["attempt"].values() for row in rows]


def test_an_atom_whose_worker_is_lost_runs_again_and_is_recorded_once(tmp_path: Path, client: Client) -> None:
    with fetch("memory:?strict=true") as backend:
        engine = _load(tasks.WaitWithPid("w", tmp_path, provides="pid"), client, backend=backend, run_id="r")
        with _running(engine) as raised:
            wait_until(lambda: len(noted(tmp_path)) == 1)
            os.kill(int(noted(tmp_path)[0]), signal.SIGKILL)
            wait_until(lambda: len(noted(tmp_path)) == 2)
            (tmp_path / "gate").touch()
        assert raised == []
        first, second = map(int, noted(tmp_path))
        assert first != second == engine.storage.fetch("pid")
        assert len(_attempts(backend)) == 1


def test_an_atom_that_ends_every_worker_is_given_up_by_dask(tmp_path: Path, client: Client) -> None:
    engine = _load(LinearFlow("f").add(Say("first", tmp_path), tasks.Die("die", tmp_path, "kill")), client)
    with pytest.raises(WorkerLost) as raised:
        engine.run()
    assert str(raised.value) == "the worker process of 'die' was lost 2 times in the middle of it: dask gives it up"
    assert noted(tmp_path) == ["first", "die", "die", "revert die", "revert first"]


class _running:  # noqa: N801 - read as a word of the tests
    """Runs an engine in another thread; leaves when it has ended."""

    def __init__(self, engine: Engine) -> None:
        self._raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(engine,))

    def _run(self, engine: Engine) -> None:
        try:
            engine.run()
        except BaseException as error:
            self._raised.append(error)

    def __enter__(self) -> list[BaseException]:
        self._thread.start()
        return self._raised

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


# -- a cluster is lost --


def test_a_client_that_is_closed_meanwhile_stops_the_run_which_goes_on_later(tmp_path: Path) -> None:
    flow = LinearFlow("f").add(Say("a", tmp_path), Wait("b", tmp_path), Say("c", tmp_path))
    with (
        fetch("memory:?strict=true") as backend,
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False) as cluster,
    ):
        client = Client(cluster, set_as_default=False)
        with _running(_load(flow, client, backend=backend, run_id="r")) as raised:
            wait_until(lambda: "b" in noted(tmp_path))
            client.close()
        (tmp_path / "gate").touch()
        assert [type(error) for error in raised] == [ClusterLost]
        for workers in (2, None):
            with pytest.raises(ClusterLost, match="closed"):
                _load(flow, client, backend=backend, run_id="r", max_workers=workers).run()
        _load(flow, "threads", backend=backend, run_id="r").run()
    assert noted(tmp_path) == ["a", "b", "b", "c"]


_OPTIONS_OF_SCHEDULER = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file")


def test_a_scheduler_that_is_killed_stops_the_run_which_goes_on_later(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    place = tmp_path / "scheduler.json"
    scheduler = started("distributed.cli.dask_scheduler", *_OPTIONS_OF_SCHEDULER, place)
    wait_until(place.exists)
    options = ["--scheduler-file", place, "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    started("distributed.cli.dask_worker", *options, "--local-directory", tmp_path)
    with Client(scheduler_file=str(place), set_as_default=False) as client:
        address = client.scheduler.address.removeprefix("tcp://")
    flow = LinearFlow("f").add(Say("a", tmp_path), Wait("b", tmp_path), Say("c", tmp_path))
    with fetch("memory:?strict=true") as backend, dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        with _running(_load(flow, f"dask://{address}", backend=backend, run_id="r")) as raised:
            wait_until(lambda: "b" in noted(tmp_path))
            scheduler.kill()
        assert [type(error) for error in raised] == [ClusterLost]
        with pytest.raises(ClusterLost, match=f"no dask scheduler answers at {address}"):
            _load(flow, f"dask://{address}", backend=backend, run_id="r").run()
        (tmp_path / "gate").touch()
        engine = _load(flow, "threads", backend=backend, run_id="r")
        engine.run()
        assert engine.storage.get_atom_state("c") is AtomState.SUCCESS
    assert noted(tmp_path) == ["a", "b", "b", "c"]


def test_a_cluster_without_workers_is_not_waited_for_forever(tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
        dask.config.set({"distributed.scheduler.no-workers-timeout": "0.5s"}),
        pytest.raises(ClusterLost, match=r"has shown no worker for 0\.5 s"),
    ):
        _load(Say("a", tmp_path), client).run()


# -- what is refused --


def test_what_no_run_could_use_is_refused(tmp_path: Path, client: Client) -> None:
    with pytest.raises(NotPossible, match="'threads' is at no address"):
        _load(Say("a", tmp_path), "threads://127.0.0.1:8786").run()
    for address in ("nowhere", ""):
        with pytest.raises(NotPossible, match=f"'{address}' is no host and port"):
            _load(Say("a", tmp_path), f"dask://{address}").run()

    async def refused() -> str:
        with pytest.raises(NotPossible, match="is asynchronous"):
            executors.make(client)
        with pytest.raises(NotPossible, match="is asynchronous"):
            executors.make(client, 2).submit(tasks.execute, Say("a", tmp_path))
        return "refused"

    assert client.sync(refused) == "refused"
    assert noted(tmp_path) == []


# -- a cluster of the run's own --


def test_an_attempt_is_stopped_with_the_worker_of_our_own_that_runs_it(tmp_path: Path, client: Client) -> None:
    made = executors.make("dask", 1)
    try:
        stopped: Future[Outcome] = made.submit(tasks.execute, tasks.WaitWithPid("one", tmp_path))
        queued = made.submit(tasks.execute, tasks.WaitWithPid("two", tmp_path))
        wait_until(lambda: len(noted(tmp_path)) == 1)
        assert made.stop(stopped)
        assert type(stopped.exception(30)).__name__ == "CancelledError"
        wait_until(lambda: not _lives(int(noted(tmp_path)[0])))
        wait_until(lambda: len(noted(tmp_path)) == 2)
        (tmp_path / "gate").touch()
        assert str(queued.result(30).value) == noted(tmp_path)[1]
        assert len(noted(tmp_path)) == 2
        assert not made.stop(stopped)
    finally:
        made.shutdown()
    others = executors.make(client, 1)
    future = others.submit(tasks.execute, Say("three", tmp_path))
    assert not others.stop(future)
    others.shutdown()


def test_a_long_attempt_keeps_no_other_from_a_free_worker(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    flow = UnorderedFlow("f").add(*[Say(f"s{i}", tmp_path) for i in range(30)])
    flow.add(*[Meet(f"m{i}", meeting, 2) for i in range(2)], *[Say(f"t{i}", tmp_path) for i in range(10)])
    engine = _load(flow)
    engine.run()
    assert engine.state is FlowState.SUCCESS
    assert len(noted(tmp_path)) == len(set(noted(tmp_path))) == 40


# -- programs --


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start programs, each in a process group of its own."""
    programs = []

    def start(module: str, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, *(["-m", module] if module else []), *map(str, words)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        programs.append(subprocess.Popen(command, env=env, start_new_session=True, cwd=tmp_path, **pipes))
        return programs[-1]

    yield start
    for program in programs:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


def _program(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


_OWN = """
    import multiprocessing
    import os
    from flowbook import LinearFlow, engines, task

    class Own:
        def __init__(self, number):
            self.number = number

    @task(provides="own")
    def make():
        return Own(3)

    @task(provides="pid", requires=["own"])
    def look(own):
        return os.getpid(), type(own) is Own

    if __name__ == "__main__":
        flow = LinearFlow("f").add(make, look)
        results = engines.run(flow, engine="parallel", executor="dask", max_workers=2)
        print(type(results["own"]) is Own, results["pid"][1], multiprocessing.active_children())
        try:
            os.kill(results["pid"][0], 0)
        except ProcessLookupError:
            print("gone")
"""


@pytest.mark.parametrize("typed_in", [False, True])
def test_what_a_program_defines_travels_and_nothing_is_said_on_stderr(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]], typed_in: bool
) -> None:
    words = ["-c", textwrap.dedent(_OWN)] if typed_in else [_program(tmp_path, _OWN)]
    output, errors = started("", "-W", "error", *words).communicate(timeout=60)
    assert (output, errors) == ("True True []\ngone\n", "")


_TWO_THAT_WAIT = """
    from pathlib import Path
    from flowbook import UnorderedFlow, engines
    from unit.engines.process_tasks import WaitWithPid

    if __name__ == "__main__":
        folder = Path(__file__).parent
        flow = UnorderedFlow("f").add(*[WaitWithPid(f"w{i}", folder) for i in range(6)])
        engine = engines.load(flow, engine="parallel", executor="dask", max_workers=2)
        engine.notifier.register("SUSPENDING", lambda notice: (folder / "gate").touch())  # what is queued is withdrawn
        try:
            engine.run()
        finally:
            print(engine.state, flush=True)
"""


def test_ctrl_c_suspends_and_workers_end_what_they_run(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    program = started("", _program(tmp_path, _TWO_THAT_WAIT))
    wait_until(lambda: len(noted(tmp_path)) == 2)
    pids = [int(pid) for pid in noted(tmp_path)]
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    output, errors = program.communicate(timeout=60)
    assert output == "SUSPENDED\n"
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert len(noted(tmp_path)) == 2
    assert not any(map(_lives, pids))


def test_workers_end_with_an_engine_that_is_killed(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    program = started("", _program(tmp_path, _TWO_THAT_WAIT))
    wait_until(lambda: len(noted(tmp_path)) == 2)
    pids = [int(pid) for pid in noted(tmp_path)]
    assert all(map(_lives, pids))
    os.kill(program.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(_lives, pids)))


def test_a_program_without_a_guard_is_told_what_is_missing(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    text = """
        from flowbook import engines
        from flowbook.testing.executor_tasks import Give
        engines.run(Give("a", 3), engine="parallel", executor="dask")
    """
    _, errors = started("", _program(tmp_path, text)).communicate(timeout=60)
    assert 'let the program run its flow below: if __name__ == "__main__":' in errors


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
