"""Worker processes: what travels to them, what becomes of it when they die, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowbook import AtomState, Flow, FlowState, LinearFlow, Notice, Task, Times, UnorderedFlow, engines, task
from flowbook.engines.engine import Engine
from flowbook.engines.executors import worker
from flowbook.engines.executors.errors import NotPicklable, WorkerLost
from flowbook.exceptions import EncodeError
from flowbook.failure import Failure
from flowbook.persistence import fetch
from flowbook.testing.executor_tasks import FailAtFirst, Give, Say, noted, wait_until
from unit.engines import process_tasks as tasks

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def path_without_folders_of_tests(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give workers, which get the path of the engine's process, none that another test has added for itself."""
    folder = str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr(sys, "path", [each for each in sys.path if not each.startswith(folder)])


def _load(flow: Flow | Task, **options: Any) -> Engine:
    return engines.load(flow, **{"engine": "parallel", "executor": "processes", "max_workers": 2, **options})


def _end(engine: Engine) -> tuple[FlowState, dict[str, Failure]]:
    for _ in engine.run_iter():
        pass
    return engine.state, engine.storage.get_failures()


# -- what travels --


def test_a_task_that_cannot_be_pickled_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    @task
    def local() -> None: ...

    flow = LinearFlow("f").add(Say("first", tmp_path), local)
    engine = _load(flow)
    with pytest.raises(NotPicklable) as raised:
        engine.run()
    assert (engine.state, noted(tmp_path)) == (FlowState.SUSPENDED, [])
    assert str(raised.value) == "atom 'local' cannot travel between processes: local._function is a function"
    assert Path(__file__).name in raised.value.where
    assert "local object" in raised.value.why
    assert 'executor="threads"' in raised.value.todo


def test_the_part_of_a_task_that_cannot_be_pickled_is_named() -> None:
    holding = Give("holding", {"connections": [1, tasks.Holding()]})
    with pytest.raises(NotPicklable, match=r"holding\.value\['connections'\]\[1\]\.lock is a lock") as raised:
        _load(holding).run()
    assert "cannot pickle '_thread.lock' object" in raised.value.why


def test_an_argument_that_cannot_be_pickled_fails_the_attempt_and_is_named() -> None:
    state, failures = _end(_load(tasks.Take("take"), store={"given": threading.Lock()}, never_resolve=True))
    assert state is FlowState.FAILURE
    assert isinstance(failures["take"].exception, NotPicklable)
    assert (
        failures["take"].exception_str == "argument 'given' of 'take' cannot travel between processes: given is a lock"
    )


def test_a_result_that_cannot_be_pickled_fails_the_attempt_and_is_named() -> None:
    _, failures = _end(_load(tasks.Hold("hold"), never_resolve=True))
    text = "the result of 'hold' cannot travel between processes: result['held'].lock is a lock"
    assert failures["hold"].exception_str == text


def test_what_the_worker_cannot_make_again_fails_the_attempt() -> None:
    _, failures = _end(_load(tasks.Take("take"), store={"given": tasks.OneWay()}, never_resolve=True))
    assert "RuntimeError: only one way" in str(failures["take"].exception.why)  # type: ignore[union-attr]


def test_what_the_engine_cannot_make_again_fails_the_attempt() -> None:
    _, failures = _end(_load(tasks.ReturnOneWay("give"), never_resolve=True))
    assert failures["give"].exception_str == "only one way"


def test_an_exception_tells_where_it_happened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bad") as raised:
        _load(FailAtFirst("fail", tmp_path, "ValueError")).run()
    assert "in a worker process: Traceback" in raised.value.__notes__[0]
    assert "executor_tasks.py" in raised.value.__notes__[0]


def test_what_a_thread_tells_when_its_attempt_is_over_is_not_heard(tmp_path: Path) -> None:
    engine = _load(LinearFlow("f").add(tasks.LeaveTelling("leave"), Give("next", 3, provides="three")), max_workers=1)
    engine.run()
    assert engine.storage.fetch("three") == 3
    assert engine.storage.get_metadata("next") == {}


