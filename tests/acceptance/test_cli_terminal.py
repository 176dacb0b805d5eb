"""The live display, on a terminal of the test's own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.command_line import TIMEOUT_S, Waiting

pytestmark = pytest.mark.slow


class Terminal:
    """A pseudo terminal of 80 by 24; what was written to it is in ``text``."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.text = ""

    def read_until(self, word: str) -> None:
        while word not in self.text:
            assert select.select([self.master], [], [], TIMEOUT_S)[0], f"{word!r} was not shown: {self.text}"
            self.text += os.read(self.master, 65536).decode()

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


def test_the_header_counts_and_the_running_atom_has_a_line(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path, stderr=terminal.slave, TERM="xterm")
    terminal.read_until("steps - run r1 - 1/3 atoms - 1 running - 0:0")
    terminal.read_until("RUNNING    second")
    assert "SUCCESS         first" in terminal.text
    waiting.let_go()
    ended = waiting.end()
    terminal.read_until("results:")
    assert (ended.code, ended.out) == (0, "a = 1\nb = 2\nc = 20\n")
    assert "SUCCESS         third" in terminal.text
    assert "SUCCESS: run r1 of 'steps': 3 done now" in terminal.text
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l"), "the cursor is hidden"


def test_the_header_says_that_the_run_ends_soon(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path, stderr=terminal.slave, TERM="xterm")
    waiting.process.send_signal(signal.SIGINT)
    terminal.read_until("finishing 1")
    waiting.let_go()
    assert waiting.end().code == 4


def test_a_stop_at_once_gives_the_cursor_back(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path, "--engine", "parallel", stderr=terminal.slave, TERM="xterm")
    waiting.process.send_signal(signal.SIGINT)
    terminal.read_until("finishing 1")
    waiting.process.send_signal(signal.SIGINT)
    terminal.read_until("flowbook resume r1")
    assert waiting.end().code == 130
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l"), "the cursor is hidden"


def test_a_terminal_that_cannot_move_gets_plain_lines(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path, stderr=terminal.slave, TERM="dumb")
    terminal.read_until("RUNNING         second")
    waiting.let_go()
    assert waiting.end().code == 0
    assert "\x1b" not in terminal.text
