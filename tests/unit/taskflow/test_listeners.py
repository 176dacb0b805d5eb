"""TaskFlow's listeners, where its own tests leave something open: what is shown of failures, and what jobs are for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flowbook.failure import Failure
from flowbook.taskflow import engines, exceptions, formatters, states, task
from flowbook.taskflow.listeners import base, capturing, claims, printing, timing
from flowbook.taskflow.listeners import logging as logging_listeners
from flowbook.taskflow.patterns import linear_flow, unordered_flow
from flowbook.taskflow.types.notifier import Notifier, RestrictedNotifier


class Give(task.Task):
    def execute(self) -> dict[str, str]:
        return {"user": "ann", "secret": "hunter2"}


class Fail(task.Task):
    def execute(self, **kwargs: Any) -> None:
        raise ValueError(f"{self.name} failed")


def loaded(*items: Any) -> Any:
    return engines.load(linear_flow.Flow("f").add(*items))


def failing(engine: Any) -> None:
    with pytest.raises(ValueError, match="failed"):
        engine.run()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    with caplog.at_level(logging.DEBUG, "test.taskflow"):
        yield logging.getLogger("test.taskflow")


def test_one_failure_after_many_parallel_stages_tells_of_each_task_once(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """TaskFlow walks all ways that lead to the failure, and takes half a minute for this."""
    stages = (
        unordered_flow.Flow(f"stage {stage}").add(*(Give(f"t{stage}.{number}") for number in range(4)))
        for stage in range(7)
    )
    engine = loaded(*stages, Fail("last"))
    with logging_listeners.DynamicLoggingListener(engine, log=log):
        failing(engine)
    (text,) = [record.getMessage() for record in caplog.records if "is FAILURE" in record.getMessage()]
    assert [text.count(f"'t{stage}.{number}'") for stage in range(7) for number in range(4)] == [1] * 28
    assert len(text.splitlines()) == 2 + 28


def test_what_is_masked_is_masked_in_results_and_in_what_came_before_a_failure(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(Give("give", provides="login"), Fail("fail", requires="login"))
    options: dict[str, Any] = {"mask_inputs_keys": ["secret"], "mask_outputs_keys": ["secret"]}
    with logging_listeners.DynamicLoggingListener(engine, log=log, **options):
        failing(engine)
    assert caplog.text.count("***") == 3
    assert "hunter2" not in caplog.text


def test_nothing_is_shown_of_tasks_that_hide_what_they_take_and_give(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(Give("give", provides="login"), Fail("fail", requires="login"))
    with logging_listeners.DynamicLoggingListener(engine, log=log, hide_inputs_outputs_of=["give", "fail"]):
        failing(engine)
    assert "'give' is SUCCESS" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_formatter_of_ones_own_tells_of_failures(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    class Brief(formatters.FailureFormatter):
        def format(self, fail: Failure, atom_matcher: Any) -> tuple[Any, str]:
            return None, f"only {fail.exception_str}"

    engine = loaded(Fail("fail"))
    with logging_listeners.DynamicLoggingListener(engine, log=log, fail_formatter=Brief(engine)):
        failing(engine)
    (record,) = [record for record in caplog.records if "only" in record.getMessage()]
    assert record.getMessage().splitlines()[1:] == ["only fail failed"]
    assert record.exc_info is None


def test_a_failure_of_another_process_is_formatted_with_the_text_of_its_traceback() -> None:
    engine = loaded(Fail("fail"))
    failing(engine)
    failure = Failure.from_dict(engine.storage.get_failures()["fail"].to_dict())
    exc_info, details = formatters.FailureFormatter(engine).format(failure, lambda node: False)
    assert exc_info is None
    assert details.splitlines()[-1] == "ValueError: fail failed"


def test_a_failure_can_be_formatted_before_the_engine_knows_its_flow() -> None:
    failure = Failure.from_exception(ValueError("early"))
    assert formatters.FailureFormatter(loaded(Fail("fail"))).format(failure, lambda node: True)[1] == ""


def test_lines_are_printed_and_failures_have_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    engine = loaded(Fail("fail"))
    with printing.PrintingListener(engine), printing.PrintingListener(engine, flow_listen_for=None, stderr=True):
        failing(engine)
    told = capsys.readouterr()
    assert "flow 'f'" in told.out
    assert "flow 'f'" not in told.err
    assert told.out.count("ValueError: fail failed") == told.err.count("ValueError: fail failed") == 2
    assert "Traceback (most recent call last):" in told.err


def test_beginnings_and_durations_are_printed() -> None:
    engine = loaded(Give("give"))
    printed: list[str] = []
    with timing.PrintingDurationListener(engine, printer=printed.append):
        engine.run()
    assert printed[:2] == ["flow 'f' has begun.", "task 'give' has begun."]
    assert [line.partition(" took ")[0] for line in printed[2:]] == ["task 'give'", "flow 'f'"]


def test_what_has_not_ended_when_nobody_listens_any_more_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("give"))
    with timing.DurationListener(engine):
        engine.atom_notifier.notify(states.RUNNING, {"task_name": "give", "task_uuid": "u", "old_state": "PENDING"})
    assert [record.getMessage() for record in caplog.records] == ["task 'give' has not ended"]


def test_a_listener_is_registered_once_and_leaves_nothing_behind() -> None:
    engine = loaded(Give("give"))
    with capturing.CaptureListener(engine, task_listen_for=["SUCCESS", "SUCCESS"], retry_listen_for=None) as listener:
        listener.register()
        engine.run()
    assert [(kind, state) for kind, state, _ in listener.values] == [
        ("flow", "RUNNING"),
        ("task", "SUCCESS"),
        ("flow", "SUCCESS"),
    ]
    assert len(engine.notifier) == len(engine.atom_notifier) == 0


def test_a_listener_that_asks_for_what_cannot_be_heard_leaves_nothing_behind() -> None:
    engine = SimpleNamespace(notifier=RestrictedNotifier(["SUCCESS"], allow_any=False), atom_notifier=Notifier())
    with pytest.raises(ValueError, match="nobody can register"):
        base.Listener(engine).register()
    assert len(engine.notifier) == len(engine.atom_notifier) == 0


class Job:
    """A job as boards have it."""

    state = states.CLAIMED


class Board:
    """A board where one owner has every job."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner

    def find_owner(self, job: Job) -> str:
        if self.owner is None:
            raise exceptions.NotFound("no such job")
        return self.owner


