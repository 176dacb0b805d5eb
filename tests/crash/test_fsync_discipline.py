"""Every sync of the directory backend is needed: without it a power cut takes away what was acknowledged, or worse.

A sync is left out of what the model of the disk is told, each from where the backend asks for it, in turn; then one of
the states that a power cut may leave has to be wrong. Those that cannot be missed are named, with the reason.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import pytest

from crash.disk import drawn_tree, plain_trees
from crash.power import Recorded, verdict
from crash.scenarios import ALONE, Scenario, killed_at, recorded, unharmed
from flowbook.testing.files import CHANGING

SEED = os.environ.get("FLOWBOOK_SEED", "0")
DRAWN = 2

NEEDED = {
    "above: _mark < open": "the directory itself",
    "file: _append < commit": "a commit",
    "file: _append < prolong": "a lease, which later commits stand behind",
    "file: write_again < _caught_up": "that an old tail is cut off, before there is a line in front of it",
    "file: go_on_from < _begin": "what a claim goes on from",
    "file: write_again < _measured": "the last commit of an owner that was killed before it synced it",
    "file: post < post": "a request",
    "file: publish < _begin": "the first line of a journal",
    "file: publish < _mark": "what says that this is a logbook",
    "file: publish < snapshot": "all records, when their journals are removed",
    "folder: _mark < open | folder: kind < folder": "the name of the mark, before there is anything else",
    "folder: empty < remove": "that the journals of a destroyed run are gone, before what says so is",
    "folder: snapshot < _try_destroy": "that a run is gone",
    "folder: give_up < renew": "that answered requests are gone, before what says that they were answered is",
    "folder: go_on_from < _begin": "the name of a journal",
    "folder: post < post": "the name of a request",
    "folder: raise_height < remove": "the highest epoch of what is destroyed",
    "folder: snapshot < give_up": "the name of a snapshot, before what it sums up is removed",
    "folder: sync_way < _begin": "the names that lead to a run",
    "folder: sync_way < post": "the names that lead to a request for what is no run yet",
}
"""What is made durable by the syncs of these places; of several one is enough."""

NOT_MISSED = {
    "folder: kind < raise_height": "the mark was made durable before there was a run",
}

New = Callable[[], Path]


class Records:
    """The calls of all scenarios, each recorded when it is looked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: list[Recorded] = []
        self._scenarios = self._all()

    def __iter__(self) -> Iterator[Recorded]:
        yield from self._found
        for number, scenario in self._scenarios:
            self._found.append(self._record(number, scenario))
            yield self._found[-1]

    def _all(self) -> Iterator[tuple[int, Scenario]]:
        calls = sum(call.verb in CHANGING for call in self._record(0, unharmed).calls)
        killed = (killed_at(at, half=half) for half in (False, True) for at in range(1, calls))
        yield from enumerate(chain(ALONE.values(), killed), start=1)

    def _record(self, number: int, scenario: Scenario) -> Recorded:
        folder = self._folder / str(number)
        folder.mkdir()
        return recorded(scenario, folder)


def missed(records: Iterable[Recorded], without: Collection[str], folder: Path) -> str:
    """Return what is wrong in one of the states that may be left when some syncs are not done, or nothing."""
    chance = random.Random(SEED)
    seen: set[str] = set()
    for record in records:
        if not set(without) & set(record.sites()):
            continue
        for moment, disk in record.moments(without=lambda call: call.answer in without):
            for tree in (*plain_trees(disk), *(drawn_tree(disk, chance) for _ in range(DRAWN))):
                what = repr((tree, moment.right))
                if what in seen:
                    continue
                seen.add(what)
                wrong = verdict(tree, "runs", moment, folder / "after")
                shutil.rmtree(folder / "after")
                if wrong:
                    return wrong
    return ""


@pytest.fixture(scope="module")
def records(fast_folder: Path) -> Records:
    folder = fast_folder / "scenarios"
    folder.mkdir()
    return Records(folder)


@pytest.mark.parametrize("places", NEEDED)
def test_without_a_sync_a_power_cut_does_damage(
    places: str, records: Records, new_folder: New, figures: Counter[str]
) -> None:
    assert missed(records, places.split(" | "), new_folder()) != "", NEEDED[places]
    figures["syncs that were left out and missed"] += 1


def test_every_place_that_syncs_is_known(records: Records, full: bool) -> None:
    known = {place for places in (*NEEDED, *NOT_MISSED) for place in places.split(" | ")}
    looked_at = records if full else islice(records, len(ALONE) + 1)
    assert {place for record in looked_at for place in record.sites()} == known


@pytest.mark.parametrize("places", NOT_MISSED)
def test_some_syncs_are_not_missed(places: str, records: Records, new_folder: New, full: bool) -> None:
    some = islice(records, 0, None, 12) if full else islice(records, len(ALONE))
    assert missed(some, places.split(" | "), new_folder()) == "", f"it is not so that {NOT_MISSED[places]}"
