"""Displays tell of a run, and take in what they cannot write."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace

import pytest
from rich.console import Console

from flowbook.cli.live import LiveDisplay
from flowbook.cli.logs import logs_told
from flowbook.cli.outputs import outputs_told
from flowbook.cli.progress import (
    Display,
    JsonDisplay,
    NoDisplay,
    PlainDisplay,
    QuietDisplay,
    Tally,
    choose,
    display_for,
)
from flowbook.cli.session import Session
from flowbook.engines.context import CURRENT, Context
from flowbook.events import PROGRESS, Notice
from flowbook.states import Direction, FlowState
from flowbook.views.details import FailureView

LOG = logging.getLogger("flowbook")
BEGUN = Notice("r1", "steps", "task", "second", "RUNNING", "PENDING", 0.0, 1)
ENDED = replace(BEGUN, state="SUCCESS", old_state="RUNNING", at=1.0)
BROKEN = replace(ENDED, state="FAILURE")
TOLD = replace(BEGUN, state=PROGRESS, old_state="RUNNING", progress=0.25)


class Unread(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@dataclass
class Known:
    """What is known of a run besides its notices."""

    names: Sequence[str] = ()
    number: int = 1
    most: int | None = None

    def saved(self) -> Sequence[str]:
        return self.names

    def failure(self, notice: Notice) -> FailureView | None:
        return FailureView("ValueError", "no money", "")

    def attempt(self, notice: Notice) -> tuple[int, int | None]:
        return self.number, self.most


def tally(known: Known | None = None, atoms: int = 3) -> Tally:
    return Tally("r1", "steps", atoms, known or Known(), "here:1", began=0.0)


def shown(known: Known | None, *notices: Notice, lines: Sequence[str] = (), height: int = 24) -> str:
    """Return what the live display writes of notices, and of lines that the second atom prints."""
    file = io.StringIO()
    display = LiveDisplay(tally(known), Console(file=file, force_terminal=True, width=120, height=height))
    display.entered()
    for notice in notices:
        display.hear(notice)
    for line in lines:
        display.output("second", line)
    display.open()
    display.close()
    return file.getvalue()


@pytest.mark.parametrize(("notices", "row"), [((BEGUN, TOLD), "second  ██░░░░░░░░ 25%"), ((BEGUN,), "second")])
def test_a_running_atom_is_shown_with_the_progress_it_tells(notices: Sequence[Notice], row: str) -> None:
    text = shown(None, *notices)
    assert row in text
    assert ("%" in text) == (TOLD in notices)


def test_the_header_tells_the_run_its_counts_and_its_owner() -> None:
    text = shown(Known(["first"]), BEGUN)
    assert "steps - run r1 - 1/3 atoms - 1 running - " in text
    assert " - here:1" in text
    assert "retrying" not in text


def test_an_attempt_that_is_not_the_first_is_told_with_how_many_there_may_be() -> None:
    assert "1 retrying" in shown(Known(number=2, most=5), BEGUN)
    assert "second  attempt 2/5" in shown(Known(number=2, most=5), BEGUN)
    alone = shown(Known(number=2), BEGUN)
    assert "second  attempt 2" in alone
    assert "attempt 2/" not in alone


def test_what_an_atom_prints_scrolls_up_with_its_name_and_the_last_line_stands_in_its_row() -> None:
    text = shown(None, BEGUN, lines=["one", "two", ""])
    assert text.count("second | one") == text.count("second | two") == 1
    assert "second  | two" in text


def test_what_was_saved_earlier_scrolls_up_once_marked_so_and_many_in_one_line() -> None:
    text = shown(Known([f"atom {number}" for number in range(40)]), BEGUN)
    assert text.count("saved  SUCCESS         atom 9") == 1
    assert "atom 10" not in text
    assert "saved  and 30 more" in text


def test_the_picture_leaves_four_rows_of_the_terminal_free() -> None:
    running = [replace(BEGUN, atom=f"atom {number}") for number in range(40)]
    text = shown(None, *running, height=12)
    assert "atom 5" in text
    assert "atom 6" not in text
    assert "+34 more" in text


def test_a_terminal_that_has_no_blocks_gets_a_bar_of_plain_characters() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    display = LiveDisplay(tally(), Console(file=file, force_terminal=True, width=80))
    display.hear(BEGUN)
    display.hear(TOLD)
    display.open()
    display.close()
    file.seek(0)
    assert "second  ##-------- 25%" in file.read()


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


def test_a_plain_display_tells_each_event_and_why_an_atom_failed(capsys: pytest.CaptureFixture[str]) -> None:
    told(PlainDisplay(tally(Known(["first"]))))
    assert capsys.readouterr().err.splitlines() == [
        "run r1 of 'steps': 3 atoms",
        "   saved  SUCCESS         first",
        "    0.00  RUNNING         second",
        "second | hello",
        "    1.00  FAILURE         second  1.00 s  ValueError: no money",
        "    0.00  RUNNING         second",
        "    1.00  SUCCESS         second  1.00 s",
        "warning: beware",
        "finishing 0 atoms, Ctrl-C again to stop now",
    ]


def test_a_quiet_display_tells_failures_warnings_and_what_atoms_print(capsys: pytest.CaptureFixture[str]) -> None:
    display = QuietDisplay(tally(Known(["first"])))
    told(display)
    assert capsys.readouterr().err.splitlines() == [
        "second | hello",
        "    1.00  FAILURE         second  1.00 s  ValueError: no money",
        "warning: beware",
    ]
    assert [display.sums_up(state) for state in (FlowState.SUCCESS, FlowState.FAILURE)] == [False, True]


def test_no_display_tells_only_what_atoms_print(capsys: pytest.CaptureFixture[str]) -> None:
    display = NoDisplay(tally(Known(["first"])))
    told(display)
    assert capsys.readouterr().err == "second | hello\n"
    assert not display.sums_up(FlowState.FAILURE)


def test_a_display_for_programs_tells_all_as_documents(capsys: pytest.CaptureFixture[str]) -> None:
    display = JsonDisplay(tally(Known(["first"])))
    told(display)
    display.hear(BEGUN)
    display.hear(TOLD)
    display.hear(replace(BEGUN, kind="flow", atom="", state="SUSPENDED", attempt=0))
    display.say_ending(FlowState.SUSPENDED, "SUSPENDED: run r1")
    documents = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    names = ["schema", "ts", "run", "atom", "event", "state", "attempt", "progress", "message"]
    assert all(list(one) == names for one in documents)
    assert {one["schema"] for one in documents} == {"flowbook.event/1"}
    assert [(one["event"], one["atom"], one["state"], one["progress"], one["message"]) for one in documents] == [
        ("saved", "first", "SUCCESS", None, ""),
        ("atom", "second", "RUNNING", None, ""),
        ("output", "second", "", None, "hello"),
        ("atom", "second", "FAILURE", None, "ValueError: no money"),
        ("atom", "second", "RUNNING", None, ""),
        ("atom", "second", "SUCCESS", None, ""),
        ("message", "", "", None, "warning: beware"),
        ("message", "", "", None, "finishing 0 atoms, Ctrl-C again to stop now"),
        ("atom", "second", "RUNNING", None, ""),
        ("progress", "second", "RUNNING", 0.25, ""),
        ("flow", "", "SUSPENDED", None, ""),
        ("summary", "", "SUSPENDED", None, "SUSPENDED: run r1"),
    ]
    assert documents[1]["ts"] == "1970-01-01T00:00:00.000Z"


def told(display: Display) -> None:
    """Have a display hear of an atom that fails, goes again and succeeds, and say this and that."""
    display.open()
    display.entered()
    display.hear(BEGUN)
    display.output("second", "hello")
    display.hear(BROKEN)
    display.hear(BEGUN)
    display.hear(ENDED)
    display.say("warning: beware")
    display.say_suspending()
    display.close()


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("plain", PlainDisplay),
        ("json", JsonDisplay),
        ("quiet", QuietDisplay),
        ("none", NoDisplay),
        ("tty", LiveDisplay),
    ],
)
def test_each_way_has_its_display(how: str, kind: type[Display]) -> None:
    assert type(display_for(how, tally())) is kind


def test_where_there_is_no_terminal_auto_is_plain() -> None:
    assert choose("auto") == "plain"


def test_a_warning_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_told(Session()):
        LOG.warning("the flow has changed: %s", "more")
        LOG.warning("the flow has changed: %s", "more")
    assert capsys.readouterr().err == "warning: the flow has changed: more\n"


# -- what atoms print --


def printed(text: str, atom: str = "") -> None:
    """Print as an atom does."""
    where = copy_context()
    if atom:
        where.run(CURRENT.set, Context("r1", atom, Direction.EXECUTE, 0, 1))
    where.run(print, text, end="")


def test_what_is_printed_is_told_line_by_line_with_the_atom(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[tuple[str, str]] = []
    with outputs_told(lambda atom, line: lines.append((atom, line))):
        printed("one\ntw", "first")
        printed("o\n", "first")
        printed("half", "first")
        printed("\n", "second")
        printed("10%\r20%\r", "second")
        printed("nobody's\n")
        other = threading.Thread(target=printed, args=("at once", "third"))
        other.start()
        other.join()
    expected = ["first one", "first two", "first half", "second ", "second 20%", " nobody's", "third at once"]
    assert [" ".join(line) for line in lines] == expected
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_what_is_logged_is_told_too_wherever_its_handler_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    logger, handler = logging.getLogger("some user"), logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    logger.propagate = False
    with outputs_told(lambda atom, line: lines.append(line)):
        logger.warning("beware")
    logger.warning("again")
    logger.removeHandler(handler)
    assert lines == ["beware"]
    assert capsys.readouterr().err == "again\n"


def test_what_stands_in_for_a_stream_is_no_terminal_and_else_like_it() -> None:
    encoding = sys.stdout.encoding
    with outputs_told(lambda atom, line: None):
        sys.stdout.writelines(["one", "two"])
        sys.stdout.flush()
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding == encoding
