"""``flowbook cancel``: a run of another process is reverted, and one that nobody works on, when it is resumed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from acceptance.command_line import Started, Waiting, effects, flowbook

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(tmp_path: Path) -> Waiting:
    """A run whose second atom waits, its engine meanwhile hears."""
    return Waiting(tmp_path, "--engine", "parallel")


def suspended(waiting: Waiting) -> None:
    """Let a run be suspended before its third atom."""
    waiting.process.send_signal(signal.SIGINT)
    waiting.read_until("Ctrl-C again")
    waiting.let_go()
    assert waiting.end().code == 4


def test_a_run_is_cancelled_from_outside(tmp_path: Path, waiting: Waiting) -> None:
    cancel = Started(tmp_path, "cancel", "r1")
    cancel.read_until("run r1 was asked to revert; waiting for what runs (Ctrl-C ends the waiting)")
    waiting.read_until("run r1 is cancelled; what cannot be stopped is waited for: second")
    waiting.let_go()
    code, out, err = cancel.end()
    assert (code, out) == (0, "")
    assert "run r1 has ended in REVERTED; flowbook show r1 shows it" in err
    ended = waiting.end()
    assert ended.code == 3
    assert "run r1 was cancelled" in ended.err
    assert effects(tmp_path) == ["first", "second"]
    assert "state:    REVERTED (cancelled)" in flowbook(tmp_path, "show", "r1").out
    shown = json.loads(flowbook(tmp_path, "show", "r1", "--json").out)
    assert (shown["state"], shown["reason"], shown["deadline"]) == ("REVERTED", "CANCELLED", None)


def test_waiting_for_it_ends_after_its_time_and_the_wish_stays(tmp_path: Path, waiting: Waiting) -> None:
    cancelled = flowbook(tmp_path, "cancel", "r1", "--timeout", "0")
    assert cancelled.code == 124
    assert "it reverts as soon as it can" in cancelled.err
    waiting.read_until("run r1 is cancelled")
    waiting.let_go()
    assert waiting.end().code == 3


def test_word_may_only_be_left(tmp_path: Path, waiting: Waiting) -> None:
    asked = flowbook(tmp_path, "cancel", "r1", "--no-wait")
    assert asked == (0, "", "run r1 was asked to revert; flowbook watch r1 follows it\n")
    waiting.read_until("run r1 is cancelled")
    waiting.let_go()
    assert waiting.end().code == 3


def test_a_run_that_nobody_works_on_is_reverted_when_it_is_resumed(tmp_path: Path, waiting: Waiting) -> None:
    suspended(waiting)
    resume = f"flowbook resume r1 --allow {tmp_path / 'steps.py'}"
    told = f"nobody works on run r1; it is reverted when it is resumed: {resume}\n"
    assert flowbook(tmp_path, "cancel", "r1") == (0, "", told)
    waiting.remove_gate()
    resumed = flowbook(tmp_path, "resume", "r1", "--allow", "steps.py")
    assert resumed.code == 3
    assert "run r1 was cancelled" in resumed.err
    assert effects(tmp_path) == ["first", "second"]


def test_there_is_nothing_to_cancel_of_a_run_that_has_ended(tmp_path: Path, waiting: Waiting) -> None:
    waiting.let_go()
    assert waiting.end().code == 0
    told = "nothing to cancel: run r1 has ended in SUCCESS; flowbook show r1 shows it\n"
    assert flowbook(tmp_path, "cancel", "r1") == (0, "", told)
