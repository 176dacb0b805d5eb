"""What all tests of the command line share: none leaves a process behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from acceptance.command_line import Started


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    while Started.all:
        Started.all.pop().kill()
