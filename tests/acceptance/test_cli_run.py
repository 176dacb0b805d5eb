"""``flowbook run`` and ``resume``, as a shell sees them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from acceptance.command_line import COMMAND, STEPS, TIMEOUT_S, Started, Waiting, effects, environment, flowbook
from acceptance.schemas import check
from flowbook.views.schemas import EVENT

pytestmark = pytest.mark.slow

HELLO = """
from flowbook import LinearFlow, task

@task(provides="greeting")
def greet(name="world"):
    return f"hello {name}"

flow = LinearFlow("hello").add(greet)

def build(count: int, loud: bool = False, names: list[str] | None = None):
    flow = LinearFlow(f"{count}-{loud}-{names}")
    for number in range(count):
        flow.add(greet.atom(name=f"greet{number}", provides=f"greeting{number}"))
    return flow
"""

MORTAL = """
import os, pathlib, signal

from flowbook import LinearFlow, Task

class Step(Task):
    def execute(self): pass

class Die(Task):
    def execute(self):
        if not os.path.exists("died"):
            pathlib.Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

flow = LinearFlow("mortal").add(*[Step(f"s{number}") for number in range(4)], Die("die"))
"""

FAILING = """
import logging

from flowbook import LinearFlow, Task, task

class Reserve(Task):
    def execute(self): return 1
    def revert(self, result): pass

class Stuck(Reserve):
    def revert(self, result): raise OSError("cannot undo")

@task
def charge():
    raise ValueError("no money\\nnone at all\\nnowhere")

@task
def noisy():
    print("spoken")
    logging.getLogger("user").warning("logged")

talking = LinearFlow("talking").add(noisy)
reverted = LinearFlow("reverted").add(Reserve("reserve"), charge)
failed = LinearFlow("failed").add(Reserve("reserve"), Stuck("stuck"), charge)
"""


SHORT = """
import time
from flowbook import LinearFlow, task

@task
def short():
    time.sleep(0.01)

flow = LinearFlow("short").add(*(short.atom(name=str(number)) for number in range(10000)))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO, encoding="utf-8")
    (tmp_path / "failing.py").write_text(FAILING, encoding="utf-8")
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    return tmp_path


def test_a_flow_of_a_file_runs_and_gives_its_results_on_stdout(folder: Path) -> None:
    ended = flowbook(folder, "run", "hello.py::flow", "--run-id", "r1")
    assert (ended.code, ended.out) == (0, "greeting = 'hello world'\n")
    assert "SUCCESS: run r1 of 'hello': 1 done now" in ended.err
    assert "flowbook show r1" in ended.err
    assert (folder / "flowbook.db").exists()


def test_a_flow_of_a_module_runs_with_inputs(folder: Path) -> None:
    ended = flowbook(folder, "run", "hello:flow", "--store", "name=ann")
    assert (ended.code, ended.out) == (0, "greeting = 'hello ann'\n")


def test_a_factory_gets_its_parameters_by_their_annotations(folder: Path) -> None:
    words = ["--param", "count=2", "--param", "loud=yes", "--param", "names=1,b"]
    ended = flowbook(folder, "run", "hello.py::build", *words)
    assert ended.code == 0
    assert "2-True-['1', 'b']" in ended.err
    assert ended.out == "greeting0 = 'hello world'\ngreeting1 = 'hello world'\n"


def test_atoms_may_be_coroutines(folder: Path) -> None:
    coroutine = """
from flowbook import task

@task(provides="greeting")
async def greet():
    return "hello from a loop"
"""
    (folder / "later.py").write_text(coroutine)
    refused = flowbook(folder, "run", "later.py::greet", "--run-id", "r1")
    assert refused.code == 2
    assert "execute of 'greet' is async" in refused.err
    ended = flowbook(folder, "run", "later.py::greet", "--run-id", "r1", "--engine", "parallel", "--executor", "async")
    assert (ended.code, ended.out) == (0, "greeting = 'hello from a loop'\n")


