"""What somebody sees whose script was killed and who runs it again: it says what was saved, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys

import flowbook
from flowbook import LinearFlow, engines, task


def make(name):
    @task(name=name, provides=f"result of {name}")
    def work():
        if name == "t4" and flowbook.current().attempt == 1:
            with open("here", "w") as here:
                here.write("in the middle")
            open("never").read()
        return name

    return work


flow = LinearFlow("ten").add(*[make(f"t{n}") for n in range(1, 11)])
results = engines.run(flow, backend="sqlite:///runs.db", run_id="r1")
print(len(results), "results")
"""


def test_the_same_command_says_what_was_saved_and_finishes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    for name in ("here", "never"):
        os.mkfifo(tmp_path / name)
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as first:
        assert (tmp_path / "here").read_text() == "in the middle"
        first.send_signal(signal.SIGKILL)
        assert first.stderr is not None
        assert first.stderr.read() == b""
    assert first.returncode == -signal.SIGKILL
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert again.stderr == "resumed run r1: 3 saved, 1 interrupted, 6 to go\n"
    assert again.stdout == "10 results\n"


def test_a_third_time_there_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace('name == "t4"', "False"))
    for _ in range(2):
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("10 results\n", "")
