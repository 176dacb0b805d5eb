"""The servers that tests talk to: which are needed, and how they come onto this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """A server that tests start for themselves; they skip where it is not installed.

    ``program`` is looked for on the PATH, and ``files``, a pattern below ``/``, where packages keep what is on no PATH.
    """

    program: str
    files: str
    debian_packages: tuple[str, ...]
    tests: str  # the path of the tests that are left out without it

    @property
    def is_installed(self) -> bool:
        """Whether it can be started here."""
        return shutil.which(self.program) is not None or any(Path("/").glob(self.files))


POSTGRESQL = Server(
    "postgres", "usr/lib/postgresql/*/bin/postgres", ("postgresql",), "tests/conformance/test_servers.py (PostgreSQL)"
)
MARIADB = Server(
    "mariadbd",
    "usr/sbin/mariadbd",
    ("mariadb-server-core", "mariadb-client-core"),
    "tests/conformance/test_servers.py (MariaDB)",
)
ZOOKEEPER = Server(
    "zookeeper-server",
    "usr/share/java/zookeeper.jar",
    ("libzookeeper-java", "default-jre-headless"),
    "tests/conformance/test_zookeeper.py",
)
NEEDED: tuple[Server, ...] = (POSTGRESQL, MARIADB, ZOOKEEPER)


def absent(servers: Sequence[Server]) -> list[Server]:
    """Return those that are not installed."""
    return [server for server in servers if not server.is_installed]


def install(servers: Sequence[Server]) -> None:
    """Install ``servers`` from the system's packages; does nothing unless this is Debian and we are root."""
    if not servers or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = [package for server in servers for package in server.debian_packages]
    subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=False)
    subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=quiet, check=False)