def test_the_storage_of_the_environment_is_used(folder: Path) -> None:
    env = environment(FLOWBOOK_BACKEND="sqlite:///other.db")
    assert flowbook(folder, "run", "hello.py::flow", env=env).code == 0
    assert (folder / "other.db").exists()
    assert not (folder / "flowbook.db").exists()


@pytest.mark.parametrize(("policy", "saved"), [("each", 4), ("every:3:600", 3), ("end", 0)])
def test_a_commit_policy_says_what_a_crash_takes_back(folder: Path, policy: str, saved: int) -> None:
    (folder / "mortal.py").write_text(MORTAL)
    words = "run", "mortal.py::flow", "--run-id", "r", "--commit", policy
    assert flowbook(folder, *words).code == -signal.SIGKILL
    shown = json.loads(flowbook(folder, "show", "r", "--json").out)
    assert shown["counts"].get("SUCCESS", 0) == saved
    ended = flowbook(folder, *words)
    assert ended.code == 0
    assert f"{5 - saved} done now" in ended.err


def test_a_word_that_is_no_commit_policy_is_refused(folder: Path) -> None:
    refused = flowbook(folder, "run", "hello.py::flow", "--commit", "every:0:1")
    assert refused.code == 2
    assert "'every:0:1' is no commit policy: give each, end, or as every:100:1.0" in refused.err


def test_a_finished_run_is_not_run_again_unless_asked(folder: Path) -> None:
    words = "run", "steps.py::flow", "--run-id", "r1"
    assert flowbook(folder, *words).code == 0
    again = flowbook(folder, *words)
    assert (again.code, again.out) == (0, "a = 1\nb = 2\nc = 20\n")
    assert "was finished before" in again.err
    assert "3 saved earlier" in again.err
    assert effects(folder) == ["first", "second", "third"]
    assert flowbook(folder, *words, "--rerun").code == 0
    assert effects(folder) == ["first", "second", "third"] * 2


def test_other_inputs_for_a_recorded_run_are_refused(folder: Path) -> None:
    words = "run", "steps.py::flow", "--run-id", "r1", "--param"
    assert flowbook(folder, *words, "times=2").code == 0
    ended = flowbook(folder, *words, "times=3")
    assert ended.code == 2
    assert ended.err.startswith("error[FB106]")


def test_a_changed_flow_is_refused_on_demand_and_else_told_once_beside_what_is_saved(folder: Path) -> None:
    words = "run", "hello.py::flow", "--run-id", "r1"
    assert flowbook(folder, *words).code == 0
    more = """flow.add(task(lambda: 2, name="more", provides="more"))"""
    (folder / "hello.py").write_text(f"{HELLO}\n{more}\n", encoding="utf-8")
    refused = flowbook(folder, *words, "--on-change", "refuse")
    assert refused.code == 2
    assert refused.err.startswith("error[FB107]")
    again = flowbook(folder, *words)
    assert (again.code, again.out) == (0, "greeting = 'hello world'\n")
    assert again.err.count("'more' is new") == 1
    resumed = flowbook(folder, "resume", "r1", "--allow", "hello.py")
    assert resumed.err.count("hello.py has changed") == 1
    assert resumed.err.count("warning: ") == again.err.count("warning: ") + 1


def test_a_run_that_succeeded_can_be_looked_at_without_its_code(folder: Path) -> None:
    assert flowbook(folder, "run", "hello.py::flow", "--run-id", "r1").code == 0
    refused = flowbook(folder, "resume", "r1")
    assert refused.code == 2
    assert "flowbook show r1 --json shows its results" in refused.err
    assert "shows its results" not in flowbook(folder, "resume", "r1", "--rerun").err


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_stops_no_run(tmp_path: Path, stream: str) -> None:
    waiting = Waiting(tmp_path)
    waiting.hang_up(stream)
    waiting.let_go()
    assert waiting.end().code == 0
    assert effects(tmp_path) == ["first", "second", "third"]


def test_nobody_reads_and_the_exit_code_is_still_that_of_the_run(folder: Path) -> None:
    read, written = os.pipe()
    os.close(read)
    command = [*COMMAND, "run", "failing.py::reverted"]
    done = subprocess.run(command, cwd=folder, env=environment(), stdout=written, stderr=written, timeout=TIMEOUT_S)
    os.close(written)
    assert done.returncode == 3


