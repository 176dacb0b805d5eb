"""What storage keeps of a flow in TaskFlow's words, above all where TaskFlow itself goes wrong."""

from __future__ import annotations

from contextlib import closing
from threading import Thread

import pytest

from flowbook.taskflow import exceptions, states
from flowbook.taskflow.persistence.backends.impl_memory import Connection, MemoryBackend
from flowbook.taskflow.persistence.models import AtomDetail, FlowDetail, LogBook, RetryDetail, TaskDetail
from flowbook.taskflow.retry import Times
from flowbook.taskflow.storage import Storage
from flowbook.taskflow.task import Task
from flowbook.taskflow.types.failure import Failure


class Work(Task):
    """Does nothing."""

    def execute(self) -> None:
        """Give nothing."""


def failure(text: str = "no luck") -> Failure:
    return Failure.from_exception(RuntimeError(text))


def kept(backend: MemoryBackend) -> FlowDetail:
    """Return a flow detail that the backend keeps."""
    book = LogBook("book")
    flow = FlowDetail("flow", "flow-1")
    book.add(flow)
    with closing(backend.get_connection()) as connection:
        connection.save_logbook(book)
    return flow


def read_back(backend: MemoryBackend) -> Storage:
    with closing(backend.get_connection()) as connection:
        return Storage(connection.get_flow_details("flow-1"), backend)


@pytest.fixture
def flow() -> FlowDetail:
    return FlowDetail("flow", "flow-1")


@pytest.fixture
def storage(flow: FlowDetail) -> Storage:
    return Storage(flow)


# -- attempts: what a later one makes good is gone --


def test_a_failure_that_a_later_attempt_made_good_is_no_failure_of_the_flow(storage: Storage) -> None:
    storage.ensure_atom(Work("task"))
    storage.save("task", failure(), states.FAILURE)
    assert storage.has_failures()
    storage.reset("task")
    storage.save("task", "well")
    assert (storage.get_failures(), storage.has_failures()) == ({}, False)


@pytest.mark.parametrize("state", [states.PENDING, states.RUNNING])
def test_a_task_that_is_to_be_tried_again_has_no_failure(storage: Storage, flow: FlowDetail, state: str) -> None:
    storage.ensure_atom(Work("task"))
    storage.save("task", failure(), states.FAILURE)
    flow.find(storage.get_atom_uuid("task")).state = state  # type: ignore[union-attr]
    assert (storage.get_failures(), storage.has_failures()) == ({}, False)
    with pytest.raises(exceptions.NotFound):
        storage.get("task")


def test_a_task_that_is_pending_again_has_nothing_of_its_earlier_attempt() -> None:
    backend = MemoryBackend()
    storage = Storage(kept(backend), backend)
    storage.ensure_atom(Work("task"))
    storage.save("task", failure(), states.FAILURE)
    storage.set_atom_state("task", states.PENDING)
    again = read_back(backend)
    again.set_atom_state("task", states.SUCCESS)
    assert again.get("task") is None


def test_a_failure_counts_while_the_task_is_reverted_and_afterwards(storage: Storage) -> None:
    storage.ensure_atom(Work("task"))
    reason = failure()
    storage.save("task", reason, states.FAILURE)
    for state in (states.REVERTING, states.REVERTED):
        storage.set_atom_state("task", state)
        assert storage.get_failures() == {"task": reason}


def test_a_failed_revert_stands_beside_the_failure_that_led_to_it(storage: Storage) -> None:
    storage.ensure_atom(Work("task"))
    reason, second = failure("first"), failure("second")
    storage.save("task", reason, states.FAILURE)
    storage.save("task", second, states.REVERT_FAILURE)
    assert storage.get_execute_failures()["task"] is reason
    assert storage.get_revert_failures()["task"] is second


def test_an_atom_has_one_failure_in_an_attempt_of_its_retry(storage: Storage) -> None:
    storage.ensure_atom(Times(name="retry"))
    storage.save("retry", 1)
    storage.save_retry_failure("retry", "task", failure("first"))
    storage.save_retry_failure("retry", "task", failure("second"))
    [(result, failures)] = list(storage.get_retry_history("retry"))
    assert (result, failures["task"].exception_str) == (1, "first")


