"""The suite of executors, over every executor of ours and over pools of a user's."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import futurist
import pytest

from flowbook import Flow, Task
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
