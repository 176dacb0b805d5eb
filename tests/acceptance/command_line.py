"""The command ``flowbook`` in processes of its own, and a flow that waits where a test wants it to."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

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


def part(stream: int, until: float) -> bytes:
    """Return what there is to read before a moment of the monotonic clock; nothing at its end, and after the moment."""
    left_s = until - time.monotonic()
    return os.read(stream, 65536) if left_s > 0 and select.select([stream], [], [], left_s)[0] else b""


class Started:
    """The command in a process of its own, heard while it lives; it is killed when its test ends and it does not."""

    all: ClassVar[list[Started]] = []

    def __init__(
        self, folder: Path, *words: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE, **variables: str
    ) -> None:
        env = environment(**variables)
        self.process = subprocess.Popen([*COMMAND, *words], cwd=folder, env=env, stdout=stdout, stderr=stderr)
        self._heard = {"stdout": b"", "stderr": b""}
        self.all.append(self)

    def read_until(self, word: str, stream: str = "stderr") -> str:
        """Return what a stream says up to the line with ``word``."""
        pipe, until = getattr(self.process, stream), time.monotonic() + TIMEOUT_S
        while (end := _end_of_line(self._heard[stream], word.encode())) == 0:
            more = part(pipe.fileno(), until)
            assert more, f"{word!r} was never said: {self._heard[stream].decode()}"
            self._heard[stream] += more
        told, self._heard[stream] = self._heard[stream][:end], self._heard[stream][end:]
        return told.decode()

    def hang_up(self, stream: str) -> None:
        """Stop reading ``stdout`` or ``stderr``."""
        pipe = getattr(self.process, stream)
        pipe.close()
        setattr(self.process, stream, None)

    def end(self) -> Ended:
        """Wait for the end of the process; return also what else it said."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        out, err = self._heard["stdout"] + (out or b""), self._heard["stderr"] + (err or b"")
        return Ended(self.process.returncode, out.decode(), err.decode())

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def _end_of_line(text: bytes, word: bytes) -> int:
    """Return where the line with a word ends; 0 while it does not."""
    at = text.find(word)
    return 0 if at < 0 else text.find(b"\n", at) + 1


class Waiting(Started):
    """A run of `STEPS` in a process, whose second atom waits until it is let go."""

    def __init__(self, folder: Path, *words: str, stderr: int = subprocess.PIPE, **variables: str) -> None:
        self.folder = folder
        (folder / "steps.py").write_text(STEPS, encoding="utf-8")
        os.mkfifo(folder / "gate")
        os.mkfifo(folder / "told")
        told = os.open(folder / "told", os.O_RDONLY | os.O_NONBLOCK)
        run = ("run", "steps.py::flow", "--run-id", "r1", *words)
        super().__init__(folder, *run, stdout=subprocess.PIPE, stderr=stderr, **variables)
        assert select.select([told], [], [], TIMEOUT_S)[0], "the second atom did not start"
        os.close(told)

    def let_go(self) -> None:
        """Let the second atom, which waits, go on."""
        with open(self.folder / "gate", "w", encoding="utf-8") as gate:
            gate.write("go")

    def remove_gate(self) -> None:
        """Let no atom wait from now on."""
        (self.folder / "gate").unlink()


def effects(folder: Path) -> list[str]:
    """Return what the atoms of `STEPS` have done, in order."""
    return (folder / "effects").read_text(encoding="utf-8").split()