def test_a_retry_without_an_attempt_has_none_that_failed(storage: Storage) -> None:
    storage.ensure_atom(Times(name="retry"))
    with pytest.raises(exceptions.StorageFailure):
        storage.save_retry_failure("retry", "task", failure())


# -- writing --


class FullConnection(Connection):
    """Refuses to write atoms, and counts how often it was asked to."""

    asked = 0

    def update_atom_details(self, atom_detail: AtomDetail) -> AtomDetail:
        """Raise StorageFailure."""
        FullConnection.asked += 1
        raise exceptions.StorageFailure("the disk is full")


class FullBackend(MemoryBackend):
    """Has no room for what becomes of atoms."""

    def get_connection(self) -> FullConnection:
        """Return a connection that writes no atoms."""
        return FullConnection(self)


def test_a_write_that_fails_is_not_tried_again_and_changes_nothing() -> None:
    backend = FullBackend()
    storage = Storage(kept(backend), backend)
    asked = FullConnection.asked
    storage.ensure_atom(Work("task"))
    with pytest.raises(exceptions.StorageFailure):
        storage.save("task", "result")
    assert (FullConnection.asked - asked, storage.get_atom_state("task")) == (1, states.PENDING)


def test_all_that_is_saved_is_read_back() -> None:
    backend = MemoryBackend()
    storage = Storage(kept(backend), backend)
    storage.ensure_atoms([Work("task", provides="x"), Times(name="retry")])
    storage.save("task", 5)
    storage.save("retry", 1)
    storage.save_retry_failure("retry", "task", failure())
    storage.set_task_progress("task", 0.5, {"at": "half"})
    storage.inject({"y": 6})
    storage.inject_atom_args("task", {"z": 7}, transient=False)
    storage.update_flow_metadata({"owner": "me"})
    storage.change_flow_state(states.RUNNING)
    again = read_back(backend)
    again.ensure_atom(Work("task", provides="x"))
    assert again.fetch_all() == {"x": 5, "y": 6}
    assert again.injected_for("task") == {"z": 7}
    assert again.get_task_progress_details("task") == {"at_progress": 0.5, "details": {"at": "half"}}
    assert again.get_retry_history("retry").caused_by(RuntimeError)
    assert (again.flow_meta, again.get_flow_state()) == ({"owner": "me"}, states.RUNNING)


def test_an_exception_comes_back_as_the_object_it_was() -> None:
    backend = MemoryBackend()
    storage = Storage(kept(backend), backend)
    storage.ensure_atom(Work("task"))
    reason = failure()
    storage.save("task", reason, states.FAILURE)
    assert storage.get("task") is reason
    assert storage.get_failures()["task"] is reason


def test_a_result_is_never_copied(storage: Storage) -> None:
    storage.ensure_atom(Work("task", provides="x"))
    result = object()
    storage.save("task", result)
    assert storage.fetch("x") is result
    assert storage.get("task") is result


def test_what_others_change_in_the_details_is_seen(storage: Storage, flow: FlowDetail) -> None:
    detail = flow.find(storage.ensure_atom(Work("task", provides="x")))
    assert detail is not None
    detail.put(states.SUCCESS, 5)
    assert (storage.get_atom_state("task"), storage.fetch_all()) == (states.SUCCESS, {"x": 5})


def test_a_detail_stays_the_same_object_when_it_is_written() -> None:
    backend = MemoryBackend()
    flow = kept(backend)
    storage = Storage(flow, backend)
    detail = flow.find(storage.ensure_atom(Work("task")))
    storage.save("task", 1)
    storage.ensure_atom(Work("other"))
    assert flow.find(storage.get_atom_uuid("task")) is detail


# -- values --


def test_of_two_injected_values_the_one_that_is_written_counts(storage: Storage) -> None:
    storage.inject({"x": "passing", "y": "passing"}, transient=True)
    storage.inject({"x": "kept"})
    assert storage.injected_inputs() == {"x": "kept", "y": "passing"}
    assert storage.fetch_all() == {"x": ["kept", "passing"], "y": "passing"}


