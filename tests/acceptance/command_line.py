"""The command ``flowbook`` in processes of its own, and a flow that waits where a test wants it to."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TIMEOUT_S = 60.0

COMMAND = (sys.executable, "-m", "flowbook")

STEPS = """
import os
from flowbook import LinearFlow, task

HERE = os.path.dirname(os.path.abspath(__file__))


def note(word):
    with open(os.path.join(HERE, "effects"), "a") as effects:
        effects.write(word + "\\n")


def wait():
    gate = os.path.join(HERE, "gate")
    if os.path.exists(gate):
        with open(os.path.join(HERE, "told"), "w") as told:
            told.write("here")
        with open(gate) as opened:
            opened.read()


@task(provides="a")
def first():
    note("first")
    return 1


@task(provides="b")
def second(a):
    note("second")
    wait()
    return a + 1


@task(provides="c")
def third(b, times=10):
    note("third")
    return b * times


flow = LinearFlow("steps").add(first, second, third)
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Return the variables that a command sees: no storage, no colours, no terminal size."""
    ours = {"NO_COLOR": "1", **more}
    taken = {"FLOWBOOK_BACKEND", "FLOWBOOK_PROGRESS", "FORCE_COLOR", "COLUMNS", "LINES"}
    return {**{name: value for name, value in os.environ.items() if name not in taken}, **ours}


def flowbook(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Ended:
    """Run the command in ``folder`` until it ends."""
    done = subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, env=env or environment()
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Waiting:
    """A run of `STEPS` in a process, whose second atom waits until it is let go."""

    def __init__(self, folder: Path, *words: str, stderr: int = subprocess.PIPE, **variables: str) -> None:
        self.folder = folder
        (folder / "steps.py").write_text(STEPS, encoding="utf-8")
        os.mkfifo(folder / "gate")
        os.mkfifo(folder / "told")
        told = os.open(folder / "told", os.O_RDONLY | os.O_NONBLOCK)
        command = [*COMMAND, "run", "steps.py::flow", "--run-id", "r1", *words]
        env = environment(**variables)
        self.process = subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=stderr)
        assert select.select([told], [], [], TIMEOUT_S)[0], "the second atom did not start"
        os.close(told)

    def read_until(self, word: str) -> str:
        """Return what stderr says up to the line with ``word``."""
        assert self.process.stderr is not None
        text = ""
        for line in self.process.stderr:
            text += line
            if word in line:
                return text
        raise AssertionError(f"{word!r} was never said: {text}")

    def hang_up(self, stream: str) -> None:
        """Stop reading ``stdout`` or ``stderr``."""
        pipe = getattr(self.process, stream)
        pipe.close()
        setattr(self.process, stream, None)

    def let_go(self) -> None:
        """Let the second atom, which waits, go on."""
        with open(self.folder / "gate", "w", encoding="utf-8") as gate:
            gate.write("go")

    def remove_gate(self) -> None:
        """Let no atom wait from now on."""
        (self.folder / "gate").unlink()

    def end(self) -> Ended:
        """Wait for the end of the process."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return Ended(self.process.returncode, out or "", err or "")


def effects(folder: Path) -> list[str]:
    """Return what the atoms of `STEPS` have done, in order."""
    return (folder / "effects").read_text(encoding="utf-8").split()
