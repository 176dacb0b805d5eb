"""The suite of executors, over every executor of ours and over pools of a user's."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import futurist
import pytest
from distributed import Client, LocalCluster

from flowbook.testing.executor_suite import ExecutorContract, FailingContract, RunningContract, StoppingContract


@pytest.fixture(autouse=True)
def path_without_folders_of_tests(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give workers, which get the path of the engine's process, none that another test has added for itself."""
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not each.startswith(folder)])


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def futurists_threads() -> Iterator[Executor]:
    with futurist.ThreadPoolExecutor(2) as pool:  # an idle thread of it takes a second to end
        yield pool


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
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


@pytest.mark.slow
class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self) -> str:
        return "processes"


class TestThreadsOfTheUser(ExecutorContract):
    @pytest.fixture
    def executor(self, threads: Executor) -> Executor:
        return threads


class TestFuturistsThreadsOfTheUser(ExecutorContract):
    @pytest.fixture
    def executor(self, futurists_threads: Executor) -> Executor:
        return futurists_threads


@pytest.mark.slow
class TestProcessesOfTheUser(RunningContract, FailingContract, StoppingContract):
    """What a task tells has no way back from them."""

    @pytest.fixture
    def executor(self, processes: Executor) -> Executor:
        return processes


@pytest.mark.slow
class TestDask(ExecutorContract):
    """Over the workers of a client that is the user's: what is said of a cluster of our own has tests of its own."""

    @pytest.fixture
    def executor(self, dask_client: Client) -> Client:
        return dask_client