def test_a_reverted_run_exits_with_3_and_names_the_failure(folder: Path) -> None:
    ended = flowbook(folder, "run", "failing.py::reverted", "--run-id", "r1")
    assert (ended.code, ended.out) == (3, "")
    assert "REVERTED: run r1 of 'reverted': 1 reverted, 1 failed" in ended.err
    assert "failed: charge (failing.py:" in ended.err
    assert "ValueError: no money (+2 lines, -v shows them)" in ended.err


def test_verbose_shows_all_lines_of_a_failure(folder: Path) -> None:
    ended = flowbook(folder, "run", "failing.py::reverted", "-v")
    assert "ValueError: no money\nnone at all\nnowhere\n" in ended.err


@pytest.mark.parametrize(
    ("target", "says"),
    [("hello.py::flow", "results: were kept in memory only"), ("failing.py::reverted", "record:  was kept in memory")],
)
def test_a_run_in_memory_says_what_is_lost(folder: Path, target: str, says: str) -> None:
    assert says in flowbook(folder, "run", target, "--backend", "memory:").err


def test_a_failed_run_exits_with_1_and_names_both_failures(folder: Path) -> None:
    ended = flowbook(folder, "run", "failing.py::failed", "--progress", "quiet")
    assert ended.code == 1
    assert "failed: charge" in ended.err
    assert "revert failed: stuck" in ended.err
    assert "OSError: cannot undo" in ended.err


def test_quiet_says_nothing_of_a_success(folder: Path) -> None:
    ended = flowbook(folder, "run", "hello.py::flow", "--progress", "quiet")
    assert (ended.code, ended.out, ended.err) == (0, "greeting = 'hello world'\n", "")


