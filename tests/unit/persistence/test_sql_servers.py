"""What every database server must keep as it was, in one request where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from crash.proxy import Proxy, cut
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from flowbook.exceptions import TooLarge
from flowbook.persistence.backend import Query
from flowbook.persistence.changes import Append, Put
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.testing.backend_looks import Writing
from flowbook.testing.backend_samples import FLOW_ROW, begin, decoded, ids

ALIKE = [
    "a",
    "A",
    "a ",
    " a",
    "ä",
    "a\u0308",
    "Ä",
    "ß",
    "ss",
    "😀",
    "😁",
    "a\t",
    "a\0",
    "\U0010ffff",
    "\U0010ffff!",
    "\ud7ff",
]
"""Names that some database takes for the same, or cannot keep."""


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest) -> Storage:
    return storage_on(request.param, server_of(request.param, request))


@pytest.fixture
def backend(storage: Storage) -> Iterator[SqlBackend]:
    with storage.backend() as backend:
        yield backend


def test_names_that_look_alike_are_different(backend: SqlBackend) -> None:
    for name in ALIKE:
        claim = begin(backend, name, name=name, book=name)
        backend.commit(claim, [Put("atom", other, {"name": other}) for other in ALIKE])
    assert set(ids(backend, Query())) == set(ALIKE)
    for name in ALIKE:
        assert ids(backend, Query(name=name)) == ids(backend, Query(book=name)) == [name]
        assert set(ids(backend, Query(prefix=name))) == {other for other in ALIKE if other.startswith(name)}
        assert backend.load(name).rows["atom"] == {other: {"name": other} for other in ALIKE}


@pytest.mark.parametrize("size", [70_000, 4_000_000])
def test_what_is_large_comes_back_whole(size: int, backend: SqlBackend) -> None:
    text = "".join(f"{number:x}'\\\"\n%s😀" for number in range(size // 12))
    claim = backend.commit(begin(backend), [Put("atom", "a", {"result": text}), Append("attempt", "a", {"x": text})])
    records = backend.load("f")
    assert records.rows["atom"] == {"a": {"result": text}}
    assert records.appended == {"attempt": {"a": [{"x": text}]}}
    backend.commit(claim, [Put("flow", "f", FLOW_ROW)])


def test_a_name_over_the_limit_is_refused_and_not_cut(backend: SqlBackend) -> None:
    claim = begin(backend)
    long = "".join(f"{number:04x}ä" for number in range(2000, 3000))
    before = backend.load("f")
    for changes in (
        [Put("atom", "b", {}), Put("atom", long, {})],
        [Put("atom", "b", {}), Append("attempt", long, {})],
        [Put("atom", "b", {}), Put(long, "a", {})],
        [Put("atom", "b", {}), Put("flow", "f", {**FLOW_ROW, "name": long})],
    ):
        with pytest.raises(TooLarge) as caught:
            backend.commit(claim, changes)
        assert caught.value.limit_bytes in (1000, 2704)
        assert "name" in str(caught.value)
        assert caught.value.todo
        assert backend.load("f") == before
    with pytest.raises(TooLarge):
        begin(backend, long)
    assert ids(backend, Query()) == ["f"]
    backend.commit(claim, [Put("atom", "b", {})])


def test_a_look_is_of_one_state_wherever_the_connection_is_lost(storage: Storage, backend: SqlBackend) -> None:
    writing, lost = Writing(backend), 0
    with Proxy(storage.port) as proxy, closing(storage.backend(proxy)) as looking:
        while not proxy.is_armed:
            looking.load("f")
            lost += 1
            proxy.arm(cut, at=lost)
            assert decoded(looking.look("f", None, writing.wanted)) in writing.states
    begins, queries, ends = 1, 2, 1
    assert lost > begins + queries + ends


def test_loading_a_large_flow_is_one_request(storage: Storage) -> None:
    with Proxy(storage.port) as proxy, closing(storage.backend(proxy)) as backend:
        claim = begin(backend)
        atoms = [Put("atom", f"a{number}", {"state": "SUCCESS"}) for number in range(10_000)]
        backend.commit(claim, [*atoms, *(Append("attempt", f"a{number}", {}) for number in range(10_000))])
        before = proxy.requests
        records = backend.load("f")
        assert proxy.requests - before == 1
        assert len(records.rows["atom"]) == len(records.appended["attempt"]) == 10_000
