"""What all tests share: how long they may look for a counterexample."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

FULL = os.environ.get("FLOWBOOK_FULL") == "1"

settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("full" if FULL else "quick")


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether a test that can be short or long is to be long (``tox -e crash``)."""
    return FULL
