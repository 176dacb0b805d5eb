"""The commands to go on with, and the words in which an error is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowbook import LinearFlow, engines, persistence, task
from flowbook.cli.session import Session
from flowbook.cli.summary import allowance, hints_of
from flowbook.cli.trouble import parts_of
from flowbook.exceptions import FlowChanged, FlowOwned, InputsChanged, OwnershipLost
from flowbook.persistence.backend import Backend


@task
def one() -> None: ...


def build() -> LinearFlow:
    return LinearFlow("flow").add(one)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with persistence.fetch("memory:") as opened:
        yield opened


def test_a_command_to_resume_allows_what_the_run_recorded(backend: Backend) -> None:
    engines.load_from_factory(build, backend=backend, run_id="r1").run()
    assert allowance(backend, "r1") == build.__module__
    hints = hints_of(backend, "r1", "sqlite:///my runs.db")
    allow = f"--backend 'sqlite:///my runs.db' --allow {build.__module__}"
    assert hints.resume("--rerun") == f"flowbook resume r1 --rerun {allow}"


def test_where_nothing_recorded_builds_the_flow_no_command_is_told_that_would_be_refused(backend: Backend) -> None:
    engines.run(build(), backend=backend, run_id="r1")
    assert allowance(backend, "r1") is None
    assert hints_of(backend, "r1", "").resume() == "run the program that began it again, with the run id 'r1'"


def test_a_lost_claim_is_told_of_the_storage_and_not_of_the_file_of_the_flow() -> None:
    session = Session(storage="sqlite:///runs.db")
    session.look_at("orders.py::flow")
    parts = parts_of(OwnershipLost("flow:my run", 3), session)
    assert (parts.where, parts.todo) == ("sqlite:///runs.db", "another process runs it: flowbook watch 'my run'")


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (FlowOwned("flow:r1", "there:1", "today"), "resume --wait; or take the run from it: --take-over"),
        (InputsChanged("r1", ["n"]), "or choose another --run-id"),
        (FlowChanged("r1", ["a is gone"]), "or start a new run under another --run-id"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_to_do_is_told_in_the_words_of_the_command_line(error: Exception, end: str) -> None:
    assert parts_of(error, Session()).todo.endswith(end)
