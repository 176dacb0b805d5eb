"""The tables, in SQLAlchemy's words.

``claim`` is a claim key (``flow:…``, later ``job:…``): all that is written under one claim carries it.
Commits touch ``heads``, renewals only ``claims``, so that the two never wait for each other on a server.
``flows`` holds what `Backend.find` asks for, taken from the ``flow`` records, which stand whole in
``records`` like any other kind.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    insert,
)

REVISIONS: Final = ("0001",)
"""The schema's revisions, oldest first: the names of the modules under ``migrations/versions``."""

METADATA: Final = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in INTEGER columns

SCHEMA: Final = Table(
    "flowbook_schema",
    METADATA,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="flowbook_schema_pkc"),
)
"""The revision of the schema, as Alembic keeps it, and the sign that a database is ours."""

HEADS: Final = Table(
    "heads",
    METADATA,
    Column("claim", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The fence: what a commit must know. The empty claim has the highest epoch of all that were destroyed."""

CLAIMS: Final = Table(
    "claims",
    METADATA,
    Column("claim", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    sqlite_with_rowid=False,
)

FLOWS: Final = Table(
    "flows",
    METADATA,
    Column("claim", Text, primary_key=True),
    Column("book", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("atoms", BigInteger, nullable=False),
    Index("ix_flows_created_at", "created_at"),
    Index("ix_flows_book", "book", "created_at"),
    Index("ix_flows_name", "name", "created_at"),
    Index("ix_flows_state", "state", "created_at"),
)

RECORDS: Final = Table(
    "records",
    METADATA,
    Column("claim", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,  # the records of a flow lie side by side
)

APPENDED: Final = Table(
    "appended",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("claim", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_appended_claim", "claim", "kind", "key"),
)

REQUESTS: Final = Table(
    "requests",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("claim", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("posted_at", Double, nullable=False),
    Index("ix_requests_claim", "claim"),
    sqlite_autoincrement=True,  # an id that was deleted is never given again
)

OF_ONE_CLAIM: Final = (HEADS, CLAIMS, FLOWS, RECORDS, APPENDED, REQUESTS)


def create(connection: Connection) -> None:
    """Make all tables, in the transaction of ``connection``, and note the newest revision."""
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(insert(SCHEMA).values(version_num=REVISIONS[-1]))
