"""Garbage is looked for again behind a block in which it was not, however the block ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from flowbook.garbage import uncollected


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    was = gc.isenabled()
    yield
    (gc.enable if was else gc.disable)()


def test_garbage_is_looked_for_again_behind_the_block() -> None:
    gc.enable()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_and_behind_one_that_raises() -> None:
    gc.enable()
    with pytest.raises(ValueError, match="no"), uncollected():
        raise ValueError("no")
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