def test_a_secret_that_a_worker_has_seen_is_masked_and_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "worker-7f31-hidden"
    monkeypatch.setenv("SECRET_OF_WORKER", text)
    for call in ("raise", "tell"):
        engine = _load(tasks.Reveal("reveal", "SECRET_OF_WORKER", call), never_resolve=True)
        _end(engine)
        failure = engine.storage.get_failures().get("reveal")
        shown = f"{failure.exception_str} {failure.traceback_str}" if failure else ""
        shown += str(engine.storage.get_metadata("reveal"))
        assert "***" in shown
        assert text not in shown
    with fetch("memory:?strict=true") as backend:
        engine = _load(tasks.Reveal("reveal", "SECRET_OF_WORKER", "return"), backend=backend, never_resolve=True)
        _, failures = _end(engine)
        assert isinstance(failures["reveal"].exception, EncodeError)


def test_a_task_may_use_processes_of_its_own() -> None:
    engine = _load(tasks.UseProcesses("use", provides="sum"))
    engine.run()
    assert engine.storage.fetch("sum") == 6


# -- death --


@pytest.mark.parametrize(
    ("how", "said"),
    [("exit", "ended with exit code 7"), ("kill", "was ended by SIGKILL"), ("crash", "was ended by SIGSEGV")],
)
def test_a_worker_that_dies_fails_its_attempt_and_all_is_undone(tmp_path: Path, how: str, said: str) -> None:
    engine = _load(LinearFlow("f").add(Say("first", tmp_path), tasks.Die("die", tmp_path, how)))
    with pytest.raises(WorkerLost) as raised:
        engine.run()
    assert str(raised.value) == f"the worker process of 'die' {said}"
    assert raised.value.why
    assert "retry" in raised.value.todo
    assert engine.state is FlowState.REVERTED
    assert noted(tmp_path) == ["first", "die", "revert die", "revert first"]


def test_a_death_is_seen_where_the_system_has_no_descriptor_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    _, failures = _end(_load(tasks.Die("die", tmp_path, "kill"), never_resolve=True))
    assert failures["die"].exception_str == "the worker process of 'die' was ended by SIGKILL"


def test_a_death_is_that_of_one_attempt_and_of_no_other(tmp_path: Path) -> None:
    names = [f"s{i}" for i in range(20)]
    flow = UnorderedFlow("f").add(*[Say(name, tmp_path) for name in names[:10]], tasks.Die("die", tmp_path, "kill"))
    flow.add(*[Say(name, tmp_path) for name in names[10:]], tasks.Die("die too", tmp_path, "exit"))
    engine = _load(flow, never_resolve=True)
    _, failures = _end(engine)
    assert set(failures) == {"die", "die too"}
    states = {engine.storage.get_atom_state(name) for name in names if name in noted(tmp_path)}
    assert states == {AtomState.SUCCESS}
    assert len(noted(tmp_path)) == len(set(noted(tmp_path)))


def test_a_retry_may_try_again_what_a_worker_died_of(tmp_path: Path) -> None:
    flow = LinearFlow("f", retry=Times(3)).add(tasks.Die("die", tmp_path, "kill", times=2))
    engine = _load(flow)
    engine.run()
    assert noted(tmp_path) == ["die", "revert die", "die", "revert die", "die"]


def test_an_attempt_that_a_dead_worker_had_not_begun_gets_another(tmp_path: Path) -> None:
    engine = _load(LinearFlow("f").add(tasks.Pid("a", provides="a"), tasks.Pid("b", provides="b")))

    def kill(notice: Notice) -> None:
        if notice.atom == "a":
            os.kill(engine.storage.fetch("a"), signal.SIGKILL)

    engine.atom_notifier.register("SUCCESS", kill)
    engine.run()
    assert engine.storage.fetch("a") != engine.storage.fetch("b")


def test_a_death_is_seen_although_a_child_of_the_worker_lives_on(tmp_path: Path) -> None:
    began = time.monotonic()
    _, failures = _end(_load(tasks.ForkAndDie("die", tmp_path), never_resolve=True))
    os.kill(int((tmp_path / "child").read_text(encoding="utf-8")), signal.SIGKILL)
    assert isinstance(failures["die"].exception, WorkerLost)
    assert time.monotonic() - began < 4


def test_a_worker_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GRACE_S", 0.2)
    engine = _load(tasks.LeaveThread("leave", provides="pid"))
    engine.run()
    assert not _lives(engine.storage.fetch("pid"))


# -- programs --

