"""A run at a glance: what matters most is shown, all else is counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from flowbook.atoms import Task
from flowbook.engines import load
from flowbook.exceptions import Damaged
from flowbook.flows import LinearFlow, UnorderedFlow
from flowbook.persistence import Backend, fetch
from flowbook.persistence.backend import FlowRecords, Wanted
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from flowbook.testing.faults import Counting
from flowbook.views import narrowed, view_run
from flowbook.views.overviews import Overview, overview

NAMES = tuple(f"step-{number:02}" for number in range(20))
BROKEN = ("step-07", "step-11")


class Step(Task):
    """Does nothing; some cannot be undone, and the last one fails."""

    def execute(self) -> str:
        if self.name == NAMES[-1]:
            raise ValueError("no money")
        return self.name

    def revert(self) -> None:
        if self.name in BROKEN:
            raise OSError("cannot undo")


@pytest.fixture(params=["memory:", "memory:?strict=true"])
def backend(request: pytest.FixtureRequest) -> Backend:
    backend = fetch(request.param)
    flow = UnorderedFlow("stay").add(*(Step(name) for name in NAMES))
    for _ in load(flow, backend=backend, run_id="r1").run_iter():
        pass
    return backend


def damage(backend: Backend, atom: str, **fields: object) -> None:
    """Write a record as no engine would."""
    row = {**backend.load("r1").kind("atom")[atom], **fields}
    claim = backend.claim("flow:r1", current_owner(), lease_s=30, take_over=True)
    backend.renew(backend.commit(claim, [Put("atom", atom, row)]), lease_s=0)


def names_of(shown: Overview) -> Sequence[str]:
    return [atom.name for atom in shown.run.atoms]


def test_a_run_with_few_atoms_is_shown_as_it_is_viewed(backend: Backend) -> None:
    shown = overview(backend, "r1")
    assert shown.run == view_run(backend, "r1")
    assert shown.folded == {}
    assert shown.failures == {"REVERT_FAILURE": 2, "REVERTED": 1}


def test_of_many_atoms_those_that_failed_are_shown_first_and_the_rest_is_counted(backend: Backend) -> None:
    shown = overview(backend, "r1", most=5)
    assert names_of(shown) == [*BROKEN, NAMES[-1], *NAMES[:2]]
    assert shown.folded == {"REVERTED": 15}
    assert shown.run.counts == {"REVERTED": 18, "REVERT_FAILURE": 2}
    viewed = {atom.name: atom for atom in view_run(backend, "r1").atoms}
    assert list(shown.run.atoms) == [viewed[name] for name in names_of(shown)]


def test_failures_that_are_not_shown_are_counted_too(backend: Backend) -> None:
    shown = overview(backend, "r1", most=1)
    assert names_of(shown) == [BROKEN[0]]
    assert shown.failures == {"REVERT_FAILURE": 2, "REVERTED": 1}


def test_what_is_under_way_comes_before_what_is_done(backend: Backend) -> None:
    damage(backend, "step-09", state="REVERTING")
    assert names_of(overview(backend, "r1", most=4)) == [*BROKEN, NAMES[-1], "step-09"]


@pytest.mark.parametrize(
    ("states", "names"),
    [((), "step-0*"), (("REVERT_FAILURE",), ""), (("REVERTED",), "step-1?"), (("PENDING",), ""), ((), "none")],
)
def test_atoms_are_asked_for_as_in_a_view_that_is_narrowed(backend: Backend, states: Sequence[str], names: str) -> None:
    asked = overview(backend, "r1", states=states, names=names)
    assert asked.run == narrowed(view_run(backend, "r1"), states=states, names=names)
    few = overview(backend, "r1", states=states, names=names, most=2)
    assert few.failures == asked.failures
    assert len(few.run.atoms) + sum(few.folded.values()) == len(asked.run.atoms)


def test_an_atom_that_has_not_begun_is_pending() -> None:
    backend = fetch("memory:")
    engine = load(LinearFlow("stay").add(Step("a"), Step("b"), Step("c")), backend=backend, run_id="r1")
    engine.atom_notifier.register("SUCCESS", lambda notice: engine.suspend())
    engine.run()
    shown = overview(backend, "r1", most=1)
    assert (shown.run.state, shown.run.counts) == ("SUSPENDED", {"SUCCESS": 1, "PENDING": 2})
    assert (names_of(shown), shown.folded) == (["a"], {"PENDING": 2})


@pytest.mark.parametrize("state", ["DREAMING", 5, [], None])
def test_a_state_that_is_none_is_damage_wherever_it_is(backend: Backend, state: object) -> None:
    damage(backend, "step-05", state=state)
    with pytest.raises(Damaged) as caught:
        overview(backend, "r1", most=1)
    assert caught.value.why == f"atom 'step-05' of run 'r1': state is {state!r}"


def test_of_damaged_atoms_only_those_that_are_shown_are_told(backend: Backend) -> None:
    damage(backend, "step-05", attempt="many")
    assert names_of(overview(backend, "r1", most=1)) == [BROKEN[0]]
    with pytest.raises(Damaged, match="damaged") as caught:
        overview(backend, "r1", names="step-05")
    assert caught.value.why == "atom 'step-05' of run 'r1': attempt is 'many'"


class Changing(Counting):
    """Lets who looks choose among rows that are old when it returns."""

    def look(self, flow: str, kinds: Sequence[str] | None = None, wanted: Wanted | None = None) -> FlowRecords:
        assert wanted is not None
        assert list(wanted(self.inner.load(flow, kinds))) == [BROKEN[0]]
        damage(self.inner, BROKEN[0], revert_failure=None, state="REVERTED")
        return self.inner.look(flow, kinds)


def test_what_is_shown_is_chosen_among_the_rows_that_are_shown(backend: Backend) -> None:
    shown = overview(Changing(backend), "r1", most=1)
    assert names_of(shown) == [BROKEN[1]]
    assert shown.run.counts == {"REVERTED": 19, "REVERT_FAILURE": 1}


def test_an_overview_is_frozen(backend: Backend) -> None:
    shown = overview(backend, "r1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        shown.folded = {}  # type: ignore[misc]
