"""What the figures were measured on, as facts."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from statistics import median

_LINE = b"." * 449 + b"\n"
_SYNCS = 300


def facts() -> dict[str, str]:
    """Return what is known of this machine, by name."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "450 bytes appended and synced": f"{sync_us():.0f} us (median of {_SYNCS})",
    }


def sync_us() -> float:
    """Return how many microseconds a short append and its fdatasync take here, where the comparison keeps its files."""
    took = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            os.write(file.fileno(), _LINE)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took) * 1e6