def test_what_is_given_to_one_atom_comes_before_all_else(storage: Storage) -> None:
    storage.ensure_atom(Work("task"))
    storage.inject({"x": "all"})
    storage.inject_atom_args("task", {"x": "kept", "y": "kept"}, transient=False)
    storage.inject_atom_args("task", {"x": "passing"})
    assert storage.injected_for("task") == {"x": "passing", "y": "kept"}
    assert storage.fetch_mapped_args({"a": "x", "b": "y"}, "task") == {"a": "passing", "b": "kept"}


def test_a_provider_that_is_not_ready_hides_none_that_is(storage: Storage) -> None:
    storage.ensure_atoms([Work("later", provides="x"), Work("task", provides="x")])
    storage.save("task", 5)
    assert storage.fetch("x") == 5
    storage.inject({"x": "given"})
    assert storage.fetch("x") == "given"


def test_the_nearest_scope_counts_whose_provider_was_not_ignored(flow: FlowDetail) -> None:
    scopes = {"consumer": [["near"], ["late", "early"]]}
    storage = Storage(flow, scope_fetcher=scopes.get)
    storage.ensure_atoms(Work(name, provides="x") for name in ("early", "late", "near"))
    storage.ensure_atom(Work("consumer"))
    for name in ("early", "late", "near"):
        storage.save(name, name)
    assert storage.fetch_mapped_args({"x": "x"}, "consumer") == {"x": "near"}
    storage.set_atom_state("near", states.IGNORE)
    assert storage.fetch_mapped_args({"x": "x"}, "consumer") == {"x": "late"}


def test_an_argument_is_unsatisfied_unless_it_is_injected_or_somebody_visible_provides_it(flow: FlowDetail) -> None:
    scopes = {"consumer": [["near"]]}
    storage = Storage(flow, scope_fetcher=scopes.get)
    storage.ensure_atoms([Work("near", provides="x"), Work("hidden", provides="y"), Work("consumer")])
    storage.inject({"z": 1})
    wanted = {name: name for name in ("x", "y", "z", "nobodys", "maybe")}
    assert storage.fetch_unsatisfied_args("consumer", wanted, optional_args={"maybe"}) == {"y", "nobodys"}


def test_an_optional_argument_without_a_value_is_left_out(flow: FlowDetail) -> None:
    scopes = {"consumer": [["near"]]}
    storage = Storage(flow, scope_fetcher=scopes.get)
    storage.ensure_atoms([Work("near", provides="x"), Work("consumer")])
    assert storage.fetch_mapped_args({"x": "x"}, "consumer", optional_args={"x"}) == {}
    with pytest.raises(exceptions.NotFound):
        storage.fetch_mapped_args({"x": "x"}, "consumer")


def test_of_a_result_that_lacks_what_it_should_provide_the_rest_is_found(storage: Storage) -> None:
    storage.ensure_atom(Work("task", provides=("x", "y")))
    storage.save("task", ("only x",))
    assert storage.fetch_all() == {"x": "only x"}


# -- details --


def test_what_is_known_of_a_logbook_is_told_line_by_line() -> None:
    book, flow = LogBook("book", "b-1"), FlowDetail("flow", "flow-1", state=states.RUNNING)
    book.add(flow)
    flow.add(TaskDetail("task", "task-1"))
    told = book.pformat(linesep="\n").splitlines()
    assert [line for line in told if "- " not in line] == [
        "LogBook: 'book'",
        " FlowDetail: 'flow'",
        "  TaskDetail: 'task'",
    ]
    assert {" - uuid = b-1", "  - state = RUNNING", "   - intention = EXECUTE"} <= set(told)


def test_the_history_of_a_copy_is_its_own() -> None:
    retry = RetryDetail("retry", "retry-1")
    retry.put(states.SUCCESS, 1)
    retry.copy().last_failures["task"] = failure()
    assert retry.last_failures == {}


def test_who_reads_does_not_wait_for_one_who_writes(storage: Storage) -> None:
    storage.ensure_atom(Work("task", provides="x"))
    storage.save("task", 5)
    found: list[object] = []
    reader = Thread(target=lambda: found.extend([storage.fetch("x"), storage.get_atom_state("task")]))
    with storage.lock.write_lock():
        reader.start()
        reader.join(timeout=10)
    assert found == [5, states.SUCCESS]