def state_after_run(job: Job, board: Board) -> str:
    engine = loaded(Give("give"), Give("again"))
    engine.compile()
    with claims.CheckingClaimListener(engine, job, board, "me"):
        engine.run()
    return str(engine.storage.get_flow_state())


def test_an_engine_runs_on_while_its_job_is_claimed() -> None:
    assert state_after_run(Job(), Board("me")) == states.SUCCESS


@pytest.mark.parametrize("owner", ["somebody else", None])
def test_an_engine_whose_job_is_lost_is_suspended(owner: str | None) -> None:
    assert state_after_run(Job(), Board(owner)) == states.SUSPENDED


def test_a_job_that_nobody_claims_is_lost() -> None:
    job = Job()
    job.state = states.UNCLAIMED
    assert state_after_run(job, Board("me")) == states.SUSPENDED


def test_who_wants_to_know_of_a_lost_job_is_called_instead() -> None:
    engine = loaded(Give("give"))
    lost: list[tuple[Any, str]] = []
    with claims.CheckingClaimListener(engine, Job(), Board("you"), "me", lambda *told: lost.append(told[:2])):
        engine.run()
    assert lost[0] == (engine, states.RUNNING)
    assert engine.storage.get_flow_state() == states.SUCCESS


def test_an_engine_that_cannot_be_suspended_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("give"))  # not compiled yet
    listener = claims.CheckingClaimListener(engine, Job(), Board("you"), "me")
    with listener:
        engine.notifier.notify(states.RUNNING, {"flow_name": "f", "flow_uuid": "u"})
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["the", "could"]


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        claims.CheckingClaimListener(loaded(Give("give")), Job(), Board("me"), "me", on_job_loss=1)  # type: ignore[arg-type]
