"""Databases of their own for tests, on servers that all tests of a process share."""

from __future__ import annotations

from itertools import count
from urllib.parse import quote

import psycopg
import pymysql
from alembic import command

from daemons.process import LOOPBACK, Daemon
from flowbook.persistence.sql.database import Database
from flowbook.persistence.sql.schema import _config

_numbers = count(1)


def new_postgresql_schema(server: Daemon) -> str:
    """Return the URL of an empty schema: much quicker to make than a database."""
    name = f"Runs of {next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
    return f"{server.url}?schema={quote(name)}&timeout_s=20"


def new_mariadb_database(server: Daemon) -> str:
    """Return the URL of an empty database."""
    name = f"runs{next(_numbers)}"
    connection = pymysql.connect(host=LOOPBACK, port=server.port, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    return f"{server.url}{name}?timeout_s=20"


def migrate_to(revision: str, database: Database) -> None:
    """Bring an empty database up to a revision, as an older flowbook would."""
    config = _config()
    with database._engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
