"""Displays tell of a run, and take in what they cannot write."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from flowbook.cli.live import LiveDisplay
from flowbook.cli.logs import logs_told
from flowbook.cli.progress import PlainDisplay, Tally
from flowbook.cli.session import Session
from flowbook.events import Notice

LOG = logging.getLogger("flowbook")
BEGUN = Notice("r1", "steps", "task", "second", "RUNNING", "PENDING", 0.0, 1)


class Unread(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def tally(progress: float | None = None) -> Tally:
    return Tally("r1", "steps", 3, lambda notice: "", lambda: 0, lambda atom: progress)


@pytest.mark.parametrize(("progress", "shown"), [(0.25, "second  25%"), (None, "second")])
def test_a_running_atom_is_shown_with_the_progress_it_tells(progress: float | None, shown: str) -> None:
    file = io.StringIO()
    display = LiveDisplay(tally(progress), Console(file=file, force_terminal=True, width=80))
    display.hear(BEGUN)
    display.open()
    display.close()
    assert shown in file.getvalue()
    assert ("%" in file.getvalue()) == (progress is not None)


def test_a_plain_display_says_once_which_run_was_entered(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay(tally())
    display.open()
    assert capsys.readouterr().err == ""
    display.entered()
    display.entered()
    assert capsys.readouterr().err == "run r1 of 'steps': 3 atoms\n"


def test_a_plain_display_takes_in_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Unread())
    PlainDisplay(tally()).hear(BEGUN)


def test_a_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_told(Session()):
        LOG.warning("the flow has changed: %s", "more")
        LOG.warning("the flow has changed: %s", "more")
    assert capsys.readouterr().err == "warning: the flow has changed: more\n"
