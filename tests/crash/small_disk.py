"""What a process does on a disk that is too small: run until it is full, make room, run to the end."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from crash import driving
from flowbook.exceptions import StorageFull
from flowbook.persistence import fetch

FLOW = "suspended"
PAGE = 4096
_FILLING = b"." * PAGE


def fill(file: Path, free_pages: int) -> None:
    """Leave so many pages free where a file is."""
    with file.open("wb", buffering=0) as filling:
        free = os.statvfs(file.parent).f_bavail * os.statvfs(file.parent).f_frsize // PAGE
        for _ in range(max(0, free - free_pages)):
            filling.write(_FILLING)


def run_on_a_small_disk(disk: Path, log: Path, free_pages: int) -> dict[str, Any]:
    """Return what was told when the disk was full, and what came of the run when there was room again."""
    filling, conf, told = disk / "filling", f"dir:{disk}/runs", ""
    fill(filling, free_pages)
    try:
        with fetch(conf) as backend:
            driving.drive(FLOW, backend, engine="serial", log=str(log))
    except StorageFull as error:
        told = f"{type(error).__name__} {error.where}"
    filling.unlink()
    with fetch(conf) as backend:
        look = driving.look(backend, str(log))
        answer = driving.drive(FLOW, backend, engine="serial", log=str(log))
    shutil.rmtree(disk / "runs")
    return {"told": told, "look": look, "answer": answer}


def main(disk: str, logs: str, most_pages: str) -> None:
    """Print an answer for each count of free pages, from none on, as lines of JSON."""
    for pages in range(int(most_pages) + 1):
        print(json.dumps(run_on_a_small_disk(Path(disk), Path(logs, f"log-{pages}"), pages)))


if __name__ == "__main__":
    main(*sys.argv[1:])
