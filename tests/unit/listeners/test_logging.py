"""Log records of notices: their levels, what led to failures, and what is masked."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from flowbook import LinearFlow, Task, UnorderedFlow, engines
from flowbook.engines import Engine
from flowbook.engines.core.arguments import NotProvided
from flowbook.exceptions import WrongType
from flowbook.failure import Failure
from flowbook.listeners import DynamicLoggingListener, LoggingListener
from flowbook.listeners.surroundings import BEFORE_MAX
from unit.listeners.tasks import Fail, FailToRevert, Give, loaded

LOGGER = "test.listeners"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    with caplog.at_level(logging.DEBUG, LOGGER):
        yield logging.getLogger(LOGGER)


def failing(engine: Engine) -> None:
    with pytest.raises(Exception, match=r"failed|undone"):
        engine.run()


def levels(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    """Return the first line of each record without the run, and its level."""
    lines = [(record.getMessage().splitlines()[0], record.levelno) for record in caplog.records]
    return [(line.removeprefix("r: "), level) for line, level in lines]


def test_plain_logging_has_one_level_and_a_traceback_where_something_failed(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(Give("a", "secret"), Fail("b"))
    with LoggingListener(engine, log=log, level=logging.INFO):
        failing(engine)
    assert levels(caplog) == [
        ("flow 'f' is RUNNING, was PENDING", logging.INFO),
        ("task 'a' is RUNNING, was PENDING", logging.INFO),
        ("task 'a' is SUCCESS, was RUNNING", logging.INFO),
        ("task 'b' is RUNNING, was PENDING", logging.INFO),
        ("task 'b' is FAILURE, was RUNNING: ValueError: b failed", logging.INFO),
        ("task 'b' is REVERTING, was FAILURE", logging.INFO),
        ("task 'b' is REVERTED, was REVERTING", logging.INFO),
        ("task 'a' is REVERTING, was SUCCESS", logging.INFO),
        ("task 'a' is REVERTED, was REVERTING", logging.INFO),
        ("flow 'f' is REVERTED, was RUNNING", logging.INFO),
    ]
    assert ["the first cause" in caplog.handler.format(r) for r in caplog.records] == [False] * 4 + [True] + [False] * 5
    assert "secret" not in caplog.text


def test_without_a_logger_the_one_of_the_module_is_used(caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("a"))
    name = "flowbook.listeners.logging"
    with caplog.at_level(logging.DEBUG, name), LoggingListener(engine), DynamicLoggingListener(engine):
        engine.run()
    assert [record.name for record in caplog.records if record.levelno == logging.DEBUG] == [name] * 8


@pytest.mark.parametrize("listener", [LoggingListener, DynamicLoggingListener])
def test_nothing_is_made_for_a_level_that_is_off(
    listener: type[LoggingListener] | type[DynamicLoggingListener],
    log: logging.Logger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log.setLevel(logging.INFO)
    engine = loaded(Give("a"))
    with listener(engine, log=log):
        engine.run()
    assert caplog.records == []


def test_dynamic_logging_shows_results_and_raises_the_level_of_trouble(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(Give("a", 5, provides="x"), Fail("b"))
    with DynamicLoggingListener(engine, log=log, failure_level=logging.ERROR):
        failing(engine)
    assert levels(caplog) == [
        ("flow 'f' is RUNNING, was PENDING", logging.DEBUG),
        ("task 'a' is RUNNING, was PENDING", logging.DEBUG),
        ("task 'a' is SUCCESS, was RUNNING", logging.DEBUG),
        ("task 'b' is RUNNING, was PENDING", logging.DEBUG),
        ("task 'b' is FAILURE, was RUNNING: ValueError: b failed", logging.ERROR),
        ("task 'b' is REVERTING, was FAILURE", logging.DEBUG),
        ("task 'b' is REVERTED, was REVERTING", logging.ERROR),
        ("task 'a' is REVERTING, was SUCCESS", logging.DEBUG),
        ("task 'a' is REVERTED, was REVERTING", logging.ERROR),
        ("flow 'f' is REVERTED, was RUNNING", logging.ERROR),
    ]
    assert caplog.records[2].getMessage().splitlines()[1:] == ["  gave {'x': 5}"]


def text_of_failure(engine: Engine, log: logging.Logger, caplog: pytest.LogCaptureFixture, **options: object) -> str:
    """Return what is logged of the one failure, without its traceback."""
    with DynamicLoggingListener(engine, log=log, **options):  # type: ignore[arg-type]
        failing(engine)
    (record,) = [record for record in caplog.records if "FAILURE, was" in record.getMessage()]
    assert record.exc_info is not None
    return record.getMessage()


def test_a_failure_is_logged_with_its_inputs_and_what_came_before_it(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(
        Give("first", 1, provides="x", requires="start"),
        Give("second", (2, 3), provides=("y", "z"), inject={"fixed": True}),
        Fail("third", requires=("x", "y")),
        Give("fourth"),
        start=0,
    )
    assert text_of_failure(engine, log, caplog).splitlines() == [
        "r: task 'third' is FAILURE, was RUNNING: ValueError: third failed",
        "  called with {'x': 1, 'y': 2}",
        "  before it, the nearest first:",
        "    'second' is SUCCESS, called with {'fixed': True}, gave {'y': 2, 'z': 3}",
        "    'first' is SUCCESS, called with {'start': 0}, gave {'x': 1}",
    ]


def test_symbols_and_keys_are_masked_in_inputs_and_outputs_apart(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(
        Give("login", {"user": "ann", "token": "hunter2"}, provides="session"),
        Give("draw", "hunter3", provides="pin"),
        Fail("pay", rebind={"code": "pin", "who": "session"}),
    )
    options = {"mask_inputs_keys": ("pin", "token"), "mask_outputs_keys": ("pin", "token")}
    text = text_of_failure(engine, log, caplog, **options)
    assert text.splitlines()[1:] == [
        "  called with {'code': '***', 'who': {'token': '***', 'user': 'ann'}}",
        "  before it, the nearest first:",
        "    'draw' is SUCCESS, gave {'pin': '***'}",
        "    'login' is SUCCESS, gave {'session': {'token': '***', 'user': 'ann'}}",
    ]
    assert "hunter" not in caplog.text


def test_nothing_of_atoms_that_hide_theirs_is_told(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("a", "secret", provides="x"), Fail("b", requires="x"))
    text = text_of_failure(engine, log, caplog, hide_inputs_outputs_of=("a", "b"))
    assert text.splitlines()[1:] == ["  before it, the nearest first:", "    'a' is SUCCESS"]
    assert "secret" not in caplog.text


def test_a_failed_revert_is_logged_with_what_revert_was_called_with(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    class Undo(FailToRevert):
        def revert(self, x: int, result: object, flow_failures: object) -> None:  # type: ignore[override]
            super().revert()

    engine = loaded(Undo("a", "secret"), Fail("b"), x=1)
    with DynamicLoggingListener(engine, log=log, atom_states=("REVERT_FAILURE",), flow_states=()):
        failing(engine)
    (record,) = caplog.records
    assert record.getMessage().splitlines() == [
        "r: task 'a' is REVERT_FAILURE, was REVERTING: OSError: cannot be undone",
        "  called with {'x': 1}",
    ]


def test_a_failure_without_its_exception_is_logged_with_the_text_of_its_traceback(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(Fail("a"))

    def forget_exception(state: object) -> None:
        failure = engine.storage.get("a")
        assert isinstance(failure, Failure)
        assert failure.traceback_str
        assert failure.causes[0].traceback_str
        for each in (failure, *failure.causes):
            each.exception = None

    engine.atom_notifier.register("FAILURE", forget_exception)
    with DynamicLoggingListener(engine, log=log, atom_states=("FAILURE",), flow_states=()):
        failing(engine)
    (record,) = caplog.records
    assert record.exc_info is None
    first, middle, last = record.getMessage().partition("which led to:")
    assert first.rstrip().endswith("LookupError: the first cause")
    assert middle
    assert last.rstrip().endswith("ValueError: a failed")


def stages(count: int, wide: int) -> Engine:
    """Return an engine for stages of parallel tasks, after which one fails."""
    flow = LinearFlow("f")
    for stage in range(count):
        flow.add(UnorderedFlow(f"stage {stage}").add(*(Give(f"t{stage}.{number}") for number in range(wide))))
    return engines.load(flow.add(Fail("last")), run_id="r")


def test_each_atom_before_a_failure_is_told_once_however_many_ways_lead_to_it(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    text = text_of_failure(stages(7, 4), log, caplog)
    names = [f"t{stage}.{number}" for stage in range(7) for number in range(4)]
    assert [text.count(repr(name)) for name in names] == [1] * 28
    assert len(text.splitlines()) == 2 + 28
    assert text.index("'t6.") < text.index("'t0.")


def test_of_a_great_many_atoms_before_a_failure_only_the_nearest_are_told(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = loaded(*(Give(f"t{number}") for number in range(BEFORE_MAX + 1)), Fail("last"))
    lines = text_of_failure(engine, log, caplog).splitlines()
    assert len(lines) == 2 + BEFORE_MAX + 1
    assert lines[2] == "    't50' is SUCCESS"
    assert lines[-2:] == ["    't1' is SUCCESS", "    ..."]


def test_values_are_cut_where_they_are_long(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    engine = loaded(Give("a", ["x" * 100_000] * 100_000, provides="x"), Fail("b", requires="x"))
    assert len(text_of_failure(engine, log, caplog, mask_inputs_keys=("y",))) < 20_000


def test_of_an_atom_that_lacks_arguments_only_what_came_before_is_told(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    class Need(Task):
        def execute(self, y: object) -> None:
            raise AssertionError("it has no y")

    engine = loaded(Give("a", ["only x"], provides=("x", "y")), Need("b"))
    with (
        DynamicLoggingListener(engine, log=log, atom_states=("FAILURE",), flow_states=()),
        pytest.raises(NotProvided),
    ):
        engine.run()
    assert caplog.records[0].getMessage().splitlines()[1:3] == [
        "  before it, the nearest first:",
        "    'a' is SUCCESS, gave {'x': 'only x'}",
    ]


@pytest.mark.parametrize("option", ["hide_inputs_outputs_of", "mask_inputs_keys", "mask_outputs_keys"])
def test_a_single_text_is_no_collection_of_names(option: str) -> None:
    engine = engines.load(LinearFlow("f"))
    with pytest.raises(WrongType, match=option):
        DynamicLoggingListener(engine, **{option: "secret"})
