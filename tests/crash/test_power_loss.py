"""After a power cut a logbook in a directory holds what was acknowledged, or what was under way, and goes on.

The file calls of scenarios are recorded, and of every place between two of them states are built in which what was
not synced is there in part. ``FLOWBOOK_SEED`` draws others; ``FLOWBOOK_FULL=1`` looks at many more.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from crash.disk import Disk, Kept, plain_trees
from crash.power import Recorded, verdict
from crash.scenarios import ALONE, Scenario, killed_at, overtaken_at, recorded, undisturbed, unharmed
from flowbook.testing.files import CHANGING, Call

SEED = os.environ.get("FLOWBOOK_SEED", "0")
STATES = {True: 400, False: 22}
"""How many states of a scenario are looked at: in full, and in the sample."""

STATES_OF_A_KILLED = {True: 20, False: 6}
KILLED_SAMPLE = 9
BLOCKS = 2
MOMENTS: list[Literal["before", "torn", "after"]] = ["before", "torn", "after"]

New = Callable[[], Path]


def look_at(record: Recorded, name: str, count: int, folder: Path) -> int:
    """Judge states of a scenario; return how many there were."""
    states = record.sampled(random.Random(f"{SEED} {name}"), count)
    for moment, tree in states:
        wrong = verdict(tree, "runs", moment, folder / "after")
        shutil.rmtree(folder / "after")
        assert not wrong, f"{name}, power cut after call {moment.at}, {record.calls[moment.at]}: {wrong}; seed {SEED}"
    return len(states)


@pytest.mark.parametrize("scenario", ALONE)
def test_a_power_cut_takes_away_nothing_that_was_acknowledged(
    scenario: str, new_folder: New, figures: Counter[str], full: bool
) -> None:
    folder = new_folder()
    record = recorded(ALONE[scenario], folder)
    figures["states after a power cut"] += look_at(record, scenario, STATES[full], folder)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nor_does_it_after_another_process_was_killed(
    block: int, new_folder: New, figures: Counter[str], full: bool
) -> None:
    calls = recorded(unharmed, new_folder()).calls
    every = [(at, half) for at in range(1, sum(call.verb in CHANGING for call in calls)) for half in (False, True)]
    chosen = every if full else random.Random(SEED).sample(every, KILLED_SAMPLE)
    for at, half in chosen[block::BLOCKS]:
        folder = new_folder()
        record = recorded(killed_at(at, half=half), folder)
        count = look_at(record, f"killed at {at} {half}", STATES_OF_A_KILLED[full], folder)
        figures["states after a power cut"] += count


def test_nor_does_it_when_a_run_is_taken_over_from_one_that_writes(
    new_folder: New, figures: Counter[str], full: bool
) -> None:
    calls = sum(call.verb in CHANGING for call in recorded(undisturbed, new_folder()).calls)
    every = [(at, when) for at in range(1, calls) for when in MOMENTS]
    for at, when in every if full else random.Random(SEED).sample(every, KILLED_SAMPLE):
        folder = new_folder()
        record = recorded(overtaken_at(at, when=when), folder)
        count = look_at(record, f"overtaken {when} {at}", STATES_OF_A_KILLED[full], folder)
        figures["states after a power cut"] += count


def test_a_state_is_wrong_when_something_acknowledged_is_missing(new_folder: New) -> None:
    folder = new_folder()
    record = recorded(ALONE["owners_overtaken"], folder)
    *_, (last, disk) = record.moments()
    whole = disk.tree(lambda change: True)
    assert verdict(whole, "runs", last, folder / "whole") == ""
    runs = whole["runs"]
    assert isinstance(runs, dict)
    assert "holds nothing" in verdict({"runs": {**runs, "flow": {}}}, "runs", last, folder / "without")


# -- the model of the disk --


def _disk(*calls: Call) -> Disk:
    disk = Disk("/above/runs")
    for call in (Call("make_root", ("/above/runs",)), Call("root", ("/above/runs",), answer=3), *calls):
        disk.take(call)
    return disk


def test_what_was_not_synced_may_be_gone() -> None:
    disk = _disk(Call("sync_above", ()), Call("create", (3, "a"), answer=4), Call("write", (4, b"data", 0)))
    assert disk.tree(lambda change: True) == {"runs": {"a": b"data"}}
    assert disk.tree(lambda change: False) == {"runs": {}}


def test_a_synced_file_may_lose_its_name_and_a_synced_name_its_data() -> None:
    made = Call("sync_above", ()), Call("create", (3, "a"), answer=4), Call("write", (4, b"data", 0))
    assert _disk(*made, Call("sync", (4,))).tree(lambda change: False) == {"runs": {}}
    assert _disk(*made, Call("sync", (3,))).tree(lambda change: False) == {"runs": {"a": b""}}


def test_a_linked_file_is_the_same_under_both_names() -> None:
    made = Call("create", (3, "a"), answer=4), Call("link", (3, "a", "b")), Call("write", (4, b"data", 0))
    gone = Call("sync", (4,)), Call("remove", (3, "a"))
    assert _disk(*made, *gone).tree(lambda change: True) == {"runs": {"b": b"data"}}


def test_any_sector_of_a_write_may_be_missing() -> None:
    made = Call("sync_above", ()), Call("create", (3, "a"), answer=4), Call("sync", (3,))
    disk = _disk(*made, Call("write", (4, b"x" * 1200, 100)))
    files = {tree["runs"]["a"] for tree in plain_trees(disk)}  # type: ignore[call-overload]
    whole = bytes(100) + b"x" * 1200
    assert files == {
        b"",
        whole,
        whole[:512] + bytes(512) + whole[1024:],
        bytes(512) + whole[512:],
        whole[:1024] + bytes(276),
    }


def test_a_write_may_be_torn_at_a_byte_and_what_a_cut_took_away_may_be_back() -> None:
    made = Call("sync_above", ()), Call("create", (3, "a"), answer=4), Call("write", (4, b"data", 0))
    disk = _disk(*made, Call("sync", (3,)), Call("sync", (4,)), Call("cut", (4, 1)), Call("write", (4, b"XYZ", 1)))
    _, written = disk.changes()
    assert disk.tree(lambda change: Kept(((1, 2),), 2) if change is written else False) == {"runs": {"a": b"dXta"}}


def test_of_a_folder_that_was_moved_one_name_may_be_gone_and_the_other_not_there() -> None:
    made = (
        Call("sync_above", ()),
        Call("make_folder", (3, "old")),
        Call("make_folder", (3, "trash")),
        Call("folder", (3, "trash"), answer=4),
        Call("sync", (3,)),
        Call("move", (3, "old", 4, "moved")),
    )
    disk = _disk(*made)
    removed, added = disk.changes()
    assert disk.tree(lambda change: change is removed) == {"runs": {"trash": {}}}
    assert disk.tree(lambda change: change is added) == {"runs": {"old": {}, "trash": {"moved": {}}}}


def test_scenarios_reach_every_verb_that_changes_something(new_folder: New) -> None:
    def verbs(scenario: Scenario) -> set[str]:
        return {call.verb for call in recorded(scenario, new_folder()).calls}

    assert set().union(*map(verbs, ALONE.values())) >= CHANGING
