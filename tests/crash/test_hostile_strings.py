"""Whatever a string says: a backend and an engine take it as it is, or refuse it with an error that is named.

All strings are tried with ``FLOWBOOK_FULL=1``, else a sample that is always the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from crash.hostile import BESIDE, STRINGS, Attacked, attacked_on
from flowbook import LinearFlow, Task, UnorderedFlow, engines
from flowbook.exceptions import FlowbookError, NotFound
from flowbook.persistence.backend import Backend, Query
from flowbook.persistence.changes import Append, Change, Delete, Put
from flowbook.testing.backend_samples import FLOW_ROW, begin, ids, stranger
from flowbook.views.details import view_run

SAMPLE = 40
AT_ONCE = 50
BACKENDS = [
    *("memory", "sqlite"),
    *[pytest.param(name, marks=pytest.mark.server) for name in ("postgresql", "mariadb", "zookeeper")],
]

_Result = TypeVar("_Result")


@pytest.fixture(scope="module", params=BACKENDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def storage(kind: str, request: pytest.FixtureRequest, fast_folder: Path) -> Iterator[Attacked]:
    folder = fast_folder / f"attacked {kind}"
    folder.mkdir()
    storage = attacked_on(kind, request, folder)
    yield storage
    storage.backend.close()


@pytest.fixture
def backend(storage: Attacked) -> Iterator[Backend]:
    """Return a backend that holds one run; after the test it has no other, and nothing else was touched."""
    yield storage.backend
    for run in ids(storage.backend, Query()):
        if run != BESIDE:
            claim = storage.backend.claim(f"flow:{run}", stranger(), lease_s=60, take_over=True)
            storage.backend.renew(claim, lease_s=0)
            storage.backend.destroy(run)
    storage.check()


@pytest.fixture
def strings(request: pytest.FixtureRequest, full: bool) -> Sequence[str]:
    return STRINGS if full else random.Random(request.node.originalname).sample(STRINGS, SAMPLE)


@pytest.fixture
def count(kind: str, figures: Counter[str]) -> Callable[[str, bool], None]:
    def note(what: str, is_taken: bool) -> None:
        figures[f"{kind}: {what} {'taken' if is_taken else 'refused'}"] += 1

    return note


Count = Callable[[str, bool], None]


def taken(use: Callable[[], _Result]) -> _Result | None:
    """Return what using a string gives, or None when it is refused by an error of ours; others pass."""
    try:
        return use()
    except FlowbookError:
        return None


def test_there_are_many_strings() -> None:
    assert len(STRINGS) >= 500


def test_runs_of_any_id_book_name_and_state_are_told_as_they_are(
    backend: Backend, strings: Sequence[str], count: Count
) -> None:
    for string in strings:
        names = {"book": string, "name": string, "state": string}
        claim = taken(lambda: begin(backend, string, **names))  # noqa: B023 - called at once
        count("ids", claim is not None)
        if claim is None:
            continue
        found = backend.find(Query(flow=string, book=string, name=string, states=frozenset({string}), prefix=string))
        assert [(one.flow, one.book, one.name, one.state) for one in found] == [(string,) * 4], ascii(string)
        assert backend.load(string).kind("flow") == {string: FLOW_ROW | names}, ascii(string)
        backend.renew(claim, lease_s=0)
        backend.destroy(string)
        with pytest.raises(NotFound) as raised:
            backend.load(string)
        assert raised.value.key == string


def test_a_query_finds_what_it_says_and_no_more(backend: Backend, strings: Sequence[str], count: Count) -> None:
    some = [string for string in strings[: 2 * SAMPLE] if len(string) < 200]
    runs = [run for run in some if taken(lambda: begin(backend, run, book=run, name=run, state=run))]  # noqa: B023
    assert len(runs) > SAMPLE // 4
    every = {*runs, BESIDE}
    for string in strings:
        of_flow = [] if string not in every else [string]
        for query in (Query(flow=string), Query(book=string), Query(name=string), Query(states=frozenset({string}))):
            found = taken(lambda: ids(backend, query))  # noqa: B023
            assert found in (None, of_flow), (ascii(string), query)
            count("queries", found is not None)
        begun = taken(lambda: {*ids(backend, Query(prefix=string))})  # noqa: B023
        assert begun in (None, {run for run in every if run.startswith(string)}), ascii(string)
        count("prefixes", begun is not None)


@pytest.mark.parametrize("run", ["\ud83d\ude00", "a\ud83d\ude00b"], ids=ascii)
def test_an_id_that_json_would_take_for_another_is_kept_or_refused(backend: Backend, run: str) -> None:
    claim = taken(lambda: begin(backend, run))
    assert {*ids(backend, Query())} == ({BESIDE} if claim is None else {BESIDE, run})


def commit_what_is_taken(backend: Backend, run: str, changes: Sequence[Change]) -> list[Change]:
    """Commit many changes at once; where one of them is refused, each alone. Return those that were written."""
    claim = begin(backend, run)
    written: list[Change] = []
    for start in range(0, len(changes), AT_ONCE):
        some = changes[start : start + AT_ONCE]
        all_at_once = taken(lambda: backend.commit(claim, some))  # noqa: B023
        if all_at_once is not None:
            claim = all_at_once
            written += some
            continue
        for change in some:
            alone = taken(lambda: backend.commit(claim, [change]))  # noqa: B023
            if alone is not None:
                claim = alone
                written.append(change)
    backend.renew(claim, lease_s=0)
    return written


def test_records_of_any_kind_key_and_content_come_back(backend: Backend, strings: Sequence[str], count: Count) -> None:
    changes: list[Change] = []
    for string in strings:
        changes += [
            Put("atom", string, {"of": string}),
            Put(f"kind {string}", "key", {string: [string, {string: string}]}),
            Append("attempt", string, {string: string}),
        ]
    written = commit_what_is_taken(backend, "r", changes)
    records = backend.load("r")
    for change in changes:
        is_written = change in written
        count("records", is_written)
        if isinstance(change, Put):
            assert records.kind(change.kind).get(change.key) == (change.row if is_written else None), ascii(change)
        elif isinstance(change, Append):
            assert records.appended["attempt"].get(change.key) == ([change.row] if is_written else None), ascii(change)
    for string in strings[:SAMPLE]:
        kinds = taken(lambda: backend.load("r", ["flow", string, f"kind {string}"]))  # noqa: B023
        assert kinds is None or {*kinds.rows} <= {"flow", string, f"kind {string}"}
    gone = [change.key for change in written if isinstance(change, Put) and change.kind == "atom"][::2]
    commit_what_is_taken(backend, "r", [Delete("atom", key) for key in gone])
    assert {*backend.load("r").kind("atom")} == {*records.kind("atom")}.difference(gone)


def test_requests_and_owners_come_back(backend: Backend, strings: Sequence[str], count: Count) -> None:
    begin(backend, "r")
    for string in strings:
        request = {"do": string, string: [string]}
        is_posted = taken(lambda: backend.post("flow:r", request) or True)  # noqa: B023
        count("requests", is_posted is not None)
        owner = replace(stranger(), host=string, boot=f"boot {string}", namespace=string)
        claim = taken(lambda: backend.claim("flow:r", owner, lease_s=60, take_over=True))  # noqa: B023
        count("owners", claim is not None)
        if claim is not None:
            assert [one.owner for one in backend.find(Query(flow="r"))] == [owner], ascii(string)
        else:
            claim = backend.claim("flow:r", stranger(), lease_s=60, take_over=True)
        waiting = backend.renew(claim, lease_s=60)
        assert [one.row for one in waiting] == ([request] if is_posted else []), ascii(string)
        claim = backend.commit(claim, [Delete("request", one.id) for one in waiting])
        taken(lambda: backend.commit(claim, [Delete("request", string)]))  # noqa: B023
        backend.renew(backend.claim("flow:r", stranger(), lease_s=60, take_over=True), lease_s=0)


class Echo(Task):
    """Returns what it is given, and its own name."""

    def execute(self, **given: Any) -> Any:
        return [self.name, given]


def _flow_of(strings: Sequence[str]) -> UnorderedFlow:
    return UnorderedFlow("f").add(*[Echo(string, provides=f"of {string}", requires=["x"]) for string in strings])


def test_an_engine_runs_atoms_of_any_name_symbol_input_and_result(
    backend: Backend, strings: Sequence[str], count: Count
) -> None:
    for start in range(0, len(strings), AT_ONCE):
        some = strings[start : start + AT_ONCE]
        if taken(lambda: _run_with(backend, some)) is None:  # noqa: B023
            for string in some:
                count("atoms", taken(lambda: _run_with(backend, [string])) is not None)  # noqa: B023
        else:
            for _ in some:
                count("atoms", True)


def _run_with(backend: Backend, strings: Sequence[str]) -> bool:
    """Run a flow with such atoms, and check what is told of it. Raises what refuses one of them."""
    given = {"x": [*strings], **{f"in {string}": {string: string} for string in strings}}
    try:
        engines.run(_flow_of(strings), given, backend=backend, run_id="r")
        results = {f"of {string}": [string, {"x": [*strings]}] for string in strings}
        engine = engines.load(_flow_of(strings), backend=backend, run_id="r")
        assert engine.storage.fetch_all() == given | results
        view = view_run(backend, "r")
        assert {atom.name for atom in view.atoms} == {*strings}
    finally:
        with suppress(NotFound):
            backend.destroy("r")
    return True


def test_an_argument_of_any_name_is_given_or_refused(backend: Backend, strings: Sequence[str], count: Count) -> None:
    for string in strings:
        atom, given = Echo("a", provides=string, requires=[f"in {string}"]), {f"in {string}": 1}
        told = taken(lambda: engines.run(atom, given, backend=backend))  # noqa: B023
        count("arguments", told is not None)
        assert told in (None, given | {string: ["a", given]})


def test_an_engine_runs_flows_of_any_name_book_and_run_id(
    backend: Backend, strings: Sequence[str], count: Count
) -> None:
    for string in strings[: 10 * SAMPLE]:
        flow = LinearFlow(string).add(Echo("a", provides="given", requires=["x"]))
        told = taken(lambda: engines.run(flow, {"x": string}, backend=backend, run_id=string, book=string))  # noqa: B023
        count("flows", told is not None)
        if told is None:
            continue
        assert told == {"x": string, "given": ["a", {"x": string}]}
        view = view_run(backend, string)
        assert (view.id, view.book, view.name, view.state) == (string, string, string, "SUCCESS")
        assert engines.suspend(backend, string) is False
        backend.destroy(string)
