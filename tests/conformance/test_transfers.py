"""A run goes from any backend to any other, is there what it was here, and goes on there; and runs are tidied alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import flowbook
from daemons.storages import ALL, ON_SERVERS, kinds, new_storage
from flowbook import FlowState, LinearFlow, Notice, Times, engines, task
from flowbook.exceptions import NotFound, OwnershipLost
from flowbook.persistence import Backend, Claim, Query, fetch
from flowbook.persistence.changes import Put
from flowbook.persistence.owners import Owner, current_owner
from flowbook.persistence.transfer import RunExists
from flowbook.secrets import Secret
from flowbook.testing.backend_samples import FLOW_ROW, ids, stranger
from flowbook.views import AtomReport, RunView, view_atom, view_run
from flowbook.views.housekeeping import CLAIMED, Choice, choose, prune
from flowbook.views.transfers import export_run, import_run

VARIABLE, PASSWORD = "FLOWBOOK_TEST_PASSWORD", "a text that is in no document"

calls: list[str] = []


@task(provides="room")
def reserve(guest: str) -> tuple[str, set[int]]:
    calls.append("reserve")
    return guest, {7, 8}


@task(provides="paid")
def pay(room: tuple[str, set[int]], attempt: int) -> int:
    calls.append("pay")
    if flowbook.current().round == 0:
        raise LookupError("the card is refused") from KeyError(attempt)
    return attempt


@task(provides="receipt")
def confirm(room: tuple[str, set[int]], paid: int, password: Secret) -> list[object]:
    calls.append("confirm")
    return [*room, paid, len(password.reveal())]


@task
def leave(receipt: list[object]) -> None:
    raise OSError("the door is locked")


def stay() -> LinearFlow:
    """Return a flow whose second round is the one that succeeds, and whose last atom fails."""
    retried = LinearFlow("retried", retry=Times(2, "again", provides="attempt")).add(pay)
    return LinearFlow("stay").add(reserve, retried, confirm, leave)


class Ticking:
    """A second passes whenever somebody looks."""

    def __init__(self) -> None:
        self._at = 1000.0

    def now(self) -> float:
        self._at += 1.0
        return self._at


@dataclass(frozen=True)
class Source:
    """Two runs as one backend has them: ``half``, which was suspended, and ``whole``, which failed in the end."""

    documents: dict[str, list[str]]
    views: dict[str, tuple[RunView, list[AtomReport]]]


def seen(backend: Backend, run: str) -> tuple[RunView, list[AtomReport]]:
    """Return all that is shown of a run and of each of its atoms."""
    view = view_run(backend, run)
    return view, [view_atom(backend, run, atom.name) for atom in view.atoms]


def _source(backend: Backend) -> Source:
    for run in ("half", "whole"):
        inputs = {"guest": "ann", "password": Secret.from_env(VARIABLE)}
        engine = engines.load(stay(), inputs, backend=backend, run_id=run, clock=Ticking())

        def suspend(notice: Notice, stop: Callable[[], None] = engine.suspend) -> None:
            if (notice.atom, notice.state) == ("pay", "SUCCESS"):
                stop()

        if run == "half":
            engine.atom_notifier.register("*", suspend)
        with suppress(OSError):
            engine.run()
    return Source(
        {run: list(export_run(backend, run)) for run in ("half", "whole")},
        {run: seen(backend, run) for run in ("half", "whole")},
    )


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    """Return what was made of each backend so far."""
    return {}


@pytest.fixture
def source_of(
    sources: dict[str, Source], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Source]:
    def make(kind: str) -> Source:
        if kind not in sources:
            with fetch(new_storage(kind, request, tmp_path_factory.mktemp("source"))) as backend:
                sources[kind] = _source(backend)
        return sources[kind]

    return make


def _pairs() -> list[Any]:
    return [
        pytest.param(*pair, marks=[pytest.mark.server] if ON_SERVERS.keys() & set(pair) else [])
        for pair in itertools.product(ALL, ALL)
    ]


@pytest.mark.parametrize(("source", "target"), _pairs())
def test_a_run_is_there_what_it_was_here_and_goes_on(
    source: str,
    target: str,
    source_of: Callable[[str], Source],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    given = source_of(source)
    with fetch(new_storage(target, request, tmp_path)) as backend:
        for run, document in given.documents.items():
            assert PASSWORD not in "".join(document)
            assert import_run(backend, document) == run
            assert seen(backend, run) == given.views[run]
            assert list(export_run(backend, run)) == document
            with pytest.raises(RunExists):
                import_run(backend, document)
        assert view_run(backend, "half").inputs["password"] == {"!secret": {"env": VARIABLE}}
        (refused,) = view_atom(backend, "half", "again").rounds[:1]
        assert refused.given == 1
        assert str(refused.failures["pay"]) == "LookupError: the card is refused"

        engine = engines.load(stay(), backend=backend, run_id="half")
        assert engine.state is FlowState.SUSPENDED
        calls.clear()
        with pytest.raises(OSError, match="the door is locked"):
            engine.run()
        assert calls == ["confirm"]  # what was saved there is not done again here
        assert view_run(backend, "half").state == FlowState.REVERTED
        for run in ("half", "whole"):
            (failed,) = view_run(backend, run).failed
            assert str(failed.failure) == "OSError: the door is locked"


def test_every_backend_gives_the_same_document(source_of: Callable[[str], Source]) -> None:
    expected = source_of("memory").documents
    for kind in ("sqlite", "dir"):
        assert source_of(kind).documents == expected


@pytest.mark.parametrize("kind", kinds(*ON_SERVERS))
def test_a_server_gives_the_same_document_as_a_file(kind: str, source_of: Callable[[str], Source]) -> None:
    assert source_of(kind).documents == source_of("sqlite").documents


# -- deleting --


@pytest.fixture(params=kinds(*ALL))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Return a backend with five runs, of all ages, that nobody has claimed."""
    states = ["SUCCESS", "FAILURE", "REVERTED", "SUSPENDED", "SUCCESS"]
    with fetch(new_storage(request.param, request, tmp_path)) as backend:
        for number, state in enumerate(states):
            _add(backend, f"r{number}", state=state, updated_at=2000.0 + number, book="odd" if number % 2 else "even")
        yield backend