def test_what_atoms_print_and_log_goes_to_stderr_with_their_names(folder: Path) -> None:
    ended = flowbook(folder, "run", "failing.py::talking", "--progress", "quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "noisy | spoken\nnoisy | logged\n")


def test_none_says_nothing_of_a_run_that_failed(folder: Path) -> None:
    ended = flowbook(folder, "run", "failing.py::reverted", "--progress", "none")
    assert (ended.code, ended.out, ended.err) == (3, "", "")


def test_progress_for_programs_is_a_document_for_each_event(folder: Path) -> None:
    env = environment(FLOWBOOK_PROGRESS="json")
    assert flowbook(folder, "run", "steps.py::flow", "--run-id", "r1", env=env).out == "a = 1\nb = 2\nc = 20\n"
    ended = flowbook(folder, "run", "failing.py::failed", "--run-id", "r2", env=env)
    documents = [json.loads(line) for line in ended.err.splitlines()]
    for document in documents:
        check(document, EVENT.json_schema())
    assert {document["run"] for document in documents} == {"r2"}
    told = [(one["event"], one["atom"], one["state"], one["message"]) for one in documents]
    assert told[0] == ("flow", "", "RUNNING", "")
    assert ("atom", "charge", "FAILURE", "ValueError: no money (+2 lines)") in told
    assert ("atom", "stuck", "REVERT_FAILURE", "OSError: cannot undo") in told
    assert told[-2] == ("flow", "", "FAILURE", "")
    assert told[-1][:3] == ("summary", "", "FAILURE")
    assert told[-1][3].startswith("FAILURE: run r2 of 'failed': 1 done now, 2 failed; ")


def test_a_way_of_progress_that_there_is_not_is_refused_from_the_environment_too(folder: Path) -> None:
    ended = flowbook(folder, "run", "hello.py::flow", env=environment(FLOWBOOK_PROGRESS="loud"))
    assert ended.code == 2
    assert ended.err.startswith("error[FB100]")
    assert "'auto', 'tty', 'plain', 'json', 'quiet', 'none'" in ended.err


def test_the_summary_tells_what_took_long(folder: Path) -> None:
    ended = flowbook(folder, "run", "steps.py::flow", "--run-id", "r1")
    assert re.search(r"time: +\d\.\d\d s in attempts", ended.err)
    assert re.search(r"longest: \d\.\d\d s by first > second > third", ended.err)
    assert re.search(r"slowest: \w+ \d\.\d\d s, \w+ \d\.\d\d s, \w+ \d\.\d\d s", ended.err)


def test_plain_progress_is_one_line_for_each_event(folder: Path) -> None:
    ended = flowbook(folder, "run", "steps.py::flow", "--progress", "plain", "--engine", "parallel")
    told = [line.split()[1:3] for line in ended.err.splitlines() if line.startswith("    ")]
    assert told == [[state, name] for name in ("first", "second", "third") for state in ("RUNNING", "SUCCESS")]


@pytest.mark.crash
def test_a_killed_run_goes_on_with_the_same_command_and_repeats_nothing_saved(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    waiting.process.kill()
    assert waiting.end().code == -signal.SIGKILL
    waiting.remove_gate()
    ended = flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1")
    assert (ended.code, ended.out) == (0, "a = 1\nb = 2\nc = 20\n")
    assert ended.err.count("resumed run r1: 1 saved, 1 interrupted, 1 to go") == 1
    assert ended.err.count("saved  SUCCESS         first") == 1
    assert "2 done now, 1 saved earlier" in ended.err
    assert effects(tmp_path) == ["first", "second", "second", "third"]


@pytest.mark.crash
def test_a_killed_run_is_resumed_only_by_code_that_is_allowed(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    waiting.process.kill()
    waiting.end()
    waiting.remove_gate()
    refused = flowbook(tmp_path, "resume", "r1", "--backend", "sqlite:///flowbook.db")
    file = tmp_path / "steps.py"
    assert refused.code == 2
    assert f"flowbook resume r1 --backend sqlite:///flowbook.db --allow {file}" in refused.err
    assert effects(tmp_path) == ["first", "second"]
    ended = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py")
    assert (ended.code, ended.out) == (0, "a = 1\nb = 2\nc = 20\n")
    assert effects(tmp_path) == ["first", "second", "second", "third"]


def test_a_run_of_a_living_owner_is_refused_unless_taken_over(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    refused = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py")
    assert refused.code == 6
    assert refused.err.startswith("error[FB302]")
    shown = flowbook(tmp_path, "show", "r1")
    assert "owner:" in shown.out
    assert "interrupted" not in shown.out
    waiting.let_go()
    assert waiting.end().code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_finishes_what_runs_and_exits_with_4(tmp_path: Path, number: signal.Signals) -> None:
    waiting = Waiting(tmp_path)
    waiting.process.send_signal(number)
    waiting.read_until("finishing 1 atom, Ctrl-C again to stop now")
    waiting.let_go()
    ended = waiting.end()
    assert ended.code == 4
    assert "SUSPENDED: run r1 of 'steps': 2 done now, 1 to go" in ended.err
    assert f"flowbook resume r1 --allow {tmp_path / 'steps.py'}" in ended.err
    waiting.remove_gate()
    assert flowbook(tmp_path, "resume", "r1", "--allow", "steps.py").code == 0
    assert effects(tmp_path) == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("engine", "number"), [("serial", signal.SIGINT), ("parallel", signal.SIGINT), ("parallel", signal.SIGTERM)]
)
def test_a_second_signal_stops_at_once_and_the_run_can_be_resumed(
    tmp_path: Path, engine: str, number: signal.Signals
) -> None:
    waiting = Waiting(tmp_path, "--engine", engine)
    waiting.process.send_signal(number)
    waiting.read_until("Ctrl-C again")
    waiting.process.send_signal(number)
    ended = waiting.end()
    assert ended.code == 130
    assert "resume: flowbook resume r1" in ended.err
    waiting.remove_gate()
    again = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py")
    assert again.code == 0
    assert "1 saved, 1 interrupted, 1 to go" in again.err


def test_of_short_atoms_none_is_started_after_sigterm_was_heard(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text(SHORT, encoding="utf-8")
    run = Started(tmp_path, "run", "short.py::flow", "--run-id", "r1", "--progress", "plain")
    run.read_until("SUCCESS")
    run.process.terminate()
    run.read_until("Ctrl-C again to stop now")
    ended = run.end()
    assert ended.code == 4
    assert ended.err.count(" RUNNING ") <= 1  # the one that was just to be told of
    assert "SUSPENDED: run r1 of 'short': " in ended.err
    assert flowbook(tmp_path, "show", "r1").out.count("SUSPENDED") == 1


@pytest.mark.parametrize("word", ["@last", "@failed", "r"])
def test_a_run_is_resumed_by_a_word_for_it(folder: Path, word: str) -> None:
    assert flowbook(folder, "run", "failing.py::reverted", "--run-id", "r1").code == 3
    refused = flowbook(folder, "resume", word)
    assert refused.code == 2
    assert f"flowbook resume r1 --allow {folder / 'failing.py'}" in refused.err
    assert flowbook(folder, "resume", word, "--allow", "failing.py", "--rerun").code == 3


def test_without_a_word_and_a_terminal_there_is_nothing_to_resume(folder: Path) -> None:
    ended = flowbook(folder, "resume")
    assert ended.code == 2
    assert ended.err.startswith("error[FB")
    assert all(f"  {part}: " in ended.err for part in ("where", "why", "do"))


@pytest.mark.parametrize("closed", [["2>&-"], ["1>&-"], ["0<&-"], ["0<&-", "1>&-", "2>&-"]], ids=" ".join)
@pytest.mark.parametrize("engine", ["serial", "parallel"])
def test_a_run_goes_on_without_the_streams_that_are_closed(tmp_path: Path, closed: list[str], engine: str) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    command = [*COMMAND, "run", "steps.py::flow", "--run-id", "r1", "--engine", engine]
    with_shell = f"exec {' '.join(command)} {' '.join(closed)}"
    done = subprocess.run(with_shell, shell=True, cwd=tmp_path, env=environment(), timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0
    assert effects(tmp_path) == ["first", "second", "third"]
    assert flowbook(tmp_path, "list", "--json").out.count('"SUCCESS"') == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("list >&-", 0),
        ("show r1 >&-", 0),
        ("list --json 2>&-", 0),
        ("show <&-", 2),
        ("prune <&-", 2),
        ("import - <&-", 2),
        ("watch r1 2>&-", 0),
        ("graph r1 >&-", 0),
        ("explain >&-", 0),
        ("completion bash >&-", 0),
        ("nonsense 2>&-", 2),
    ],
)
def test_a_stream_that_is_closed_is_no_terminal_and_has_no_reader(tmp_path: Path, words: str, code: int) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1").code == 0
    done = subprocess.run(
        f"exec {' '.join(COMMAND)} {words}",
        shell=True, cwd=tmp_path, env=environment(), timeout=TIMEOUT_S, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code
    assert "FB900" not in done.stderr
    assert code == 0 or "2>" in words or all(f"  {part}: " in done.stderr for part in ("where", "why", "do"))


def test_a_terminal_that_is_closed_suspends_the_run_however_often_it_says_so(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    waiting.process.send_signal(signal.SIGHUP)
    waiting.read_until("finishing 1 atom")
    waiting.process.send_signal(signal.SIGHUP)
    waiting.let_go()
    assert waiting.end().code == 4
    assert effects(tmp_path) == ["first", "second"]


def test_a_run_under_nohup_does_not_hear_that_its_terminal_is_closed(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        waiting = Waiting(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    waiting.process.send_signal(signal.SIGHUP)
    waiting.let_go()
    assert waiting.end().code == 0


def test_a_finished_run_with_a_new_flow_is_told_of_in_the_words_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1").code == 0
    more = STEPS.replace("first, second, third)", "first, second, third, third.atom('fourth', provides='d'))")
    (tmp_path / "steps.py").write_text(more, encoding="utf-8")
    ended = flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1")
    assert "--rerun runs all" in ended.err
    assert "rerun=True" not in ended.err
