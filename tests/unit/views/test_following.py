"""Following a run by its logbook tells what its engine tells, in the same words and in order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from acceptance.schemas import check
from flowbook.atoms import Task, Times, task
from flowbook.engines import Engine, load, suspend
from flowbook.engines.context import current
from flowbook.events import ANY, PROGRESS, Notice
from flowbook.exceptions import NotFound
from flowbook.flows import LinearFlow
from flowbook.persistence import Backend, FlowSummary, Query, fetch
from flowbook.persistence.memory import MemoryBackend
from flowbook.states import FlowState
from flowbook.views.atoms import view_atom
from flowbook.views.details import FailureView, view_run
from flowbook.views.following import Following, InEngine, RunEvent
from flowbook.views.schemas import EVENT


@pytest.fixture
def backend() -> Backend:
    return fetch("memory:?strict=true")


@task
def quick() -> None: ...


class Flaky(Task):
    """Fails the first time."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls = 0

    def execute(self) -> None:
        self.calls += 1
        if self.calls == 1:
            raise ValueError("no luck")


def told(notices: Sequence[Notice]) -> list[tuple[str, str]]:
    return [(notice.atom, str(notice.state)) for notice in notices]


def run(engine: Engine) -> None:
    for _ in engine.run_iter():
        pass


def test_the_first_look_gives_what_runs_and_says_what_was_saved(backend: Backend) -> None:
    looks: list[Sequence[Notice]] = []
    saved: list[Sequence[str]] = []

    @task
    def looking() -> None:
        following = Following(backend, "r1")
        looks.append(following.look())
        saved.append(following.saved())

    run(load(LinearFlow("two").add(quick, looking), backend=backend, run_id="r1"))
    assert [told(notices) for notices in looks] == [[("", "RUNNING"), ("looking", "RUNNING")]]
    assert saved == [("quick",)]


def test_what_happened_between_two_looks_is_told_as_the_engine_told_it(backend: Backend) -> None:
    followed: list[Following] = []

    @task
    def looking() -> None:
        followed.append(Following(backend, "r1"))
        followed[0].look()

    flow = LinearFlow("more").add(looking, LinearFlow("inner", retry=Times(2)).add(Flaky("flaky")), quick)
    engine = load(flow, backend=backend, run_id="r1")
    heard: list[Notice] = []
    engine.atom_notifier.register(ANY, heard.append)
    run(engine)
    following = followed[0]
    atoms = [notice for notice in following.look() if notice.atom]
    # What leads nowhere else is overtaken between two looks: that a retry waits, and that an atom is PENDING again.
    passing = {("inner_retry", "RETRYING"), ("flaky", "PENDING"), ("looking", "RUNNING")}
    for name in ("looking", "flaky", "inner_retry", "quick"):
        ours = [one for one in told(atoms) if one[0] == name]
        assert ours == [one for one in told(heard) if one[0] == name and one not in passing]
    assert [one.at for one in atoms] == sorted(one.at for one in atoms)
    assert {(one.atom, one.kind) for one in atoms} == {(one.atom, one.kind) for one in heard}


def test_progress_is_told_once_for_each_word_of_it(backend: Backend) -> None:
    looks: list[Sequence[Notice]] = []

    @task
    def telling() -> None:
        following = Following(backend, "r1")
        current().update_progress(0.5)
        looks.append(following.look())
        looks.append(following.look())

    run(load(LinearFlow("one").add(telling), backend=backend, run_id="r1"))
    first = [notice.progress for notice in looks[0] if notice.state == PROGRESS]
    assert first == [0.5]
    assert looks[1] == []


def test_a_failure_is_told_with_its_reason_until_the_atom_begins_anew(backend: Backend) -> None:
    failed: list[Notice] = []
    engine = load(LinearFlow("one").add(Flaky("flaky")), backend=backend, run_id="r1")
    engine.atom_notifier.register("FAILURE", failed.append)
    source = InEngine(engine)
    reasons: list[FailureView | None] = []
    engine.atom_notifier.register("FAILURE", lambda notice: reasons.append(source.failure(notice)))
    run(engine)
    following = Following(backend, "r1")
    following.look()
    assert [str(reason) for reason in reasons] == [str(following.failure(failed[0]))] == ["ValueError: no luck"]


