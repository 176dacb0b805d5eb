"""The servers that tests talk to: which are needed, and how they come onto this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Server:
    """A program that tests start for themselves; they skip where it is not installed."""

    program: str
    debian_package: str
    tests: str  # the path of the tests that are left out without it


NEEDED: tuple[Server, ...] = ()


def absent(servers: Sequence[Server]) -> list[Server]:
    """Return those whose program is not on the PATH."""
    return [server for server in servers if shutil.which(server.program) is None]


def install(servers: Sequence[Server]) -> None:
    """Install ``servers`` from the system's packages; does nothing unless this is Debian and we are root."""
    if not servers or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = [server.debian_package for server in servers]
    subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=False)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=quiet, check=False)
