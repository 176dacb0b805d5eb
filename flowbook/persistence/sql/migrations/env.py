"""What Alembic runs to migrate: on the connection that it is given, in its transaction, or only telling the SQL."""

from __future__ import annotations

from alembic import context

from flowbook.persistence.sql.tables import METADATA, SCHEMA

attributes = context.config.attributes
if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect"],
        literal_binds=True,
        version_table=SCHEMA.name,
        transactional_ddl=True,
    )
else:
    context.configure(
        connection=attributes["connection"],
        target_metadata=METADATA,
        version_table=SCHEMA.name,
        transactional_ddl=True,
    )
with context.begin_transaction():
    context.run_migrations()