_PROGRAM = """
    import sys
    from pathlib import Path
    from flowbook import LinearFlow, UnorderedFlow, engines
    from flowbook.testing.executor_tasks import Say, Wait
    from unit.engines.process_tasks import WaitWithPid

    folder = Path(sys.argv[1])
"""


def _program(tmp_path: Path, text: str, *, guarded: bool = True) -> Path:
    path = tmp_path / "program.py"
    body = textwrap.dedent(text).strip()
    if guarded:
        body = 'if __name__ == "__main__":\n' + textwrap.indent(body, "    ")
    path.write_text(f"{textwrap.dedent(_PROGRAM)}\n{body}\n", encoding="utf-8")
    return path


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start programs in process groups of their own."""
    programs = []

    def start(path: Path) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, str(path), str(tmp_path)]
        program = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True
        )
        programs.append(program)
        return program

    yield start
    for program in programs:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


Start = Callable[[Path], "subprocess.Popen[str]"]


def test_a_program_without_a_guard_is_told_what_is_missing(tmp_path: Path, started: Start) -> None:
    text = 'engines.run(Say("a", folder), engine="parallel", executor="processes")'
    _, errors = started(_program(tmp_path, text, guarded=False)).communicate(timeout=60)
    assert "a worker process ended with exit code 1 as it began" in errors
    assert 'let the program run its flow below: if __name__ == "__main__":' in errors
    assert noted(tmp_path) == []


def test_a_program_that_was_typed_in_is_told_so(tmp_path: Path) -> None:
    text = textwrap.dedent("""
        from flowbook import engines, task
        @task
        def typed(): ...
        engines.run(typed, engine="parallel", executor="processes")
    """)
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "atom 'typed' cannot travel between processes: it is defined in __main__, which is no file" in done.stderr


def test_names_of_the_main_module_are_the_same_in_workers(tmp_path: Path, started: Start) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        textwrap.dedent("""
            from flowbook import engines, task
            class Own(Exception):
                pass
            @task
            def work():
                raise Own("mine")
            if __name__ == "__main__":
                engine = engines.load(work, engine="parallel", executor="processes", never_resolve=True)
                *_, state = engine.run_iter()
                failure = engine.storage.get_failures()["work"]
                print(failure.check(Own) is Own, type(failure.exception) is Own)
        """),
        encoding="utf-8",
    )
    output, errors = started(path).communicate(timeout=60)
    assert (output, errors) == ("True True\n", "")


_TWO_THAT_WAIT = """
    flow = UnorderedFlow("f").add(*[WaitWithPid(f"w{i}", folder) for i in range(6)])
    engine = engines.load(flow, engine="parallel", executor="processes", max_workers=2)
    engine.notifier.register("SUSPENDING", lambda notice: (folder / "gate").touch())  # what is queued is withdrawn
    try:
        engine.run()
    finally:
        print(engine.state, flush=True)
"""


def test_ctrl_c_suspends_and_workers_end_what_they_run(tmp_path: Path, started: Start) -> None:
    program = started(_program(tmp_path, _TWO_THAT_WAIT))
    wait_until(lambda: len(noted(tmp_path)) == 2)
    pids = [int(pid) for pid in noted(tmp_path)]
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    output, errors = program.communicate(timeout=60)
    assert output == "SUSPENDED\n"
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert len(noted(tmp_path)) == 2
    assert not any(map(_lives, pids))


def test_workers_end_with_an_engine_that_is_killed(tmp_path: Path, started: Start) -> None:
    program = started(_program(tmp_path, _TWO_THAT_WAIT))
    wait_until(lambda: len(noted(tmp_path)) == 2)
    pids = [int(pid) for pid in noted(tmp_path)]
    assert all(map(_lives, pids))
    os.kill(program.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(_lives, pids)))


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_program_ends_that_shuts_no_executor_down_before_its_end(
    tmp_path: Path, started: Start, executor: str
) -> None:
    text = f"""
        from flowbook.engines import executors
        from flowbook.engines.context import Outcome

        def values():
            made = executors.make("{executor}", 2)
            try:
                yield made.submit(Outcome, 3, None, None).result().value
            finally:
                made.shutdown()

        left_open = values()
        print(next(left_open))
    """
    output, errors = started(_program(tmp_path, text)).communicate(timeout=60)
    assert (output, errors) == ("3\n", "")


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
