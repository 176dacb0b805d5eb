"""Where a database server is, and how we log in, from the URL and options of a storage."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from flowbook.exceptions import NotPossible
from flowbook.persistence.options import Options

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Address:
    """A database on a server; the password is left out of its repr."""

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)


def address_of(options: Options, *, port: int) -> Address:
    """Return what a URL such as ``postgresql://user:password@host:5432/runs`` says.

    The password may be ``${VARIABLE}``, an environment variable, or be the first line of the file that the option
    ``password_file`` names. Raises NotPossible.
    """
    try:
        url = make_url(options.address)
    except (ArgumentError, ValueError):
        todo = "give scheme://user:password@host:port/database; write special characters of a password as %40"
        raise NotPossible("this is no address of a database", where=options.url, todo=todo) from None  # it tells all
    if "@" in (url.host or ""):  # it holds the end of a password, and a driver would tell of it
        todo = "in a user and a password write %40 for @, %2F for / and %3F for ?"
        raise NotPossible("this address has two @", where=options.url, todo=todo)
    if not url.database:
        raise NotPossible("no database is named", where=options.url, todo="give scheme://user@host/DATABASE")
    file = options.text("password_file", default="")
    password = _first_line(file, options.url) if file else _from_environment(url.password, options.url)
    return Address(url.host or "localhost", url.port or port, url.username or "", url.database, password)


def _first_line(file: str, where: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeError) as error:
        todo = "name a file that this program may read, with the password in its first line"
        raise NotPossible(f"the password file {file!r} cannot be read: {error}", where=where, todo=todo) from error


def _from_environment(password: str | None, where: str) -> str | None:
    match = _VARIABLE.fullmatch(password or "")
    if match is None:
        return password
    if match[1] not in os.environ:
        raise NotPossible(f"the environment variable {match[1]} is not set", where=where, todo=f"export {match[1]}=...")
    return os.environ[match[1]]
