"""What the tools here share: how each writes its part of the page of benchmarks, and a quick folder."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).with_name("peers")))  # goals are judged and written as those of the comparison
import judging
import machine
from judging import Goal, NotMeasured, goal

__all__ = ["Goal", "NotMeasured", "add_write", "folder", "goal", "write", "write_goals"]

PAGES = Path(__file__).resolve().parents[2] / "doc" / "benchmarks"
SHARED_MEMORY = Path("/dev/shm")


def add_write(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the option ``--write`` of a tool, after which its part of the page is named."""
    parser.add_argument("--write", action="store_true", help=f"write {name}.txt, a part of the page of benchmarks")


def write(name: str, text: str) -> None:
    """Write a part of the page."""
    (PAGES / f"{name}.txt").write_text(text, encoding="utf-8")


def write_goals(name: str, goals: Sequence[Goal]) -> None:
    """Write a part of the page: goals with what was measured, and on which machine."""
    write(name, judging.goals_part(goals, machine.facts()))


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for storages whose cost is counted in seconds of the processor: in memory, if the system has one.

    What the disk takes is not counted there, and nobody is to wait for it.
    """
    return tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
