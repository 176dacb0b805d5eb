"""Runs what CI runs: lint, the tests on every interpreter that is found, and the documentation.

Called by ``tools/test``. It needs the standard library only: tox goes into a private folder, ``.venv-tools``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from collections.abc import Collection, Sequence
from pathlib import Path

import interpreters
import servers

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".venv-tools"


def main(arguments: Sequence[str]) -> int:
    """Run the environments that are asked for; return 0 when all passed and no test was left out."""
    options = _parse(arguments)
    complete = options.without_servers or servers_are_there()
    pythons = interpreters.found()
    environments = options.environments or environments_of_ci(pythons)
    status = _run_tox(environments, pythons.values(), options.pytest)
    if not complete:
        print("FAILED: tests were left out, see above; --without-servers accepts that")
    return status or int(not complete)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/test", description=__doc__)
    add = parser.add_argument
    add("-e", dest="environments", metavar="ENV", action="append", help="run one tox environment; repeatable")
    add("--without-servers", action="store_true", help="leave out the tests whose server is not installed")
    add("pytest", nargs="*", metavar="-- ARGUMENT", help="is given to pytest")
    return parser.parse_args(arguments)


def servers_are_there() -> bool:
    """Install the servers that tests need, where that is possible; name those that are still missing."""
    servers.install(servers.absent(servers.NEEDED))
    absent = servers.absent(servers.NEEDED)
    for server in absent:
        missing = f"{server.program} is missing (Debian: {' '.join(server.debian_packages)})"
        print(f"{missing}; left out: {server.tests}", flush=True)
    return not absent


def environments_of_ci(pythons: Collection[interpreters.Version]) -> list[str]:
    """Return the environments to run; name the supported versions of Python that are missing here."""
    for major, minor in interpreters.SUPPORTED:
        if (major, minor) not in pythons:
            print(f"Python {major}.{minor} was not found: py{major}{minor} is left out", flush=True)
    return ["lint", *(f"py{major}{minor}" for major, minor in pythons), "doc"]


def _run_tox(environments: Sequence[str], pythons: Collection[Path], pytest_arguments: Sequence[str]) -> int:
    """Run tox, whose last lines are the result and the time of each environment."""
    chosen = ["-e", ",".join(environments), "--skip-missing-interpreters", "false"]
    known = ["--discover", *map(str, pythons)]
    command = [str(_private_python()), "-m", "tox", "run", *chosen, *known, "--", *pytest_arguments]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _private_python() -> Path:
    """Return the interpreter of a virtual environment that has tox, made anew where it is not whole."""
    python = TOOLS / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import tox"], check=False).returncode != 0:
        venv.create(TOOLS, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "tox>=4.20"], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
