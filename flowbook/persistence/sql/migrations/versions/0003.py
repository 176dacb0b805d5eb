"""SQLite: records beside their index, not in it, where finding one copies each large record that stands on the way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table anew with its rows, in the one transaction that a revision is there."""
    if op.get_context().dialect.name != "sqlite":
        return
    op.rename_table("records", "records_in_index")
    op.create_table(
        "records",
        sa.Column("claim", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.execute("INSERT INTO records SELECT claim, kind, key, data FROM records_in_index")
    op.drop_table("records_in_index")
