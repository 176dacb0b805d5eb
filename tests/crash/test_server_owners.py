"""Several processes want the same run on a server: one works on it, and the others are told who."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crash.forks import Forks
from crash.rounds import play_rounds
from crash.server_places import KINDS, MODULES, Place, place_on

ROUNDS = {True: 400, False: 10}
"""How many rounds are played: in full, and in the sample."""


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    return place_on(request.param, request)


@pytest.fixture(scope="module")
def forks(fast_folder: Path) -> Iterator[Forks]:
    server = Forks(fast_folder, ["crash.owners", *MODULES])
    yield server
    server.close()


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_of_several_processes_one_does_all_the_work(
    count: int, place: Place, forks: Forks, new_folder: Callable[[], Path], figures: Counter[str], full: bool
) -> None:
    figures.update(play_rounds(forks, new_folder(), place.conf(), count=count, rounds=ROUNDS[full]))
