"""What an error says, and that a plain traceback says all of it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback

import pytest

from flowbook.exceptions import (
    CompilationFailure,
    Damaged,
    FactoryRefused,
    FlowbookError,
    FlowOwned,
    NotALogbook,
    NotFound,
    NotPossible,
    OwnershipLost,
    Problem,
    StorageBusy,
    WrongType,
)


def printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_a_traceback_says_what_to_allow() -> None:
    last = printed(FactoryRefused("r", "mod:make", "mod")).splitlines()[-1]
    assert "--allow mod" in last
    assert "allow=['mod']" in last


def test_a_traceback_says_where_why_and_what_to_do_in_this_order() -> None:
    lines = printed(StorageBusy("sqlite:///runs.db", "database is locked")).splitlines()
    assert lines[-3:] == [
        "  where: sqlite:///runs.db",
        "  why: database is locked",
        "  do: run it again: it continues where it stopped",
    ]


def test_the_interpreter_prints_it_too_at_its_end() -> None:
    program = "from flowbook.exceptions import FactoryRefused; raise FactoryRefused('r', 'mod:make', 'mod')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "allow=['mod']" in ended.stderr.splitlines()[-1]


def test_what_the_text_says_already_is_not_said_again() -> None:
    error = NotPossible("f (a.py:3) takes nothing", where="a.py:3")
    assert error.__notes__ == []
    assert CompilationFailure("f", [Problem("no", ("a.py:3", "b.py:4"))]).__notes__ == []


def test_an_error_without_more_to_say_has_no_notes() -> None:
    assert printed(NotPossible("no")).splitlines()[-1] == "flowbook.exceptions.NotPossible: no"


def test_notes_of_the_program_stand_behind_ours() -> None:
    error = FactoryRefused("r", "mod:make", "mod")
    error.add_note("see the wiki")
    assert len(error.__notes__) == 2
    assert printed(error).splitlines()[-1] == "see the wiki"


@pytest.mark.parametrize("noted", [False, True])
def test_notes_survive_pickling(noted: bool) -> None:
    error = FactoryRefused("r", "mod:make", "mod")
    if noted:
        error.add_note("see the wiki")
    assert pickle.loads(pickle.dumps(error)).__notes__ == error.__notes__


def test_two_errors_do_not_share_their_notes() -> None:
    one, other = NotPossible("no"), NotPossible("no")
    one.add_note("mine")
    assert other.__notes__ == []


@pytest.mark.parametrize(
    "error",
    [
        FlowOwned("flow:k5", "host:7", "2026-01-02T03:04:05Z", 12.3),
        OwnershipLost("flow:k5", 3),
        NotFound("run", "k5", ["k6"]),
        WrongType("the storage", 5, "a URL", todo="give one"),
        NotPossible("no", where="here", todo="that"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_facts_survive_pickling(error: FlowbookError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.where, again.todo) == (str(error), error.where, error.todo)


def test_an_owned_run_is_called_a_run_and_can_be_taken_over() -> None:
    error = FlowOwned("flow:k5", "host:7", "2026-01-02T03:04:05Z", 12.3)
    assert str(error) == "run 'k5' is owned by host:7 since 2026-01-02T03:04:05Z, its lease ends in 12 s"
    assert "take_over=True" in error.todo
    assert "--take-over" in error.todo
    assert error.key == "flow:k5"


def test_a_run_whose_ownership_is_lost_is_called_a_run() -> None:
    error = OwnershipLost("flow:k5", 3)
    assert str(error) == "the claim on run 'k5' (epoch 3) is lost: a newer owner has taken over"
    assert (error.key, error.epoch) == ("flow:k5", 3)


def test_what_is_owned_and_no_run_is_called_by_its_key() -> None:
    assert str(FlowOwned("job:j", "host:7", "now")) == "job:j is owned by host:7 since now"


def test_a_file_of_another_program_is_not_called_damaged() -> None:
    error = NotALogbook("sqlite:///photos.db", "it has the tables albums")
    assert "damaged" not in str(error)
    assert "not a flowbook logbook" in str(error)
    assert error.todo
    assert isinstance(error, Damaged)  # who could not open it before still catches it
