"""``flowbook watch`` and ``suspend``: a run that another process executes, followed and stopped from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from acceptance.command_line import COMMAND, TIMEOUT_S, Started, Waiting, effects, environment, flowbook
from acceptance.schemas import check
from acceptance.test_cli_run import FAILING
from flowbook.views.schemas import EVENT

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(tmp_path: Path) -> Waiting:
    """A run whose second atom waits, its engine meanwhile hears."""
    return Waiting(tmp_path, "--engine", "parallel")


def test_a_run_is_followed_to_its_end(tmp_path: Path, waiting: Waiting) -> None:
    watch = Started(tmp_path, "watch", "r1", "--exit-status")
    assert watch.read_until("RUNNING         second").splitlines()[:2] == [
        "run r1 of 'steps': 3 atoms",
        "   saved  SUCCESS         first",
    ]
    waiting.let_go()
    code, out, err = watch.end()
    assert (code, out) == (0, "")
    assert [line.split()[1:3] for line in err.splitlines() if line.startswith("    ")] == [
        ["SUCCESS", "second"],
        ["RUNNING", "third"],
        ["SUCCESS", "third"],
    ]
    assert "SUCCESS: run r1 of 'steps': 2 done now, 1 saved earlier; " in err
    assert "look:    flowbook show r1" in err


def test_programs_read_the_events_on_stdout(tmp_path: Path, waiting: Waiting) -> None:
    watch = Started(tmp_path, "watch", "@last", "--json")
    began = watch.read_until("second", "stdout")
    waiting.let_go()
    code, out, err = watch.end()
    assert (code, err) == (0, "")
    documents = [json.loads(line) for line in (began + out).splitlines()]
    for document in documents:
        check(document, EVENT.json_schema())
    told = [(one["event"], one["atom"], one["state"]) for one in documents]
    assert told == [
        ("saved", "first", "SUCCESS"),
        ("flow", "", "RUNNING"),
        ("atom", "second", "RUNNING"),
        ("atom", "second", "SUCCESS"),
        ("atom", "third", "RUNNING"),
        ("atom", "third", "SUCCESS"),
        ("flow", "", "SUCCESS"),
        ("summary", "", "SUCCESS"),
    ]
    assert [one["ts"] for one in documents[1:7]] == sorted(one["ts"] for one in documents[1:7])


@pytest.mark.parametrize(("flow", "code"), [("reverted", 3), ("failed", 1)])
def test_the_exit_status_is_that_of_the_run_where_it_is_asked_for(tmp_path: Path, flow: str, code: int) -> None:
    (tmp_path / "failing.py").write_text(FAILING, encoding="utf-8")
    assert flowbook(tmp_path, "run", f"failing.py::{flow}", "--run-id", "r1").code == code
    assert flowbook(tmp_path, "watch", "r1").code == 0
    watched = flowbook(tmp_path, "watch", "r1", "--exit-status")
    assert watched.code == code
    assert "failed: charge (failing.py:" in watched.err


@pytest.mark.crash
def test_a_run_that_was_killed_is_watched_no_longer(tmp_path: Path, waiting: Waiting) -> None:
    watch = Started(tmp_path, "watch", "r1", "--exit-status")
    watch.read_until("RUNNING         second")
    waiting.process.kill()
    waiting.process.wait()
    code, _, err = watch.end()
    assert code == 4
    assert "nobody works on run r1 any more; it is RUNNING" in err
    assert "1 saved earlier, 1 interrupted, 1 to go" in err
    assert "resume:  flowbook resume r1" in err


def test_ctrl_c_ends_the_watching_and_not_the_run(tmp_path: Path, waiting: Waiting) -> None:
    watch = Started(tmp_path, "watch", "r1")
    watch.read_until("RUNNING         second")
    watch.process.send_signal(signal.SIGINT)
    code, _, err = watch.end()
    assert (code, err) == (130, "not watching any more; run r1 is RUNNING\n")
    waiting.let_go()
    assert waiting.end().code == 0


def test_watching_ends_after_its_time(tmp_path: Path, waiting: Waiting) -> None:
    watched = flowbook(tmp_path, "watch", "r1", "--timeout", "0", "--exit-status")
    assert watched.code == 124
    assert "run r1 is still RUNNING; flowbook watch r1 goes on watching" in watched.err


@pytest.mark.parametrize(("how", "says"), [("quiet", ""), ("none", "")])
def test_what_is_told_of_a_success_may_be_little(tmp_path: Path, waiting: Waiting, how: str, says: str) -> None:
    waiting.let_go()
    waiting.end()
    assert flowbook(tmp_path, "watch", "r1", "--progress", how) == (0, "", says)


def test_a_run_is_suspended_from_outside_and_resumed(tmp_path: Path, waiting: Waiting) -> None:
    suspend = Started(tmp_path, "suspend", "r1")
    suspend.read_until("waiting for what runs (Ctrl-C ends the waiting)")
    watch_until_suspending(tmp_path)
    waiting.let_go()
    code, out, err = suspend.end()
    assert (code, out) == (0, "")
    resume = f"flowbook resume r1 --allow {tmp_path / 'steps.py'}\n"
    assert f"run r1 is SUSPENDED and nobody works on it; to continue it: {resume}" in err
    assert waiting.end().code == 4
    waiting.remove_gate()
    assert flowbook(tmp_path, "resume", "r1", "--allow", "steps.py").code == 0
    assert effects(tmp_path) == ["first", "second", "third"]


def watch_until_suspending(folder: Path) -> None:
    """Wait until the engine has heard the wish."""
    watch = Started(folder, "watch", "r1", "--interval", "0.1", "--json")
    watch.read_until("SUSPENDING", "stdout")
    watch.process.send_signal(signal.SIGINT)
    assert watch.end()[0] == 130


def test_a_run_that_was_asked_to_suspend_does_so_when_what_runs_has_ended(tmp_path: Path, waiting: Waiting) -> None:
    asked = flowbook(tmp_path, "suspend", "r1", "--no-wait")
    assert asked == (0, "", "run r1 was asked to suspend; flowbook watch r1 follows it\n")
    watch = Started(tmp_path, "watch", "r1", "--exit-status", "--interval", "0.1", "--json")
    began = watch.read_until("SUSPENDING", "stdout")
    waiting.let_go()
    code, out, _ = watch.end()
    assert code == 4
    states = [one["state"] for one in map(json.loads, (began + out).splitlines()) if one["event"] == "flow"]
    assert states[-2:] == ["SUSPENDING", "SUSPENDED"]
    assert waiting.end().code == 4
    waiting.remove_gate()
    assert flowbook(tmp_path, "resume", "r1", "--allow", "steps.py").code == 0
    assert effects(tmp_path) == ["first", "second", "third"]


def test_waiting_for_a_suspension_ends_after_its_time(tmp_path: Path, waiting: Waiting) -> None:
    suspended = flowbook(tmp_path, "suspend", "r1", "--timeout", "0")
    assert suspended.code == 124
    assert "it suspends as soon as it can" in suspended.err


def test_ctrl_c_ends_the_waiting_for_a_suspension_and_the_wish_stays(tmp_path: Path, waiting: Waiting) -> None:
    suspend = Started(tmp_path, "suspend", "r1")
    suspend.read_until("waiting for what runs")
    suspend.process.send_signal(signal.SIGINT)
    code, _, err = suspend.end()
    assert code == 130
    assert "run r1 suspends as soon as what runs has ended" in err


def test_where_nobody_works_there_is_nothing_to_suspend(tmp_path: Path, waiting: Waiting) -> None:
    waiting.process.send_signal(signal.SIGINT)
    waiting.read_until("Ctrl-C again")
    waiting.let_go()
    assert waiting.end().code == 4
    assert flowbook(tmp_path, "suspend", "r1") == (
        0,
        "",
        "nothing to suspend: run r1 is SUSPENDED and nobody works on it; "
        f"to continue it: flowbook resume r1 --allow {tmp_path / 'steps.py'}\n",
    )
    waiting.remove_gate()
    assert flowbook(tmp_path, "resume", "r1", "--allow", "steps.py").code == 0
    ended = flowbook(tmp_path, "suspend", "r1")
    assert ended == (0, "", "nothing to suspend: run r1 has ended in SUCCESS; flowbook show r1 shows it\n")


@pytest.mark.parametrize("verb", ["watch", "suspend", "cancel"])
@pytest.mark.parametrize(
    ("words", "code", "todo"),
    [
        (["none"], "FB301", "flowbook list"),
        ([], "FB", "RUN"),
        (["r1", "--timeout", "soon"], "FB100", "--help"),
        (["r1", "--backend", "sqlite:///none/x.db"], "FB103", "make it first"),
    ],
    ids=["a run", "no run", "a time", "a directory that is missing"],
)
def test_a_mistake_is_told_in_four_parts(tmp_path: Path, verb: str, words: list[str], code: str, todo: str) -> None:
    ended = flowbook(tmp_path, verb, *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error[{code}")
    assert all(f"  {part}: " in ended.err for part in ("where", "why", "do"))
    assert todo in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("verb", ["watch", "suspend"])
def test_help_gives_examples_and_exit_codes(tmp_path: Path, verb: str) -> None:
    ended = flowbook(tmp_path, verb, "--help")
    assert ended.code == 0
    assert ended.out.count(f"flowbook {verb} ") >= 4
    assert "124  of watch, suspend and cancel" in ended.out


def test_a_reader_that_goes_away_ends_no_watching(tmp_path: Path, waiting: Waiting) -> None:
    read, written = os.pipe()
    os.close(read)
    waiting.let_go()
    waiting.end()
    command = [*COMMAND, "watch", "r1", "--json", "--exit-status"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), stdout=written, timeout=TIMEOUT_S)
    os.close(written)
    assert done.returncode == 0
