"""What Alembic runs to migrate: always on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from flowbook.persistence.sql.tables import METADATA, SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=SCHEMA.name,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
