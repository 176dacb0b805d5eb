"""Finds the Python interpreters that flowbook is tested with, wherever they are installed.

Run it to see which are there: ``python tools/interpreters.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

Version = tuple[int, int]

SUPPORTED: tuple[Version, ...] = ((3, 11), (3, 12), (3, 13))

_TELL = "import sys; print(*sys.version_info[:2], sys.executable, sep=chr(10))"


def found() -> dict[Version, Path]:
    """Return an interpreter for each supported version that is installed.

    Without 3.11 the running interpreter is among them, however new it is.
    """
    interpreters = {version: path for version in SUPPORTED if (path := find(version, os.environ))}
    if SUPPORTED[0] not in interpreters:
        interpreters.setdefault(sys.version_info[:2], Path(sys.executable))
    return interpreters


def find(version: Version, environ: Mapping[str, str]) -> Path | None:
    """Return the first interpreter that runs and says that it is ``version``, or None."""
    name = "python{}.{}".format(*version)
    for folder in _folders(environ):
        if path := _that_runs(folder / name, version):
            return path
    return None


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    yield from (Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder)
    pyenv = Path(environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/*/bin"), reverse=True)
    yield from (Path("/usr/local/bin"), Path("/usr/bin"))
    yield from sorted(Path("/opt").glob("*/bin"))


def _that_runs(path: Path, version: Version) -> Path | None:
    """Return what ``path`` leads to: a pyenv shim may be there and run nothing, or something else."""
    try:
        answer = subprocess.run([path, "-c", _TELL], capture_output=True, text=True, check=False).stdout
    except OSError:  # not there, or not for this machine
        return None
    *says, executable = answer.splitlines() or [""]
    return Path(executable) if says == [str(number) for number in version] else None


if __name__ == "__main__":
    for (major, minor), interpreter in found().items():
        print(f"{major}.{minor}", interpreter)
