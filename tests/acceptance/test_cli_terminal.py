"""The live display, on a terminal of the test's own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from acceptance.command_line import (
    COMMAND,
    STEPS,
    TIMEOUT_S,
    Started,
    Waiting,
    effects,
    environment,
    flowbook,
    part,
)

pytestmark = pytest.mark.slow


NOISY = """
import logging
from flowbook import task

@task(provides="said")
def noisy():
    print("spoken")
    logging.getLogger("user").warning("logged")
    return 1
"""


class Terminal:
    """A pseudo terminal of 80 by 24; what was written to it is in ``text``."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.text = ""

    def read_until(self, word: str) -> None:
        until = time.monotonic() + TIMEOUT_S
        while word not in self.text:
            more = part(self.master, until)
            assert more, f"{word!r} was not shown: {self.text}"
            self.text += more.decode()

    def hang_up(self) -> None:
        """Be no terminal any more: writing to it fails from now on."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        for end in (self.master, self.slave):
            if end >= 0:
                os.close(end)


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


def test_what_a_run_that_goes_on_has_saved_scrolls_up_marked_so(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path)
    waiting.process.kill()
    waiting.end()
    waiting.remove_gate()
    command = [*COMMAND, "resume", "@last", "--allow", "steps.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(TERM="xterm"), stderr=terminal.slave, timeout=TIMEOUT_S
    )
    assert done.returncode == 0
    terminal.read_until("results:")
    assert terminal.text.count("saved  SUCCESS         first") == 1
    assert "resumed run r1: 1 saved, 1 interrupted, 1 to go" in terminal.text


def test_what_an_atom_prints_scrolls_up_with_its_name(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    command = [*COMMAND, "run", "noisy.py::noisy", "--backend", "memory:"]
    ends = {"stdout": terminal.slave, "stderr": terminal.slave}
    subprocess.run(command, cwd=tmp_path, env=environment(TERM="xterm"), timeout=TIMEOUT_S, check=True, **ends)
    terminal.read_until("said = 1")
    assert terminal.text.count("noisy | spoken\r\n") == terminal.text.count("noisy | logged\r\n") == 1


def test_a_run_elsewhere_is_watched_and_suspended_before_the_users_eyes(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path, "--engine", "parallel")
    words = ["watch", "@last", "--interval", "0.1", "--exit-status"]
    watch = Started(tmp_path, *words, stderr=terminal.slave, TERM="xterm")
    terminal.read_until("steps - run r1 - 1/3 atoms - 1 running - ")
    terminal.read_until("RUNNING    second")
    assert flowbook(tmp_path, "suspend", "r1", "--no-wait").code == 0
    terminal.read_until("finishing 1 atom, then the run is SUSPENDED")
    waiting.let_go()
    assert watch.end().code == 4
    terminal.read_until("resume:  flowbook resume r1")
    assert "SUCCESS         second" in terminal.text
    assert waiting.end().code == 4
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l"), "the cursor is hidden"


def test_ctrl_c_in_a_terminal_ends_the_watching_alone(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path)
    watch = Started(tmp_path, "watch", "r1", stderr=terminal.slave, TERM="xterm")
    terminal.read_until("RUNNING    second")
    watch.process.send_signal(signal.SIGINT)
    assert watch.end().code == 130
    terminal.read_until("not watching any more; run r1 is RUNNING")
    waiting.let_go()
    assert waiting.end().code == 0


@pytest.mark.parametrize("way", ["plain", "quiet", "none", "json"])
def test_another_way_of_progress_draws_nothing_on_a_terminal(tmp_path: Path, terminal: Terminal, way: str) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    command = [*COMMAND, "run", "steps.py::flow", "--progress", way]
    subprocess.run(
        command, cwd=tmp_path, env=environment(TERM="xterm"), stderr=terminal.slave, timeout=TIMEOUT_S, check=True
    )
    os.write(terminal.slave, b"that is all")
    terminal.read_until("that is all")
    assert "\x1b" not in terminal.text
    assert (terminal.text == "that is all") == (way in ("quiet", "none"))


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


def test_a_terminal_that_goes_away_stops_no_run(tmp_path: Path, terminal: Terminal) -> None:
    waiting = Waiting(tmp_path, stderr=terminal.slave, TERM="xterm")
    terminal.read_until("RUNNING    second")
    terminal.hang_up()
    waiting.let_go()
    ended = waiting.end()
    assert (ended.code, ended.out) == (0, "a = 1\nb = 2\nc = 20\n")
    assert effects(tmp_path) == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("words", "first_words"),
    [(["list"], ["run", "another-id-0123456789", "0123456789ab"]), (["show", "0123"], ["first", "second", "third"])],
)
def test_tables_have_one_line_for_each_row_and_names_to_copy(
    tmp_path: Path, terminal: Terminal, words: list[str], first_words: list[str]
) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    for run_id in ("0123456789ab", "another-id-0123456789"):
        assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", run_id).code == 0
    command = [*COMMAND, *words]
    env = environment(TERM="xterm")
    subprocess.run(command, cwd=tmp_path, env=env, stdout=terminal.slave, timeout=TIMEOUT_S, check=True)
    terminal.read_until(first_words[-1])
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in terminal.text.splitlines()]
    assert [line[0] for line in lines if line][-3:] == first_words


def test_a_question_that_is_interrupted_says_that_nothing_was_deleted(tmp_path: Path, terminal: Terminal) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "r1").code == 0
    ends = {"stdin": terminal.slave, "stderr": terminal.slave}
    with subprocess.Popen([*COMMAND, "prune"], cwd=tmp_path, env=environment(TERM="xterm"), **ends) as prune:
        try:
            terminal.read_until("delete 1 run")
            _interrupt(prune)
            assert prune.returncode == 130
        finally:
            prune.kill()
    terminal.read_until("interrupted; nothing was done or deleted")
    assert flowbook(tmp_path, "show", "r1").code == 0


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C until it is heard: one that comes right before a read begins is heard when that ends."""
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("run steps", "steps.py"),
        ("import ke", "kept.jsonl"),
        ("export --out ke", "kept.jsonl"),
        ("resume --allow st", "steps.py"),
        ("explain fb90", "FB90"),
        ("show my", "my\\ run"),
        ('show "my', '"my run"'),
    ],
)
def test_bash_completes_files_codes_and_ids_with_blanks(
    tmp_path: Path, terminal: Terminal, typed: str, completed: str
) -> None:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    assert flowbook(tmp_path, "run", "steps.py::flow", "--run-id", "my run").code == 0
    (tmp_path / "kept.jsonl").touch()
    program = tmp_path / "bin" / "flowbook"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "bin" / "rc").write_text(
        flowbook(tmp_path, "completion", "bash").out + "PS1='ready '\n", encoding="utf-8"
    )
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    env = environment(TERM="dumb", PATH=path, INPUTRC=os.devnull)
    ends = {"stdin": terminal.slave, "stdout": terminal.slave, "stderr": terminal.slave}
    command = ["bash", "--noprofile", "--rcfile", str(tmp_path / "bin" / "rc"), "-i"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, start_new_session=True, **ends) as bash:
        try:
            terminal.read_until("ready ")
            os.write(terminal.master, f"flowbook {typed}\t".encode())
            terminal.read_until(completed)
        finally:
            bash.kill()
