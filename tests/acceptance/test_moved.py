"""A service moved from TaskFlow does what it did: as it was, with other imports, and in flowbook's own words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowbook.examples import moved_from_taskflow

BEFORE = """
import runpy
import flowbook.taskflow
flowbook.taskflow.install()
runpy.run_module("flowbook.examples.moved_from_taskflow.before", run_name="__main__", alter_sys=True)
"""

WAYS = {
    "before": ["-c", BEFORE],
    "after": ["-m", "flowbook.examples.moved_from_taskflow.after"],
    "native": ["-m", "flowbook.examples.moved_from_taskflow.native"],
}

REPORT = """\
aldermoor: SUCCESS
  SUCCESS: carve_disk, disk_retry, open_ports, register_name, reserve_host, start_world
  took aldermoor-large
  took aldermoor-large-disk-20
  took aldermoor-large-ports-7777-7778
  took aldermoor.example
  took world with aldermoor-large-disk-20 and certificate of aldermoor
  was refused a disk
  was refused a disk
  in use: 5
brackwater: REVERTED, brackwater belongs to somebody else
  PENDING: start_world
  REVERTED: carve_disk, disk_retry, open_ports, register_name, reserve_host
  gave back brackwater-small
  gave back brackwater-small-disk-20
  gave back brackwater-small-ports-7777-7778
  took brackwater-small
  took brackwater-small-disk-20
  took brackwater-small-ports-7777-7778
  in use: 5
coldharbour: SUSPENDED
  PENDING: open_ports, register_name, start_world
  SUCCESS: carve_disk, disk_retry, reserve_host
  took coldharbour-small
  took coldharbour-small-disk-20
  in use: 7
coldharbour: SUCCESS
  SUCCESS: carve_disk, disk_retry, open_ports, register_name, reserve_host, start_world
  took coldharbour-small-ports-7777-7778
  took coldharbour.example
  took world with coldharbour-small-disk-20 and certificate of coldharbour
  in use: 10
"""
"""What TaskFlow 6.5 prints."""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["memory:", "sqlite:///runs.db"])
@pytest.mark.parametrize("way", WAYS)
def test_the_service_prints_the_report_that_it_prints_with_taskflow(way: str, place: str, tmp_path: Path) -> None:
    program = [sys.executable, "-W", "error", *WAYS[way], place]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == REPORT
    assert "Traceback" in ended.stderr  # the log tells of the name that was taken
    assert "Logging error" not in ended.stderr
    assert "failed on the event" not in ended.stderr


def test_only_the_imports_were_changed() -> None:
    before, after = (_source(name) for name in ("before", "after"))
    moved = before.replace("from taskflow", "from flowbook.taskflow")
    assert _without_introduction(moved) == _without_introduction(after)
    assert moved != before


def _source(name: str) -> str:
    (folder,) = moved_from_taskflow.__path__
    return Path(folder, f"{name}.py").read_text(encoding="utf-8")


def _without_introduction(source: str) -> list[str]:
    """Return the lines below the docstring, without comments; those that import come first, sorted."""
    lines = [line for line in source.split('"""', 2)[2].splitlines() if line and not line.startswith("#")]
    imports = [line for line in lines if re.match(r"from \S+ import|import ", line)]
    return sorted(imports) + [line for line in lines if line not in imports]
