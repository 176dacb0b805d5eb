"""Is a database ours, and of which revision; making its schema, and bringing an older one up to date."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Dialect

from flowbook.exceptions import NewerSchema, NotALogbook
from flowbook.persistence.sql.tables import REVISIONS, SCHEMA, commits_each_step, create

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).with_name("migrations")


def revision_of(url: str, tables: Collection[str], noted: Collection[str]) -> str | None:
    """Return the revision of a database, given its tables and the revisions noted in it; None when it is new.

    An empty string is ours before the first revision. Raises NotALogbook when the database is another program's,
    NewerSchema when its revision is none that this version knows.
    """
    if not tables:
        return None
    if SCHEMA.name not in tables:
        raise NotALogbook(url, f"it has the tables {', '.join(sorted(tables))}")
    unknown = sorted(set(noted).difference(REVISIONS))
    if unknown:
        raise NewerSchema(url, f"its schema is {', '.join(unknown)}, this version knows {REVISIONS[-1]}")
    return max(noted, default="", key=REVISIONS.index)


def bring_up_to_date(connection: Connection, revision: str | None) -> None:
    """Make the newest schema out of ``revision``, in the transaction of ``connection``."""
    if revision is None or (revision == "" and commits_each_step(connection)):
        create(connection)
    elif revision != REVISIONS[-1]:
        _migrate(connection)


def _migrate(connection: Connection) -> None:
    """Run the missing revisions. Alembic, which takes a third of a second, is imported here and below only."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def script_of_upgrade(dialect: Dialect, revision: str | None) -> str:
    """Return the SQL that leads from ``revision`` to the newest, in the words of ``dialect``."""
    from alembic import command

    text = io.StringIO()
    config = _config()
    config.output_buffer = text
    config.attributes["dialect"] = dialect.name
    command.upgrade(config, f"{revision}:head" if revision else "head", sql=True)
    # A database from before the first revision has this one table already.
    return text.getvalue().replace(f"CREATE TABLE {SCHEMA.name} (", f"CREATE TABLE IF NOT EXISTS {SCHEMA.name} (")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
