"""Views show what a logbook holds, of a backend that keeps objects and of one that keeps text alike."""

from __future__ import annotations

import json
import time
from dataclasses import FrozenInstanceError

import pytest

from flowbook.atoms import Task, task
from flowbook.engines import load
from flowbook.engines.context import current
from flowbook.exceptions import NotFound
from flowbook.flows import LinearFlow
from flowbook.persistence import Backend, fetch
from flowbook.views import ending_of, find_id, list_runs, view_run
from flowbook.views.documents import list_document, run_document
from flowbook.views.runs import FAILED, GROUP, LAST


class Reserve(Task):
    default_provides = "room"

    def execute(self, guest: str) -> tuple[str, int]:
        return guest, 7

    def revert(self, result: object) -> None:
        raise OSError("cannot undo")


@task
def charge(room: object) -> None:
    raise ValueError("no money")


@task(provides="greeting")
def greet(guest: str) -> str:
    return f"hello {guest}"


@pytest.fixture(params=["memory:", "memory:?strict=true"])
def backend(request: pytest.FixtureRequest) -> Backend:
    backend = fetch(request.param)
    run(backend, "one", greet)
    run(backend, "two", Reserve("reserve"), charge)
    return backend


def run(backend: Backend, run_id: str, *atoms: Task) -> None:
    flow = LinearFlow("stay").add(*atoms)
    for _ in load(flow, {"guest": "ann"}, backend=backend, run_id=run_id, book=run_id).run_iter():
        pass


def test_runs_are_listed_newest_first_and_narrowed(backend: Backend) -> None:
    assert {row.id for row in list_runs(backend)} == {"one", "two"}
    assert [row.id for row in list_runs(backend, book="one")] == ["one"]
    assert [(row.id, row.state, row.atoms) for row in list_runs(backend, states={"FAILURE"})] == [("two", "FAILURE", 2)]
    assert len(list_runs(backend, limit=1)) == 1


def test_what_only_tells_which_runs_belong_together_is_in_no_list(backend: Backend) -> None:
    for name in ("a", "b", "c"):
        run(backend, GROUP + name, greet)
    assert {row.id for row in list_runs(backend)} == {"one", "two"}
    assert [row.id for row in list_runs(backend, limit=1)] == ["two"]
    assert len(list_runs(backend, limit=2)) == len(list_runs(backend, limit=100)) == 2
    assert list_runs(backend, book=GROUP + "a", limit=1) == ()


def test_a_run_is_viewed_with_its_atoms_in_the_order_of_the_plan(backend: Backend) -> None:
    view = view_run(backend, "two")
    assert (view.name, view.state, view.factory, view.owner) == ("stay", "FAILURE", "", None)
    assert view.inputs == {"guest": "ann"}
    assert view.counts == {"REVERT_FAILURE": 1, "REVERTED": 1}
    reserve, paid = view.atoms
    assert (reserve.name, reserve.kind, reserve.attempts, reserve.reverts) == ("reserve", "task", 1, 1)
    assert reserve.provides == ("room",)
    assert reserve.result == {"!tuple": ["ann", 7]}
    assert reserve.duration_s is not None
    assert str(paid.failure) == "ValueError: no money"
    assert str(reserve.revert_failure) == "OSError: cannot undo"
    assert view.failed == (reserve, paid)


def test_progress_is_that_of_an_attempt_under_way_and_1_after_success() -> None:
    backend = fetch("memory:")
    told: list[float | None] = []

    @task
    def half() -> None:
        current().update_progress(0.5)
        told.append(view_run(backend, "half").atoms[0].progress)

    @task
    def breaks() -> None:
        current().update_progress(0.5)
        raise ValueError("no money")

    run(backend, "half", half)
    run(backend, "breaks", half.atom(name="first"), breaks)
    assert told[0] == 0.5
    assert view_run(backend, "half").atoms[0].progress == 1.0
    assert [atom.progress for atom in view_run(backend, "breaks").atoms] == [None, None]


def test_views_are_frozen(backend: Backend) -> None:
    view = view_run(backend, "one")
    with pytest.raises(FrozenInstanceError):
        view.state = "PENDING"  # type: ignore[misc]


