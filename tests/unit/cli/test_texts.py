"""Failures in one line."""

from __future__ import annotations

import pytest

from flowbook.cli.texts import failure_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", "ValueError"),
        ("bad", "ValueError: bad"),
        ("\nbad\n", "ValueError: bad"),
        ("bad\nworse", "ValueError: bad (+1 line, see below)"),
        ("x" * 500 + "\n\nworse", f"ValueError: {'x' * 500} (+2 lines, see below)"),
    ],
)
def test_the_first_line_of_a_message_is_whole_and_the_others_are_counted(message: str, line: str) -> None:
    assert failure_line("ValueError", message, ", see below") == line
