"""What a commit sends together to a server: one statement, or one query, where its changes are plain."""

from __future__ import annotations

from sqlalchemy import create_engine

from flowbook.persistence.changes import Append, Change, Delete, Put
from flowbook.persistence.sql.batches import batches_of
from flowbook.persistence.sql.statements import Statements
from flowbook.persistence.sql.together import insert_of, inserts_of, select_insert_of

STATEMENTS = Statements(create_engine("postgresql+psycopg://", paramstyle="format").dialect)
INSERT = "INSERT INTO t (a, b) VALUES (%s, %s::TEXT) ON CONFLICT (a) DO UPDATE SET b = excluded.b"


def inserts(*changes: Change) -> list[int] | None:
    """Return how many rows each of the inserts has that are sent together."""
    found = inserts_of(batches_of("flow:f", changes, STATEMENTS, None))
    return None if found is None else [count for _, count in found[0]]


def test_rows_that_are_put_and_appended_go_together() -> None:
    assert inserts(Put("atom", "a", {}), Append("attempt", "a", {}), Put("atom", "b", {})) == [2, 1]


def test_nothing_but_the_fence_goes_alone() -> None:
    assert inserts() == []


def test_what_is_deleted_keeps_its_place() -> None:
    assert inserts(Put("atom", "a", {}), Delete("atom", "a")) is None


def test_much_is_sent_in_parts() -> None:
    assert inserts(*(Put("atom", str(number), {}) for number in range(1000))) is None
    assert inserts(Put("atom", "a", {"text": "x" * 700_000}), Put("atom", "b", {"text": "x" * 700_000})) is None


def test_values_are_in_the_order_of_their_marks() -> None:
    found = inserts_of(batches_of("flow:f", [Append("k", "a", {}), Put("k", "b", {})], STATEMENTS, None))
    assert found is not None
    assert found[1] == ["flow:f", "k", "b", "{}", "flow:f", "k", "a", "{}"]


def test_an_insert_of_many_rows() -> None:
    assert insert_of(INSERT, 2) == INSERT.replace(" ON", ", (%s, %s::TEXT) ON")


def test_an_insert_under_a_condition() -> None:
    expected = (
        "INSERT INTO t (a, b) SELECT * FROM (VALUES (%s, %s::TEXT), (%s, %s::TEXT)) AS new_rows WHERE x"
        " ON CONFLICT (a) DO UPDATE SET b = excluded.b"
    )
    assert select_insert_of(INSERT, 2, "x") == expected