def test_documents_are_json_with_a_schema_and_times_in_utc(backend: Backend) -> None:
    document = json.loads(json.dumps(run_document(view_run(backend, "one"))))
    assert document["schema"] == "flowbook.show/1"
    assert document["created_at"].endswith("Z")
    assert document["atoms"][0]["result"] == "hello ann"
    rows = json.loads(json.dumps(list_document(list_runs(backend))))
    assert rows["schema"] == "flowbook.list/1"
    assert len(rows["runs"]) == 2


def test_the_beginning_of_an_id_is_enough_when_only_one_has_it(backend: Backend) -> None:
    assert find_id(backend, "on") == "one"
    run(backend, "one-more", greet)
    assert find_id(backend, "one") == "one"
    with pytest.raises(NotFound, match="2 runs begin with 'on'") as caught:
        find_id(backend, "on")
    assert caught.value.todo == "give more of the id: one, one-more"


def test_the_newest_run_and_the_newest_that_failed_have_names(backend: Backend) -> None:
    run(backend, "three", greet)
    assert (find_id(backend, LAST), find_id(backend, FAILED)) == ("three", "two")


def test_a_run_that_is_called_like_that_is_found_by_its_id(backend: Backend) -> None:
    run(backend, LAST, greet)
    run(backend, "three", greet)
    assert find_id(backend, LAST) == LAST


@pytest.mark.parametrize(
    ("word", "told"),
    [
        (LAST, "no runs are recorded: there is no @last"),
        (FAILED, "no run has failed: there is no @failed"),
        ("@lst", "there is no run '@lst'"),
    ],
)
def test_a_name_that_stands_for_no_run_says_so(word: str, told: str) -> None:
    with pytest.raises(NotFound) as caught:
        find_id(fetch("memory:"), word)
    assert str(caught.value) == told


def test_runs_are_narrowed_by_flow_and_id_and_time(backend: Backend) -> None:
    now = time.time()
    assert [row.id for row in list_runs(backend, prefix="tw")] == ["two"]
    assert list_runs(backend, name="stay") == list_runs(backend, since=now - 60, until=now)
    assert list_runs(backend, name="other") == list_runs(backend, until=now - 60) == list_runs(backend, since=now) == ()


def test_an_unknown_id_names_the_nearest(backend: Backend) -> None:
    with pytest.raises(NotFound, match="no run 'twoo'") as caught:
        find_id(backend, "twoo")
    assert caught.value.todo == "did you mean 'two'?"


def test_a_run_that_is_not_there_is_not_viewed() -> None:
    backend = fetch("memory:")
    with pytest.raises(NotFound):
        view_run(backend, "none")


def test_an_ending_counts_what_was_done_now_and_before(backend: Backend) -> None:
    flow = LinearFlow("stay").add(greet)
    engine = load(flow, {"guest": "ann"}, backend=backend, run_id="three")
    engine.run()
    assert ending_of(engine, {"greet"}).counts == {"done now": 1}
    again = load(flow, {"guest": "ann"}, backend=backend, run_id="three")
    again.run()
    ending = ending_of(again, set())
    assert (ending.counts, ending.failed) == ({"saved earlier": 1}, ())


def test_an_ending_has_both_failures() -> None:
    engine = load(LinearFlow("stay").add(Reserve("reserve"), charge), {"guest": "ann"}, backend="memory:")
    for _ in engine.run_iter():
        pass
    ending = ending_of(engine, set())
    assert ending.counts == {"failed": 2}
    assert [(one.atom, one.reverting, one.failure.type) for one in ending.failed] == [
        ("charge", False, "ValueError"),
        ("reserve", True, "OSError"),
    ]


def test_the_times_of_an_atom_are_those_of_its_execution_and_not_of_its_revert() -> None:
    backend = fetch("memory:")

    class Slow(Task):
        def execute(self) -> None:
            time.sleep(0.05)

        def revert(self) -> None:
            """Take no time."""

    class Broken(Task):
        def execute(self) -> None:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        load(LinearFlow("f").add(Slow("slow"), Broken("broken")), backend=backend, run_id="r1").run()
    slow, broken = view_run(backend, "r1").atoms
    assert (slow.state, broken.state) == ("REVERTED", "REVERTED")
    assert slow.duration_s is not None
    assert slow.duration_s >= 0.05
    assert slow.started_at is not None
    assert slow.ended_at is not None
    assert slow.started_at <= slow.ended_at
