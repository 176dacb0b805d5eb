"""A MariaDB server of one's own."""

from __future__ import annotations

import socket
import subprocess

from daemons.process import LOOPBACK, Daemon, free_port, private_folder

USER = "nobody"


def mariadb(*, syncs: bool = False) -> Daemon:
    """Return a server that is not started yet; its ``url`` names no database.

    What it has written outlives its process; a power cut only if it ``syncs``.
    """
    folder, port = private_folder("mariadb", USER), free_port()
    data = [f"--datadir={folder}/data", "--innodb-log-file-size=16M"]
    how = ["--auth-root-authentication-method=normal", "--skip-test-db", f"--user={USER}"]
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", *data, *how],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    settings = [
        f"--bind-address={LOOPBACK}",
        f"--port={port}",
        f"--socket={folder}/socket",
        f"--pid-file={folder}/pid",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=64M",
        "--performance-schema=OFF",
        f"--innodb-flush-log-at-trx-commit={1 if syncs else 2}",
        f"--innodb-flush-method={'fsync' if syncs else 'nosync'}",
        "--character-set-server=utf8mb4",
    ]

    def is_ready() -> bool:
        with socket.create_connection((LOOPBACK, port), 1) as connection:
            return len(connection.recv(8)) > 4  # the server greets first

    return Daemon(
        ["mariadbd", "--no-defaults", *data, *settings],
        folder=folder,
        port=port,
        url=f"mysql://root@{LOOPBACK}:{port}/",
        is_ready=is_ready,
        user=USER,
    )
