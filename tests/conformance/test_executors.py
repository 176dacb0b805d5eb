"""The suite of executors, over every executor of ours and over pools of a user's."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import futurist
import pytest
from distributed import Client, LocalCluster

from flowbook import Flow, Task, UnorderedFlow
from flowbook.engines.engine import Engine
from flowbook.engines.executors.base import Executor
from flowbook.engines.executors.routing import executor_for
from flowbook.engines.options import Options
from flowbook.persistence import Backend
from flowbook.testing import executor_coroutines
from flowbook.testing.executor_suite import ExecutorContract, FailingContract, RunningContract, StoppingContract
from flowbook.testing.executor_tasks import Say

ROUTED: dict[str, Any] = {"executors": {"others": ("threads", 1)}}


@pytest.fixture(autouse=True)
def path_without_folders_of_tests(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give workers, which get the path of the engine's process, none that another test has added for itself."""
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not each.startswith(folder)])


@pytest.fixture(scope="module")
def threads() -> Iterator[Pool]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def futurists_threads() -> Iterator[Pool]:
    with futurist.ThreadPoolExecutor(2) as pool:  # an idle thread of it takes a second to end
        yield pool


@pytest.fixture(scope="module")
def processes() -> Iterator[Pool]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def dask_client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


class TestSerial(ExecutorContract):
    engine = "serial"
    workers = 1

    @pytest.fixture
    def executor(self) -> str:
        return "serial"


class TestThreads(ExecutorContract):
    @pytest.fixture
    def executor(self) -> str:
        return "threads"


class TestThreadsOfTheAsyncExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> str:
        return "async"


class TestCoroutines(ExecutorContract):
    tasks: ClassVar[Any] = executor_coroutines

    @pytest.fixture
    def executor(self) -> str:
        return "async"

    def load(self, flow: Flow | Task, executor: object, backend: Backend | None = None, **options: Any) -> Engine:
        return super().load(flow, executor, backend, max_in_flight=self.workers, **options)


class TestRouted(ExecutorContract):
    """Half of the atoms run on a thread of the engine's executor, the others on one of another executor."""

    @pytest.fixture
    def executor(self) -> str:
        return "threads"

    def load(self, flow: Flow | Task, executor: object, backend: Backend | None = None, **options: Any) -> Engine:
        for atom in list(flow)[::2] if isinstance(flow, Flow) else [flow]:
            assert isinstance(atom, Task)
            atom.executor = "others"
        options = {**ROUTED, "max_workers": 1, **options}
        return super().load(flow, executor, backend, **options)

    def make(self, executor: object) -> Executor:
        options = Options("r", executor=executor, max_workers=1, **ROUTED)
        return executor_for([Say("s", Path(), executor="others")], options)


@pytest.mark.slow
class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self) -> str:
        return "processes"


class TestThreadsOfTheUser(ExecutorContract):
    @pytest.fixture
    def executor(self, threads: Pool) -> Pool:
        return threads


class TestFuturistsThreadsOfTheUser(ExecutorContract):
    @pytest.fixture
    def executor(self, futurists_threads: Pool) -> Pool:
        return futurists_threads


@pytest.mark.slow
class TestProcessesOfTheUser(RunningContract, FailingContract, StoppingContract):
    """What a task tells has no way back from them."""

    @pytest.fixture
    def executor(self, processes: Pool) -> Pool:
        return processes


@pytest.mark.slow
@pytest.mark.server
class TestDask(ExecutorContract):
    """Over the workers of a client that is the user's: what is said of a cluster of our own has tests of its own."""

    @pytest.fixture
    def executor(self, dask_client: Client) -> Client:
        return dask_client

    def test_nothing_is_left_of_a_run(self, executor: Client, tmp_path: Path) -> None:
        """Of ours: client and scheduler keep as many threads and connections as they once had use for."""
        processes = {child.pid for child in multiprocessing.active_children()}
        for _ in range(3):
            flow = UnorderedFlow("f").add(*[Say(f"s{i}", tmp_path) for i in range(4)])
            self.load(flow, executor).run()
        assert [thread.name for thread in threading.enumerate() if "flowbook" in thread.name] == []
        assert {child.pid for child in multiprocessing.active_children()} == processes
