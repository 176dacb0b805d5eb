"""The reference of the command line is written from the commands, and current."""

from __future__ import annotations

import write_cli


def test_what_is_written_is_current() -> None:
    assert write_cli.stale() == [], "run python tools/write_cli.py"
