"""One atom in full: its attempts and rounds, where its inputs come from, and why it does not run."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from flowbook.atoms import Times, task
from flowbook.engines import load
from flowbook.engines.context import current
from flowbook.engines.opening import unpack_plan
from flowbook.exceptions import Damaged, NotFound
from flowbook.flows import LinearFlow, UnorderedFlow
from flowbook.persistence import Backend, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import current_owner
from flowbook.views import AtomReport, narrowed, recorded_ending, view_atom, view_run
from flowbook.views.atoms import INPUT, atom_names


@task(provides="room")
def reserve(guest: str) -> str:
    return f"room of {guest}"


@task(provides="paid")
def charge(room: str, attempt: int) -> int:
    if attempt < 3:
        raise ValueError(f"no money {attempt}")
    return attempt


@task
def greet(guest: str) -> None: ...


@pytest.fixture(params=["memory:", "memory:?strict=true"])
def backend(request: pytest.FixtureRequest) -> Backend:
    backend: Backend = fetch(request.param)
    return backend


def run(backend: Backend, attempts: int = 3) -> None:
    inner = LinearFlow("pay", retry=Times(attempts, "again", provides="attempt")).add(charge)
    flow = LinearFlow("stay").add(reserve, inner, greet)
    for _ in load(flow, {"guest": "ann"}, backend=backend, run_id="r1").run_iter():
        pass


def test_an_atom_is_viewed_with_each_attempt(backend: Backend) -> None:
    run(backend)
    report = view_atom(backend, "r1", "charge")
    assert (report.run, report.run_state, report.atom.state) == ("r1", "SUCCESS", "SUCCESS")
    assert [(one.round, one.direction, one.outcome) for one in report.attempts] == [
        (0, "EXECUTE", "FAILURE"),
        (0, "REVERT", "SUCCESS"),
        (1, "EXECUTE", "FAILURE"),
        (1, "REVERT", "SUCCESS"),
        (2, "EXECUTE", "SUCCESS"),
    ]
    last = report.attempts[-1]
    assert last.owner == str(current_owner())
    assert last.ended_at is not None
    assert last.duration_s == last.ended_at - last.started_at
    assert (report.why_not, report.waits_for, report.rounds) == ((), {}, ())


def test_inputs_are_told_with_where_they_come_from(backend: Backend) -> None:
    run(backend)
    assert view_atom(backend, "r1", "charge").requires == {"attempt": ("again",), "room": ("reserve",)}
    assert view_atom(backend, "r1", "greet").requires == {"guest": (INPUT,)}


def test_a_retry_tells_what_it_gave_and_what_failed_in_each_round(backend: Backend) -> None:
    run(backend)
    rounds = view_atom(backend, "r1", "again").rounds
    assert [one.given for one in rounds] == [1, 2, 3]
    assert [{name: str(why) for name, why in one.failures.items()} for one in rounds] == [
        {"charge": "ValueError: no money 1"},
        {"charge": "ValueError: no money 2"},
        {},
    ]


def test_notes_are_told_beside_progress(backend: Backend) -> None:
    @task
    def download() -> None:
        current().annotate(url="http://example.org")
        current().update_progress(0.5)

    load(LinearFlow("fetch").add(download), backend=backend, run_id="r1").run()
    atom = view_atom(backend, "r1", "download").atom
    assert (atom.notes, atom.progress) == ({"url": "http://example.org"}, 1.0)


def seen_while_running(backend: Backend) -> AtomReport:
    """Return what is seen of `greet` while an atom before it runs; between them lies a mark."""
    seen: list[AtomReport] = []

    @task
    def look() -> None:
        seen.append(view_atom(backend, "r1", "greet"))

    many = UnorderedFlow("many").add(look, *(reserve.atom(name=name, provides=name) for name in "ab"))
    then = UnorderedFlow("then").add(greet, greet.atom(name="greet again"))
    load(LinearFlow("stay").add(many, then), {"guest": "ann"}, backend=backend, run_id="r1").run()
    return seen[0]


def test_a_pending_atom_waits_for_what_lies_before_it_and_is_not_done(backend: Backend) -> None:
    report = seen_while_running(backend)
    assert report.waits_for == {"look": "RUNNING", "a": "PENDING", "b": "PENDING"}
    owned, waits = report.why_not
    assert owned.startswith(f"the run is owned by {current_owner()} since ")
    assert waits == "it waits for look (RUNNING), a (PENDING), b (PENDING)"


def test_a_pending_atom_of_a_run_that_stopped_waits_for_somebody_to_resume_it(backend: Backend) -> None:
    engine = load(LinearFlow("stay").add(reserve, greet), {"guest": "ann"}, backend=backend, run_id="r1")
    steps = engine.run_iter()
    next(steps)
    engine.suspend()
    for _ in steps:
        pass
    report = view_atom(backend, "r1", "greet")
    assert report.atom.state == "PENDING"
    assert report.why_not[0] == "the run is SUSPENDED: it goes on when it is resumed"


def test_a_pending_atom_of_a_run_that_ended_will_not_run(backend: Backend) -> None:
    @task
    def refuse() -> None:
        raise ValueError("no")

    for _ in load(LinearFlow("stay").add(refuse, greet), {"guest": "a"}, backend=backend, run_id="r1").run_iter():
        pass
    assert view_atom(backend, "r1", "greet").why_not[0] == "the run has ended in REVERTED"


def test_what_is_done_is_not_waited_for(backend: Backend) -> None:
    run(backend, attempts=1)
    assert view_atom(backend, "r1", "greet").waits_for == {"charge": "REVERTED"}


def test_an_atom_that_is_not_there_is_not_viewed(backend: Backend) -> None:
    run(backend)
    with pytest.raises(NotFound) as caught:
        view_atom(backend, "r1", "chrge")
    assert caught.value.todo == "did you mean 'charge'?"


@pytest.mark.parametrize("links", [5, [3], [["reserve"]], [["reserve", ["greet"]]]])
def test_links_that_are_damaged_are_named(links: object) -> None:
    backend = fetch("memory:?strict=true")
    run(backend)
    records = backend.load("r1")
    plan = unpack_plan(records.kind("plan")["plan"])
    packed = base64.b64encode(zlib.compress(json.dumps({**plan, "edges": links}).encode())).decode()
    claim = backend.claim("flow:r1", current_owner(), lease_s=30)
    backend.commit(
        claim,
        [Put("plan", "plan", {"digest": plan["digest"], "packed": packed}), Put("atom", "greet", {"state": "PENDING"})],
    )
    with pytest.raises(Damaged, match="its links are not readable"):
        view_atom(backend, "r1", "greet")
    with pytest.raises(Damaged, match="its links are not readable"):
        recorded_ending(backend, "r1")


def test_the_names_of_atoms_come_in_the_order_of_the_plan(backend: Backend) -> None:
    run(backend)
    assert atom_names(backend, "r1") == ("reserve", "again", "charge", "greet")


def test_a_run_is_narrowed_by_states_and_names(backend: Backend) -> None:
    run(backend, attempts=1)
    view = view_run(backend, "r1")
    assert view.counts == {"SUCCESS": 1, "REVERTED": 2, "PENDING": 1}
    assert [atom.name for atom in narrowed(view, states={"PENDING"}).atoms] == ["greet"]
    assert [atom.name for atom in narrowed(view, names="*r*e").atoms] == ["reserve", "charge"]
    assert [atom.name for atom in narrowed(view, states={"REVERTED"}, names="c*").atoms] == ["charge"]
    assert narrowed(view, names="none").counts == view.counts
