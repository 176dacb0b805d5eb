"""Indexes that give the newest flows first: in MySQL one that goes the other way is of no use for that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NEWEST_FIRST = sa.text("created_at DESC")
NEW: dict[str, list[str | sa.TextClause]] = {
    "ix_flows_newest": [NEWEST_FIRST],
    "ix_flows_newest_of_book": ["book", NEWEST_FIRST],
    "ix_flows_newest_of_name": ["name", NEWEST_FIRST],
    "ix_flows_newest_of_state": ["state", NEWEST_FIRST],
}
OLD = ("ix_flows_created_at", "ix_flows_book", "ix_flows_name", "ix_flows_state")


def upgrade() -> None:
    """Make the new indexes, then drop the old ones; MySQL commits each step, and who was killed goes on after it."""
    there = set(OLD) if op.get_context().as_sql else _indexes()
    for name, columns in NEW.items():
        if name not in there:
            op.create_index(name, "flows", columns)
    for name in OLD:
        if name in there:
            op.drop_index(name, table_name="flows")


def _indexes() -> set[str | None]:
    return {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("flows")}
