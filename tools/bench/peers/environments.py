"""The environments of the sides: each has its own, made once, with the versions that are named here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed for a side. ``module`` is imported to see whether that is complete."""

    name: str
    requirements: tuple[str, ...]
    module: str

    @property
    def version(self) -> str:
        """The version of what is compared."""
        return self.requirements[0].partition("==")[2]


PEERS = (
    Environment("taskflow", ("taskflow[database]==6.5.0", "SQLAlchemy==2.1.9"), "taskflow.engines"),
    Environment("dask", ("dask==2026.8.0",), "dask"),
    Environment("parsl", ("parsl==2026.10.26",), "parsl"),
    Environment("luigi", ("luigi==3.8.1",), "luigi"),
    Environment("prefect", ("prefect==3.8.8", "fastapi==0.139.0"), "prefect.server.api.server"),
    Environment("dbos", ("dbos==3.4.0",), "dbos"),
    Environment("absurd", ("absurd-sdk==0.5.1", "absurdctl==0.5.1"), "absurd_sdk"),
)
PICTURE = Environment("picture", ("matplotlib==3.11.2",), "matplotlib.pyplot")
"""For the picture of the page, which is drawn by no side."""


class CannotMake(Exception):
    """An environment could not be made, or lacks something."""


def interpreter(environment: Environment, cache: Path) -> Path:
    """Return the interpreter of an environment below ``cache``; it is made when there is none. Raises CannotMake."""
    folder = cache / f"{environment.name}-{environment.version}-py{sys.version_info.major}.{sys.version_info.minor}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        _call([sys.executable, "-m", "venv", "--clear", str(folder)])
        _call([str(python), "-m", "pip", "install", "--quiet", *environment.requirements])
        _call([str(python), "-W", "ignore", "-c", f"import {environment.module}"])
        complete.touch()
    return python


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CannotMake((done.stderr or done.stdout).strip().splitlines()[-1])