def test_under_a_retry_the_attempt_is_that_of_its_round(backend: Backend) -> None:
    class Most(Times):
        attempts = 3

    engine = load(LinearFlow("some", retry=Most(3)).add(Flaky("flaky")), backend=backend, run_id="r1")
    source = InEngine(engine)
    attempts: list[tuple[str, tuple[int, int | None]]] = []
    engine.atom_notifier.register("RUNNING", lambda notice: attempts.append((notice.atom, source.attempt(notice))))
    run(engine)
    assert [attempt for name, attempt in attempts if name == "flaky"] == [(1, 3), (2, 3)]
    assert [attempt for name, attempt in attempts if name == "some_retry"] == [(1, None), (1, None)]


def test_a_run_that_has_ended_is_over_and_so_is_one_that_nobody_works_on(backend: Backend) -> None:
    @task
    def suspending() -> None:
        assert suspend(backend, "left")

    ended = load(LinearFlow("one").add(quick), backend=backend, run_id="ended")
    run(ended)
    left = load(LinearFlow("two").add(quick, suspending), backend=backend, run_id="left")
    iterator = left.run_iter()
    next(iterator)
    following = Following(backend, "left")
    following.look()
    assert (following.is_over, following.is_worked_on, following.state) == (False, True, FlowState.RUNNING)
    iterator.close()  # type: ignore[attr-defined]  # it is a generator, and closing it suspends
    assert len(list(following.looks())) == 1
    assert (following.is_over, following.is_worked_on, following.state) == (True, False, FlowState.SUSPENDED)
    assert len(list(Following(backend, "ended").looks())) == 1


def test_looking_ends_after_its_time_while_the_run_goes_on(backend: Backend) -> None:
    counts: list[int] = []

    @task
    def looking() -> None:
        counts.append(len(list(Following(backend, "r1").looks(0.01, timeout_s=0.0))))

    run(load(LinearFlow("one").add(looking), backend=backend, run_id="r1"))
    assert counts == [1]


def test_with_the_flow_alone_nothing_is_heard_of_atoms(backend: Backend) -> None:
    looks: list[Sequence[Notice]] = []

    @task
    def looking() -> None:
        looks.append(Following(backend, "r1", ("flow",)).look())

    run(load(LinearFlow("two").add(quick, looking), backend=backend, run_id="r1"))
    assert [notice for notices in looks for notice in notices if notice.atom] == []


def test_a_run_that_is_not_there_is_not_followed(backend: Backend) -> None:
    with pytest.raises(NotFound):
        Following(backend, "none")


@pytest.mark.parametrize(
    ("notice", "event", "state"),
    [
        (Notice("r1", "f", "task", "a", "SUCCESS", "RUNNING", 0.0, 1), "atom", "SUCCESS"),
        (Notice("r1", "f", "task", "a", PROGRESS, "RUNNING", 0.0, 1, 0.5), "progress", "RUNNING"),
        (Notice("r1", "f", "flow", "", "SUSPENDED", "SUSPENDING", 0.0), "flow", "SUSPENDED"),
    ],
)
def test_a_notice_is_an_event_whose_document_fits_its_schema(notice: Notice, event: str, state: str) -> None:
    document = RunEvent.from_notice(notice, "a word").document()
    check(document, EVENT.json_schema())
    assert (document["event"], document["state"], document["message"]) == (event, state, "a word")
    assert (document["atom"], document["progress"]) == (notice.atom, notice.progress)


# -- asking a run to suspend --


def test_a_run_is_asked_to_suspend_where_somebody_works_on_it(backend: Backend) -> None:
    asked: list[bool] = []

    @task
    def asking() -> None:
        asked.append(suspend(backend, "r1"))

    engine = load(LinearFlow("two").add(asking, quick), backend=backend, run_id="r1", lease_s=0.1)
    run(engine)
    assert asked == [True]
    assert not suspend(backend, "r1")


def test_a_run_that_is_not_there_is_not_asked(backend: Backend) -> None:
    with pytest.raises(NotFound):
        suspend(backend, "none")


class Asked(MemoryBackend):
    """Keeps what it was asked to find."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[Query] = []

    def find(self, query: Query) -> Sequence[FlowSummary]:
        self.queries.append(query)
        return super().find(query)


def test_the_owner_of_one_run_is_not_looked_for_among_all_runs() -> None:
    backend = Asked()

    @task
    def looking() -> None:
        following = Following(backend, "r1")
        following.look()
        assert following.owner is not None
        assert view_run(backend, "r1").owner == following.owner
        assert view_atom(backend, "r1", "looking").atom.state == "RUNNING"
        assert suspend(backend, "r1")

    for run_id in ("r11", "r1"):
        run(load(LinearFlow("one").add(looking if run_id == "r1" else quick), backend=backend, run_id=run_id))
    assert set(backend.queries) == {Query(flow="r1")}
