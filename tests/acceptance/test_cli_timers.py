"""What waits for a time, as a shell sees it: the deadline of a run, and the next try of a retry."""

from __future__ import annotations

import json
import re
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from acceptance.command_line import Ended, Started, Waiting, effects, flowbook

pytestmark = pytest.mark.slow

LISTENING = """
from flowbook import LinearFlow, current, task

@task
def listen():
    print("listening")
    while not current().stop_wished:
        pass

flow = LinearFlow("listening").add(listen)
"""

PATIENT = """
from flowbook import Backoff, LinearFlow, Times, task

@task
def knock():
    raise ConnectionError("nobody is there")

flow = LinearFlow("visit", retry=Times(3, "again", backoff=Backoff(1000, maximum=1000))).add(knock)
"""

ENDED = "run r1 was not finished by its deadline, and was cancelled; flowbook explain FB206 tells more"


def shown(folder: Path, *words: str) -> dict[str, Any]:
    """Return what ``flowbook show r1`` tells programs."""
    document: dict[str, Any] = json.loads(flowbook(folder, "show", "r1", *words, "--json").out)
    return document


def suspended(waiting: Waiting) -> Ended:
    """Suspend a run whose second atom waits, and return how it ended."""
    waiting.process.send_signal(signal.SIGINT)
    waiting.read_until("Ctrl-C again")
    waiting.let_go()
    return waiting.end()


# -- a deadline --


def test_a_run_is_reverted_when_its_time_has_passed(tmp_path: Path) -> None:
    (tmp_path / "listening.py").write_text(LISTENING)
    words = "run", "listening.py::flow", "--run-id", "r1", "--engine", "parallel", "--timeout", "0.5"
    ended = flowbook(tmp_path, *words)
    assert (ended.code, ended.out) == (3, "")
    assert ENDED in ended.err
    found = shown(tmp_path)
    assert (found["state"], found["reason"]) == ("REVERTED", "TIMED_OUT")
    assert found["deadline"] is not None
    again = flowbook(tmp_path, *words, "--rerun")  # with a deadline of its own
    assert again.code == 3
    assert shown(tmp_path)["deadline"] > found["deadline"]


def test_a_run_that_is_resumed_gets_the_deadline_that_it_had_not(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    assert suspended(waiting).code == 4
    waiting.remove_gate()
    assert shown(tmp_path)["deadline"] is None
    resumed = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py", "--timeout", "0.000001")
    assert (resumed.code, resumed.out) == (3, "")
    assert ENDED in resumed.err
    assert effects(tmp_path) == ["first", "second"]


def test_a_run_that_has_a_deadline_keeps_it(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path, "--timeout", "1000")
    assert suspended(waiting).code == 4
    waiting.remove_gate()
    deadline = shown(tmp_path)["deadline"]
    resumed = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py", "--timeout", "0.000001")
    assert (resumed.code, resumed.out) == (0, "a = 1\nb = 2\nc = 20\n")
    assert shown(tmp_path)["deadline"] == deadline


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_no_time_is_refused_before_anything_is_written(tmp_path: Path, seconds: str) -> None:
    (tmp_path / "listening.py").write_text(LISTENING)
    refused = flowbook(tmp_path, "run", "listening.py::flow", "--run-id", "r1", "--timeout", seconds)
    assert refused.code == 2
    assert "timeout" in refused.err
    assert "do: " in refused.err
    assert flowbook(tmp_path, "show", "r1").code == 2


# -- a retry that waits --


def test_show_tells_when_a_retry_tries_again(tmp_path: Path) -> None:
    (tmp_path / "patient.py").write_text(PATIENT)
    running = Started(tmp_path, "run", "patient.py::flow", "--run-id", "r1")
    running.read_until("REVERTED")  # and the next try stands in the record since that began
    next_try = datetime.fromisoformat(shown(tmp_path, "again")["atom"]["next_try_at"])
    at = next_try.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert re.search(rf"^again +SUCCESS .*next try at {at}$", flowbook(tmp_path, "show", "r1").out, re.MULTILINE)
    assert re.search(rf"^next try: at {at}$", flowbook(tmp_path, "show", "r1", "again").out, re.MULTILINE)
    running.process.send_signal(signal.SIGINT)
    assert running.end().code == 4
    assert f"next try at {at}" in flowbook(tmp_path, "show", "r1").out
