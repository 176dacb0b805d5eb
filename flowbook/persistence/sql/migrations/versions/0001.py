"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql").with_variant(sa.VARBINARY(1000), "mysql", "mariadb")
DOCUMENT = sa.Text().with_variant(sa.Text(2**32 - 1, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    """Make the tables of claims and those of records."""
    _make_claims()
    _make_flows()
    _make_records()


def _make_claims() -> None:
    op.create_table(
        "heads",
        sa.Column("claim", NAME, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "claims",
        sa.Column("claim", NAME, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", DOCUMENT, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_flows() -> None:
    op.create_table(
        "flows",
        sa.Column("claim", NAME, primary_key=True),
        sa.Column("book", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("state", NAME, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("atoms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_flows_created_at", "flows", ["created_at"])
    for column in ("book", "name", "state"):
        op.create_index(f"ix_flows_{column}", "flows", [column, "created_at"])


def _make_records() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "records",
        sa.Column("claim", NAME, primary_key=True),
        sa.Column("kind", NAME, primary_key=True),
        sa.Column("key", NAME, primary_key=True),
        sa.Column("data", DOCUMENT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "appended",
        sa.Column("id", number, primary_key=True),
        sa.Column("claim", NAME, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("data", DOCUMENT, nullable=False),
    )
    op.create_index("ix_appended_claim", "appended", ["claim", "kind", "key"])
    op.create_table(
        "requests",
        sa.Column("id", number, primary_key=True),
        sa.Column("claim", NAME, nullable=False),
        sa.Column("data", DOCUMENT, nullable=False),
        sa.Column("posted_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_requests_claim", "requests", ["claim"])
