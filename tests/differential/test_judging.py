"""What judges the two engines is not blind: whatever is changed in an outcome is found, and legality is checked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from differential.comparing import compare
from differential.differences import DIFFERENCES, excused
from differential.drawing import draw, outline
from differential.judging import illegalities
from differential.recording import Spec, items_of
from differential.shrinking import shrink, smaller_specs
from differential.with_flowbook import Player

TASK: Spec = {"kind": "task", "provides": [], "requires": [], "revert_requires": [], "lenient": False, "priority": 0}


def spec_of(*names: str, fails: str = "") -> Spec:
    """Return a linear flow of tasks, of which one may fail."""
    tasks = [{**TASK, "name": name, "execute_fails": [0] * (name == fails), "revert_fails": []} for name in names]
    flow = {"kind": "flow", "name": "f", "pattern": "linear", "retry": None, "children": tasks, "links": []}
    return {"seed": 0, "flow": flow, "store": {}, "options": {}, "suspends": [], "reload": False}


SPEC = spec_of("a", "b", fails="b")
OUTCOME = Player(SPEC).outcome()


def line_of(outcome: Spec, *line: Any) -> int:
    place: int = outcome["log"].index(list(line))
    return place


def end_otherwise(outcome: Spec) -> None:
    outcome["ends"][-1] = "FAILURE"


def raise_otherwise(outcome: Spec) -> None:
    outcome["raised"][-1] = ["<b execute 7>"]


def leave_otherwise(outcome: Spec) -> None:
    outcome["atoms"]["a"] = "SUCCESS"


def give_otherwise(outcome: Spec) -> None:
    outcome["values"]["x"] = 1


def order_otherwise(outcome: Spec) -> None:
    outcome["order"]["a"] = []


def tell_once_more(outcome: Spec) -> None:
    outcome["log"].append(["a", "state", "REVERTED", "REVERTING"])


def call_otherwise(outcome: Spec) -> None:
    outcome["log"][line_of(outcome, "a", "execute", {})][2] = {"x": 1}


def revert_in_the_wrong_order(outcome: Spec) -> None:
    line = outcome["log"].pop(line_of(outcome, "b", "state", "REVERTED", "REVERTING"))
    outcome["log"].insert(line_of(outcome, "a", "state", "REVERTED", "REVERTING"), line)


def test_an_outcome_is_equal_to_itself() -> None:
    assert compare(SPEC, OUTCOME, copy.deepcopy(OUTCOME)) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (end_otherwise, "end"),
        (raise_otherwise, "raised"),
        (leave_otherwise, "atoms"),
        (give_otherwise, "values"),
        (order_otherwise, "order"),
        (tell_once_more, "log"),
        (call_otherwise, "log"),
        (revert_in_the_wrong_order, "pair"),
    ],
)
def test_whatever_is_changed_is_found_and_not_excused(change: Callable[[Spec], None], kind: str) -> None:
    theirs = copy.deepcopy(OUTCOME)
    change(theirs)
    mismatches = compare(SPEC, theirs, OUTCOME)
    assert {mismatch.kind for mismatch in mismatches} == {kind}
    assert excused(theirs, OUTCOME, mismatches) is None


def test_an_outcome_of_ours_is_legal() -> None:
    assert illegalities(SPEC, OUTCOME) == []


@pytest.mark.parametrize("change", [tell_once_more, end_otherwise])
def test_what_no_engine_may_do_is_found(change: Callable[[Spec], None]) -> None:
    outcome = copy.deepcopy(OUTCOME)
    change(outcome)
    outcome["atoms"]["b"] = "RUNNING"
    assert "b is left RUNNING" in illegalities(SPEC, outcome)[0]
    assert len(illegalities(SPEC, outcome)) == (2 if change is tell_once_more else 1)


def test_a_seed_gives_the_same_case_each_time() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_a_case_shrinks_to_what_makes_it_fail() -> None:
    spec = next(spec for spec in map(draw, range(100)) if len(list(items_of(spec["flow"]))) > 8)
    name = [atom["name"] for atom in items_of(spec["flow"]) if atom["kind"] == "task"][3]
    smallest = shrink(spec, lambda one: name in {atom["name"] for atom in items_of(one["flow"])})
    assert [atom["name"] for atom in items_of(smallest["flow"])] == [name]
    assert outline(smallest).endswith(f"({name})")
    assert all(name not in str(smaller) for smaller in smaller_specs(smallest))


def test_each_difference_has_a_name_and_a_reason_of_its_own() -> None:
    assert len({difference.name for difference in DIFFERENCES}) == len(DIFFERENCES)
    assert len({difference.reason for difference in DIFFERENCES}) == len(DIFFERENCES)