def _add(backend: Backend, run: str, owner: Owner | None = None, **fields: object) -> Claim:
    """Write a run; unless it is given an owner, nobody has claimed it then."""
    claim = backend.claim(f"flow:{run}", owner or current_owner(), lease_s=60)
    claim = backend.commit(claim, [Put("flow", run, {**FLOW_ROW, "id": run, **fields}), Put("atom", "a", {"n": 1})])
    if owner is None:
        backend.renew(claim, lease_s=0.0)
    return claim


def test_runs_are_pruned_by_state_age_book_and_number(backend: Backend) -> None:
    for choice, expected in [
        (Choice(), ["r4", "r2", "r1", "r0"]),
        (Choice(states={"SUSPENDED", "FAILURE"}), ["r3", "r1"]),
        (Choice(before=2001.0), ["r1", "r0"]),
        (Choice(before=1999.0), []),
        (Choice(book="even", keep=1), ["r2", "r0"]),
    ]:
        assert [run.id for run in choose(backend, choice).runs] == expected
    pruned = prune(backend, choose(backend, Choice(before=2001.0)))
    assert ([run.id for run in pruned.deleted], pruned.skipped, pruned.errors) == (["r1", "r0"], (), ())
    assert sorted(ids(backend, Query())) == ["r2", "r3", "r4"]
    pruned = prune(backend, choose(backend, Choice(states={"SUSPENDED"})))
    assert [run.id for run in pruned.deleted] == ["r3"]
    assert sorted(ids(backend, Query())) == ["r2", "r4"]


def test_a_deleted_run_is_gone_and_its_id_is_free(backend: Backend) -> None:
    before = backend.claim("flow:r0", current_owner(), lease_s=60)
    backend.renew(before, lease_s=0.0)
    backend.destroy("r0")
    with pytest.raises(NotFound):
        backend.load("r0")
    with pytest.raises(NotFound):
        backend.destroy("r0")
    assert _add(backend, "r0").epoch > before.epoch
    assert set(backend.load("r0").kind("atom")) == {"a"}
    with pytest.raises(OwnershipLost):
        backend.commit(before, [Put("atom", "b", {})])


def test_a_claimed_run_is_spared_unless_it_is_forced(backend: Backend) -> None:
    claim = _add(backend, "owned", stranger(), state="SUCCESS")
    pruning = choose(backend, Choice())
    assert [run.id for run in pruning.spared] == ["owned"]
    assert [(run.id, why) for run, why in prune(backend, pruning).skipped] == [("owned", CLAIMED)]
    assert sorted(ids(backend, Query())) == ["owned", "r3"]
    forced = prune(backend, choose(backend, Choice(force=True)), force=True)
    assert [run.id for run in forced.deleted] == ["owned"]
    with pytest.raises(OwnershipLost):
        backend.commit(claim, [Put("atom", "a", {})])
    assert ids(backend, Query()) == ["r3"]
