"""A broken rule of the core is found, made small, and found again from its seed."""

from __future__ import annotations

import pytest

from flowbook.engines.core import selection, step
from flowbook.engines.core.run import Run
from simulation.drawing import draw, steps_of
from simulation.playing import Play
from simulation.shrinking import failure_of, shrink
from simulation.test_core import play, told

SEEDS = range(100)


def first_failing_seed() -> int:
    return next(seed for seed in SEEDS if failure_of(draw(seed)) is not None)


@pytest.fixture
def one_reverted_successor_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def unblock(run: Run, node: int) -> None:
        for predecessor in run.plan.predecessors[node]:
            if run.blocking[predecessor]:
                run.blocking[predecessor] = 0
                selection.revert_when_free(run, predecessor)

    monkeypatch.setattr(selection, "unblock", unblock)


@pytest.mark.usefixtures("one_reverted_successor_is_enough")
def test_reverting_too_early_is_found_and_made_small() -> None:
    case = draw(first_failing_seed())
    smallest = shrink(case, lambda one: isinstance(failure_of(one), AssertionError))
    assert isinstance(failure_of(smallest), AssertionError)
    assert len(list(steps_of(smallest.flow))) <= 4
    assert len(smallest.fails) <= 1
    assert (smallest.crashes, smallest.listening) == (0.0, False)


@pytest.mark.usefixtures("one_reverted_successor_is_enough")
def test_a_failure_names_its_seed_and_how_to_play_it_again() -> None:
    seed = first_failing_seed()
    with pytest.raises(AssertionError, match=rf"(?s)^seed {seed}: .*smallest: Case\(.*FLOWBOOK_SEED={seed} ") as caught:
        play(seed)
    with pytest.raises(AssertionError) as again:
        play(seed)
    assert str(again.value) == str(caught.value)


@pytest.mark.usefixtures("one_reverted_successor_is_enough")
def test_the_command_that_a_failure_prints_plays_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = first_failing_seed()
    case = draw(seed)
    error = failure_of(case)
    assert error is not None
    command = told(case, error).splitlines()[-1]
    variable, value = command.removeprefix("replay: ").split()[0].split("=")
    monkeypatch.setenv(variable, value)
    from simulation.test_core import test_replay_of_one_seed

    with pytest.raises(AssertionError, match=f"seed {seed}"):
        test_replay_of_one_seed()


def test_a_flow_that_is_stuck_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "unblock", lambda run, node: None)
    assert any(failure_of(draw(seed)) for seed in SEEDS)


def test_an_end_that_counts_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    after_success = step._AFTER[step.AtomEvent.SUCCEED]

    def twice(run: Run, node: int, decision: step.Decision) -> None:
        after_success(run, node, decision)
        run.left -= 1

    monkeypatch.setitem(step._AFTER, step.AtomEvent.SUCCEED, twice)
    assert any(failure_of(draw(seed)) for seed in SEEDS)


def test_a_record_that_is_not_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Run.put
    monkeypatch.setattr(Run, "put", lambda run, node: put(run, node)._replace(row={**run.row_of(node), "attempt": 7}))
    assert failure_of(draw(first_failing_seed())) is not None


def test_the_same_seed_draws_and_plays_the_same_case() -> None:
    for seed in range(20):
        assert draw(seed) == draw(seed)
        first, second = Play(draw(seed)).run(), Play(draw(seed)).run()
        assert (first.steps, first.entries) == (second.steps, second.entries)
        assert repr(first.rows) == repr(second.rows)
