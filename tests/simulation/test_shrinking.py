"""A broken rule of the core is found, made small, and found again from its seed."""

from __future__ import annotations

import pytest

from flowbook.engines.core import deciding, resolution, selection, step
from flowbook.engines.core.run import Run
from simulation.drawing import Case, draw, parts_of, steps_of
from simulation.playing import Play
from simulation.shrinking import failure_of, shrink
from simulation.test_core import play, told

SEEDS = range(200)


def first_failing_seed() -> int:
    return next(seed for seed in SEEDS if fails_alike(draw(seed)))


def fails_alike(case: Case) -> bool:
    return isinstance(failure_of(case), AssertionError)


@pytest.fixture
def one_reverted_successor_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def unblock(run: Run, node: int) -> None:
        for predecessor in run.plan.predecessors[node]:
            if run.blocking.get(predecessor):
                run.blocking[predecessor] = 0
                selection.revert_when_free(run, predecessor)

    monkeypatch.setattr(selection, "unblock", unblock)


@pytest.mark.usefixtures("one_reverted_successor_is_enough")
def test_reverting_too_early_is_found_and_made_small() -> None:
    case = draw(first_failing_seed())
    smallest = shrink(case, fails_alike)
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


def test_a_history_that_is_not_emptied_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "forget_history", lambda run, node, decision: None)
    smallest = shrink(draw(first_failing_seed()), fails_alike)
    retries = [part.retry for part in parts_of(smallest.flow) if part.retry is not None]
    assert 1 <= len(retries) <= 2
    assert len(list(steps_of(smallest.flow))) <= 4
    assert not any(part.voters for part in parts_of(smallest.flow))


def test_a_no_that_reaches_too_little_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_reached", lambda run, node, depth: iter([node]))
    smallest = shrink(draw(first_failing_seed()), fails_alike)
    voters = [voter for part in parts_of(smallest.flow) for voter in part.voters]
    assert [voter.says for voter in voters] == [("NO",)]
    assert voters[0].depth != "ATOM"
    assert len(list(steps_of(smallest.flow))) <= 4


@pytest.mark.parametrize("rule", ["drop_later", "awaits_round", "voters", "next_waking"])
def test_a_rule_that_is_left_out_is_found(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, rule, lambda *_: None)
    assert any(failure_of(draw(seed)) for seed in SEEDS)


def test_the_same_seed_draws_and_plays_the_same_case() -> None:
    for seed in range(20):
        assert draw(seed) == draw(seed)
        first, second = Play(draw(seed)).run(), Play(draw(seed)).run()
        assert (first.steps, first.entries) == (second.steps, second.entries)
        assert repr(first.records.rows) == repr(second.records.rows)
