"""The tables, in SQLAlchemy's words.

``claim`` is a claim key (``flow:…``, later ``job:…``): all that is written under one claim carries it.
Commits touch ``heads``, renewals only ``claims``, so that the two never wait for each other on a server.
``flows`` holds what `Backend.find` asks for, taken from the ``flow`` records, which stand whole in
``records`` like any other kind.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    VARBINARY,
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

REVISIONS: Final = ("0001", "0002", "0003")
"""The schema's revisions, oldest first: the names of the modules under ``migrations/versions``."""

NAME_LIMIT_BYTES: Final = 1000
"""How long a name may be in MySQL, as UTF-8."""

METADATA: Final = MetaData()

_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in INTEGER columns

# Names are compared byte by byte and sorted so, whatever the database's collation says of capitals, accents and blanks
# at the end. MySQL's indexes take 3,072 bytes, a third for each part of the key of a record.
_NAME = (
    Text().with_variant(Text(collation="C"), "postgresql").with_variant(VARBINARY(NAME_LIMIT_BYTES), "mysql", "mariadb")
)
_LONG = 2**32 - 1  # so that MySQL makes it a LONGTEXT: a TEXT takes 64 KiB
_DOCUMENT = Text().with_variant(Text(_LONG, collation="utf8mb4_bin"), "mysql", "mariadb")

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
    Column("claim", _NAME, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The fence: what a commit must know. The empty claim has the highest epoch of all that were destroyed."""

CLAIMS: Final = Table(
    "claims",
    METADATA,
    Column("claim", _NAME, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", _DOCUMENT, nullable=False),
    Column("since", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    sqlite_with_rowid=False,
)

FLOWS: Final = Table(
    "flows",
    METADATA,
    Column("claim", _NAME, primary_key=True),
    Column("book", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("atoms", BigInteger, nullable=False),
)

_NEWEST_FIRST = FLOWS.c.created_at.desc()  # InnoDB adds the claim, going up: so equally old ones come by id
Index("ix_flows_newest", _NEWEST_FIRST)
Index("ix_flows_newest_of_book", FLOWS.c.book, _NEWEST_FIRST)
Index("ix_flows_newest_of_name", FLOWS.c.name, _NEWEST_FIRST)
Index("ix_flows_newest_of_state", FLOWS.c.state, _NEWEST_FIRST)

RECORDS: Final = Table(
    "records",
    METADATA,
    Column("claim", _NAME, primary_key=True),
    Column("kind", _NAME, primary_key=True),
    Column("key", _NAME, primary_key=True),
    Column("data", _DOCUMENT, nullable=False),
)

APPENDED: Final = Table(
    "appended",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("claim", _NAME, nullable=False),
    Column("kind", _NAME, nullable=False),
    Column("key", _NAME, nullable=False),
    Column("data", _DOCUMENT, nullable=False),
    Index("ix_appended_claim", "claim", "kind", "key"),
)

REQUESTS: Final = Table(
    "requests",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("claim", _NAME, nullable=False),
    Column("data", _DOCUMENT, nullable=False),
    Column("posted_at", Double, nullable=False),
    Index("ix_requests_claim", "claim"),
    sqlite_autoincrement=True,  # an id that was deleted is never given again
)

OF_ONE_CLAIM: Final = (HEADS, CLAIMS, FLOWS, RECORDS, APPENDED, REQUESTS)


def create(connection: Connection) -> None:
    """Make all tables, in the transaction of ``connection``, and note the newest revision.

    MySQL commits after each; there the table that says that the database is ours comes first, and what an earlier
    attempt has made is left as it is.
    """
    is_stepwise = commits_each_step(connection)
    SCHEMA.create(connection, checkfirst=is_stepwise)
    others = [table for table in METADATA.sorted_tables if table is not SCHEMA]
    METADATA.create_all(connection, others, checkfirst=is_stepwise)
    if is_stepwise:
        for table in others:
            for index in table.indexes:
                index.create(connection, checkfirst=True)
    connection.execute(insert(SCHEMA).values(version_num=REVISIONS[-1]))


def commits_each_step(connection: Connection) -> bool:
    """Return whether the database commits each statement that alters its schema, as MySQL does."""
    return connection.dialect.name in ("mysql", "mariadb")
