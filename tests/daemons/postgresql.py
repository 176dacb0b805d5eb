"""A PostgreSQL server of one's own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

from daemons.process import LOOPBACK, Daemon, as_user, free_port, private_folder

USER = "postgres"


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, which Debian keeps off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed (Debian: postgresql)")
    return path


def postgresql(*, syncs: bool = False) -> Daemon:
    """Return a server that is not started yet; its ``url`` names the database ``postgres``.

    What it has written outlives its process; a power cut only if it ``syncs``.
    """
    folder, port = private_folder("postgresql", USER), free_port()
    options = ("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
    subprocess.run(
        [program("initdb"), "-D", str(folder / "data"), "-U", USER, *options],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        **as_user(USER),  # type: ignore[call-overload]
    )
    settings = {
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": str(folder),
        "shared_buffers": "32MB",
        "max_connections": "200",
        "fsync": "on" if syncs else "off",
    }
    chosen = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    is_ready = [program("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    return Daemon(
        [program("postgres"), "-D", str(folder / "data"), "-p", str(port), *chosen],
        folder=folder,
        port=port,
        url=f"postgresql://{USER}@{LOOPBACK}:{port}/postgres",
        is_ready=lambda: subprocess.run(is_ready, check=False).returncode == 0,
        user=USER,
        stop_signal=signal.SIGINT,
        immediate_signal=signal.SIGQUIT,
    )
