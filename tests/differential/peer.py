"""The other engine: its environment, fetched once, and a process in it that plays cases."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from differential.recording import Spec

RELEASE = "6.5.0"
TESTS = Path(__file__).resolve().parent.parent


class CannotFetch(Exception):
    """The other environment could not be made."""


def interpreter() -> Path:
    """Return the interpreter of the environment with TaskFlow; it is made when there is none yet.

    It lies in the user's cache, or where FLOWBOOK_PEER says. Raises CannotFetch.
    """
    given = os.environ.get("FLOWBOOK_PEER")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowbook"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(given) if given else cache / f"taskflow-{RELEASE}-py{version}"
    if not _is_complete(folder):
        _make(folder)
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    if not _python(folder).exists():
        return False
    check = (
        f"from importlib.metadata import version; assert version('taskflow') == '{RELEASE}'; import taskflow.engines"
    )
    return not subprocess.run([_python(folder), "-W", "ignore", "-c", check], capture_output=True).returncode


def _make(folder: Path) -> None:
    """Make the environment beside its place, and move it there when it is complete: another process may do the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        _call([sys.executable, "-m", "venv", str(made)])
        _call([str(_python(made)), "-m", "pip", "install", "--quiet", f"taskflow=={RELEASE}"])
        if not _is_complete(made):
            raise CannotFetch(f"taskflow {RELEASE} was installed, and cannot be imported")
        if not _is_complete(folder):
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise CannotFetch(f"TaskFlow {RELEASE} could not be fetched from PyPI: {' '.join(command)} said:\n{last}")


class Peer:
    """A process that plays cases with TaskFlow: ask, do something else, and then take the outcome."""

    def __init__(self, python: Path) -> None:
        command = [str(python), "-W", "ignore", "-m", "differential.with_taskflow"]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def ask(self, spec: Spec, order: int = 0, endings: Sequence[str] = ()) -> None:
        """Send a case, to be played in one of the orders that TaskFlow may take; two follow ``endings``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, list(endings), spec]) + "\n")
        self._process.stdin.flush()

    def take(self) -> Spec:
        """Return the outcome of the case that was sent."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that runs TaskFlow has ended"
        outcome: Spec = json.loads(line)
        return outcome

    def play(self, spec: Spec, order: int = 0, endings: Sequence[str] = ()) -> Spec:
        """Return the outcome of a case."""
        self.ask(spec, order, endings)
        return self.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
