"""What every database server must keep as it was, and how much is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from crash.flows import chain
from crash.proxy import Proxy
from crash.sql_storages import KINDS, Storage, server_of, storage_on
from flowbook import FlowState, engines
from flowbook.exceptions import TooLarge
from flowbook.persistence.backend import Query
from flowbook.persistence.changes import Append, Put
from flowbook.persistence.sql.backend import SqlBackend
from flowbook.persistence.sql.queries import finding
from flowbook.testing.backend_samples import FLOW_ROW, begin, ids

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

FLOWS = 10_000
FILL = {
    "postgresql": [
        "INSERT INTO flows SELECT 'flow:r' || n, 'b' || n % 100, 'n' || n % 100,"
        " CASE n % 50 WHEN 0 THEN 'FAILURE' ELSE 'SUCCESS' END, n, n, 3 FROM generate_series(1, {flows}) n",
        "INSERT INTO records SELECT 'flow:r' || n / 3, 'atom', 'k' || n, '{{}}' FROM generate_series(1, 3 * {flows}) n",
        "INSERT INTO appended SELECT n, 'flow:r' || n, 'attempt', 'a', '{{}}' FROM generate_series(1, {flows}) n",
        "INSERT INTO heads SELECT 'flow:r' || n, 1, 1 FROM generate_series(1, {flows}) n",
        "ANALYZE",
    ],
    "mariadb": [
        "INSERT INTO flows SELECT CONCAT('flow:r', seq), CONCAT('b', seq % 100), CONCAT('n', seq % 100),"
        " IF(seq % 50 = 0, 'FAILURE', 'SUCCESS'), seq, seq, 3 FROM seq_1_to_{flows}",
        "INSERT INTO records SELECT CONCAT('flow:r', seq), 'atom', 'k', '{{}}' FROM seq_1_to_{flows}",
        "INSERT INTO appended SELECT seq, CONCAT('flow:r', seq), 'attempt', 'a', '{{}}' FROM seq_1_to_{flows}",
        "INSERT INTO heads SELECT CONCAT('flow:r', seq), 1, 1 FROM seq_1_to_{flows}",
        "ANALYZE TABLE flows, records, appended, heads",
    ],
}
QUERIES = {
    "the newest": Query(limit=50),
    "by prefix": Query(prefix="r123"),
    "by prefix, the newest": Query(prefix="r1", limit=2),
    "by book": Query(book="b1", limit=50),
    "by name": Query(name="n3", limit=50),
    "by a state": Query(states=frozenset({"FAILURE"}), limit=50),
    "by states": Query(states=frozenset({"FAILURE", "REVERTED"}), limit=50),
    "since": Query(since=9990.0),
    "until": Query(until=9.0, limit=5),
}


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


@pytest.fixture
def full_tables(storage: Storage) -> Storage:
    with storage.backend():
        for statement in FILL[storage.kind]:
            storage.ask(statement.format(flows=FLOWS))
    return storage


def scans(storage: Storage, backend: SqlBackend, text: str, values: Any) -> list[str]:
    """Return the plan of a statement, as far as it reads a whole table without an index; small tables do not count."""
    plan = backend._database.read(f"EXPLAIN {text}", values)
    if storage.kind == "postgresql":
        return [str(line) for (line,) in plan if "Seq Scan" in line and "claims" not in line and "requests" not in line]
    return [str(row) for row in plan if row[3] in ("ALL", "index") and row[2] not in ("claims", "requests")]


def test_every_query_uses_an_index(full_tables: Storage) -> None:
    with closing(full_tables.backend()) as backend:
        begin(backend)
        for name, query in QUERIES.items():
            assert backend.find(query), name
            assert scans(full_tables, backend, *backend._database.statements.once(finding(query))) == [], name
        for kinds in (None, ("atom",), ("atom", "attempt", "request")):
            text, values = backend._loading(kinds)
            found = scans(full_tables, backend, text, ["flow:r7" if value is None else value for value in values])
            assert found == [], kinds


def test_every_statement_of_a_commit_uses_an_index(full_tables: Storage) -> None:
    with closing(full_tables.backend()) as backend:
        statements = backend._database.statements
        of_record = ("flow:r7", "atom", "k")
        for text, values in (
            (statements.fence_seq, ("flow:r7", 1, 1)),
            (statements.fence_epoch, ("flow:r7", 1)),
            (statements.head, ("flow:r7",)),
            (statements.delete_record, of_record),
            (statements.delete_appended, of_record),
            (statements.delete_flow, ("flow:r7",)),
            (statements.flow, ("flow:r7",)),
        ):
            backend.open()
            assert scans(full_tables, backend, text, values) == [], text


def test_a_chain_of_n_atoms_costs_n_and_one_transactions_and_one_to_make_it(storage: Storage, tmp_path: Any) -> None:
    names = [f"a{number}" for number in range(20)]
    with storage.backend() as backend:
        engine = engines.load(chain("chain", *names), {"log": str(tmp_path / "log")}, backend=backend)
        engine.run()
        assert engine.state is FlowState.SUCCESS
        assert backend.transactions == len(names) + 1 + 1


def test_loading_a_large_flow_is_one_request(storage: Storage) -> None:
    with Proxy(storage.port) as proxy, closing(storage.backend(proxy)) as backend:
        claim = begin(backend)
        atoms = [Put("atom", f"a{number}", {"state": "SUCCESS"}) for number in range(10_000)]
        backend.commit(claim, [*atoms, *(Append("attempt", f"a{number}", {}) for number in range(10_000))])
        before = proxy.requests
        records = backend.load("f")
        assert proxy.requests - before == 1
        assert len(records.rows["atom"]) == len(records.appended["attempt"]) == 10_000
