"""What each database is asked, how often, and that an index answers it: of every statement that the backend makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from crash.flows import Step, chain
from crash.sql_storages import Storage, server_of, storage_on
from flowbook import FlowState, UnorderedFlow, engines
from flowbook.exceptions import FlowOwned, NotFound
from flowbook.persistence.backend import Fence, Query
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.sql.backend import SqlBackend, SqliteBackend
from flowbook.persistence.sql.queries import finding
from flowbook.testing.backend_samples import begin, stranger

KINDS: Final = ("postgresql", "mariadb", "sqlite")

_SERIES: Final = {
    "postgresql": "generate_series(1, 10000) n",
    "mariadb": "(SELECT seq AS n FROM seq_1_to_10000) numbers",
    "sqlite": "(WITH RECURSIVE numbers(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)"
    " SELECT n FROM numbers)",
}
_FILL: Final = (
    "INSERT INTO flows SELECT {claim}, {book}, {name}, CASE {rest} WHEN 0 THEN 'FAILURE' ELSE 'SUCCESS' END,"
    " n, n, 3 FROM {series}",
    "INSERT INTO heads SELECT {claim}, 1, 1 FROM {series}",
    "INSERT INTO claims SELECT {claim}, 1, '{{}}', n, n FROM {series}",
    "INSERT INTO records SELECT {claim}, 'flow', 'k', '{{}}' FROM {series}",
    "INSERT INTO records SELECT {claim}, 'atom', 'k', '{{}}' FROM {series}",
    "INSERT INTO appended (claim, kind, {key}, data) SELECT {claim}, 'attempt', 'a', '{{}}' FROM {series}",
    "INSERT INTO requests (claim, data, posted_at) SELECT {claim}, '{{}}', n FROM {series}",
)
_ANALYSE: Final = {
    "postgresql": "ANALYZE",
    "mariadb": "ANALYZE TABLE flows, heads, claims, records, appended, requests",
    "sqlite": "SELECT 1",  # nobody has it look at its tables
}

NEWEST: Final = {
    "of all": Query(limit=50),
    "of a book": Query(book="b1", limit=50),
    "of a name": Query(name="n3", limit=50),
    "of a rare state": Query(states=frozenset({"FAILURE"}), limit=50),
    "of a frequent state": Query(states=frozenset({"SUCCESS"}), limit=50),
    "until": Query(until=5000.0, limit=50),
}
"""What is there already in the order that is asked for."""

OTHERS: Final = {
    "one": Query(flow="r77"),
    "by prefix": Query(prefix="r123"),
    "by prefix, the newest": Query(prefix="r1", limit=2),
    "by states": Query(states=frozenset({"FAILURE", "REVERTED"}), limit=50),
    "since": Query(since=9990.0),
}


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "sqlite":
        return Storage("sqlite", f"sqlite:///{tmp_path / 'runs.db'}", 0)
    return storage_on(request.param, server_of(request.param, request))


@pytest.fixture
def backend(storage: Storage) -> Iterator[SqlBackend]:
    with SqliteBackend(storage.url) if storage.kind == "sqlite" else storage.backend() as backend:
        yield backend


@pytest.fixture
def full_tables(storage: Storage, backend: SqlBackend) -> None:
    is_mariadb = storage.kind == "mariadb"

    def joined(text: str, number: str) -> str:
        return f"CONCAT('{text}', {number})" if is_mariadb else f"'{text}' || {number}"

    words = {
        "claim": joined("flow:r", "n"),
        "book": joined("b", "(n % 10)"),
        "name": joined("n", "(n % 10)"),
        "rest": "(n % 50)",
        "key": "`key`" if is_mariadb else '"key"',
        "series": _SERIES[storage.kind],
    }

    def fill(cursor: Any) -> None:
        for statement in _FILL:
            cursor.execute(statement.format(**words).replace("%", "%" if storage.kind == "sqlite" else "%%"), ())

    backend._database.write(fill)
    backend._database.write(lambda cursor: cursor.execute(_ANALYSE[storage.kind]))


class Recorded:
    """Passes everything on to a connection or a cursor of a driver, and keeps what is executed and committed."""

    def __init__(self, inner: Any, asked: list[tuple[str, Any]]) -> None:
        self._inner, self._asked = inner, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def cursor(self) -> Recorded:
        return Recorded(self._inner.cursor(), self._asked)

    def commit(self) -> None:
        self._asked.append(("COMMIT", ()))
        self._inner.commit()

    def execute(self, text: str, values: Sequence[Any] = ()) -> Any:
        self._asked.append((text, values))
        return self._inner.execute(text, values)

    def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> Any:
        self._asked.append((text, rows[0]))
        return self._inner.executemany(text, rows)


def recording(backend: SqlBackend) -> list[tuple[str, Any]]:
    """Return what is asked of the database from now on: statements with their values, and COMMIT for each commit."""
    asked: list[tuple[str, Any]] = []
    sessions = backend._database._sessions
    sessions.close()
    connect = sessions._connect
    sessions._connect = lambda: Recorded(connect(), asked)  # type: ignore[assignment,return-value]
    return asked


# -- that an index answers it --


def plan_of(backend: SqlBackend, kind: str, text: str, values: Sequence[Any]) -> list[str]:
    """Return the steps in which a database would answer a statement."""
    word = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
    found = backend._database.read(f"{word} {text}", values)
    if kind == "postgresql":
        return [str(line) for (line,) in found]
    if kind == "sqlite":
        return [str(row[-1]) for row in found]
    return [f"{row[2]}: {row[3]} by {row[5]}, {row[9]}" for row in found]


SCANS: Final[dict[str, Callable[[str], bool]]] = {
    "postgresql": lambda step: "Seq Scan" in step,
    "mariadb": lambda step: ": ALL by" in step and "None: ALL" not in step,
    "sqlite": lambda step: step.startswith("SCAN") and " INDEX " not in step and "CONSTANT" not in step,
}
"""Whether a step reads a whole table."""

SORTS: Final[dict[str, Callable[[str], bool]]] = {
    "postgresql": lambda step: "Sort  (" in step and "Incremental Sort" not in step,
    "mariadb": lambda step: "filesort" in step,
    "sqlite": lambda step: "TEMP B-TREE FOR ORDER BY" in step,
}
"""Whether a step puts all in order that was found; to put equally old ones in order costs nothing."""


@pytest.mark.usefixtures("full_tables")
def test_every_list_is_found_by_an_index(storage: Storage, backend: SqlBackend) -> None:
    for name, query in {**NEWEST, **OTHERS}.items():
        assert backend._database.read(*backend._database.statements.once(finding(query))), name
        plan = plan_of(backend, storage.kind, *backend._database.statements.once(finding(query)))
        assert not any(map(SCANS[storage.kind], plan)), (name, plan)
        if name in NEWEST:
            assert not any(map(SORTS[storage.kind], plan)), (name, plan)


def everything(backend: SqlBackend) -> None:
    """Have a backend ask each of its questions at least once."""
    claim = begin(backend)
    claim = backend.commit(claim, [Put("atom", "a", {}), Append("attempt", "a", {}), Delete("atom", "b")])
    backend.commit(claim, [Delete("flow", "none"), Delete("request", "1")], fence=Fence.EPOCH)
    with suppress(FlowOwned):
        backend.claim("flow:f", stranger(), lease_s=1)
    backend.post("flow:f", {"do": "suspend"})
    backend.renew(claim, lease_s=60)
    backend.renew(claim, lease_s=0)
    for kinds in (None, ("atom",), ("atom", "attempt", "request"), ()):
        backend.load("f", kinds)
        backend.look("f", kinds, lambda records: ["a", "b"])
    backend.destroy("f")
    for verb in (backend.load, backend.destroy):
        with suppress(NotFound):
            verb("f")


@pytest.mark.usefixtures("full_tables")
def test_every_statement_uses_an_index(storage: Storage, backend: SqlBackend) -> None:
    asked = recording(backend)
    everything(backend)
    statements = {text: values for text, values in asked if "FROM " in text or text.startswith("UPDATE")}
    statements[backend._statements.posted] = ("flow:r7", 7.0, "{}")  # asked where a reply was lost
    texts = vars(backend._statements).values()
    known = {text for text in texts if isinstance(text, str) and not text.startswith("INSERT")}
    known -= {backend._statements.revision}  # of a table with one row
    assert known | set(backend._statements.forget) <= set(statements)
    for text, values in statements.items():
        plan = plan_of(backend, storage.kind, text, values)
        assert not any(map(SCANS[storage.kind], plan)), (text, plan)


# -- how often --


def commits(asked: Sequence[tuple[str, Any]]) -> int:
    return sum(text == "COMMIT" for text, _ in asked)


def test_a_chain_of_n_atoms_costs_n_and_one_transactions_beside_those_that_begin_and_end_its_claim(
    backend: SqlBackend, tmp_path: Path
) -> None:
    names = [f"a{number}" for number in range(20)]
    engine = engines.load(chain("chain", *names), {"log": str(tmp_path / "log")}, backend=backend)
    asked = recording(backend)
    engine.run()
    assert engine.state is FlowState.SUCCESS
    claimed, made, given_up = 1, 1, 1
    assert backend.transactions == made + len(names) + 1
    assert commits(asked) == claimed + made + len(names) + 1 + given_up


def test_loading_a_flow_of_10000_atoms_is_one_query(backend: SqlBackend) -> None:
    claim = begin(backend)
    atoms = [Put("atom", f"a{number}", {"state": "SUCCESS"}) for number in range(10_000)]
    backend.commit(claim, [*atoms, *(Append("attempt", f"a{number}", {}) for number in range(10_000))])
    asked = recording(backend)
    records = backend.load("f")
    assert len(asked) == 1
    assert len(records.rows["atom"]) == len(records.appended["attempt"]) == 10_000


def test_looking_at_few_of_10000_atoms_is_two_queries(backend: SqlBackend) -> None:
    claim = begin(backend)
    atoms = [Put("atom", f"a{number}", {"state": "SUCCESS"}) for number in range(10_000)]
    backend.commit(claim, [*atoms, *(Append("attempt", f"a{number}", {}) for number in range(10_000))])
    asked = recording(backend)
    records = backend.look("f", None, lambda records: ["a7", "a1"])
    assert [text.split()[0] for text, _ in asked].count("SELECT") == 2
    assert len(records.rows["atom"]) == 10_000
    assert set(records.appended["attempt"]) == {"a1", "a7"}


def test_an_engine_takes_up_a_flow_of_10000_atoms_with_two_queries(backend: SqlBackend, tmp_path: Path) -> None:
    def load() -> engines.Engine:
        flow = UnorderedFlow("wide").add(*[Step(f"a{number}") for number in range(10_000)])
        return engines.load(flow, {"log": str(tmp_path / "log")}, backend=backend, run_id="r")

    load()
    asked = recording(backend)
    engine = load()
    assert [text.split()[0] for text, _ in asked] == ["SELECT", "SELECT"]
    assert engine.state is FlowState.PENDING
