"""What a storage URL says: its scheme, its options with their types, and what of it may be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from flowbook.exceptions import NotPossible, did_you_mean
from flowbook.secrets.masking import SECRET_NAMES

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_USER_PART = re.compile(r"(://[^:/@?]*:).*@", re.DOTALL)
_SECRET_OPTION = re.compile(rf"([?&]{SECRET_NAMES}=)[^&]*", re.IGNORECASE)
_QUERY_IN_PASSWORD = re.compile(r"://(?!\[)[^:/@?]*:(?!\d+(?:,[^/@?]*)?\?)[^/@?]*\?[^@]*@")
"""A question mark in a password would be taken for the beginning of the options; ports are no passwords."""


def hide_secrets(url: str) -> str:
    """Return ``url`` with ``***`` for its password and for options that are named like secrets.

    Hides too much rather than too little when the URL is malformed.
    """
    return _SECRET_OPTION.sub(r"\1***", _USER_PART.sub(r"\1***@", url))


def scheme_of(url: str) -> str:
    """Return the part that names the backend: ``sqlite`` for ``sqlite+pysqlite:///runs.db``."""
    return url.partition(":")[0].partition("+")[0].lower()


class Options:
    """The options of one storage, from its URL's query and from a mapping; those of the mapping win.

    Each is read once, by its type. At the end `refuse_others` refuses what nobody has read.
    """

    def __init__(self, conf: Mapping[str, object] | str) -> None:
        given = {"connection": conf} if isinstance(conf, str) else dict(conf)
        connection = given.pop("connection", None)
        if not isinstance(connection, str):
            raise NotPossible(
                "the storage has no URL",
                todo="give a URL such as 'sqlite:///runs.db', or a mapping with the key 'connection'",
            )
        self.address, _, query = connection.partition("?")
        self.url = hide_secrets(connection)
        if _QUERY_IN_PASSWORD.search(connection):
            raise NotPossible("there is a ? before the @", where=self.url, todo="in a password write %3F for ?")
        self._given: dict[str, object] = {**dict(parse_qsl(query, keep_blank_values=True)), **given}
        self._known: set[str] = set()

    def flag(self, name: str, *, default: bool) -> bool:
        """Return an option that is on or off: ``true``, ``yes``, ``on``, ``1`` or their opposites."""
        value = self._take(name, default)
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise self._wrong(name, value, "true or false")
        return word in _TRUE

    def text(self, name: str, *, default: str) -> str:
        """Return an option that is a text or a path."""
        value = self._take(name, default)
        if isinstance(value, str | os.PathLike) and isinstance(text := os.fspath(value), str):
            return text
        raise self._wrong(name, value, "a text")

    def seconds(self, name: str, *, default: float) -> float:
        """Return an option that is a time in seconds, 0 or more."""
        value = self._take(name, default)
        try:
            number = float(str(value))
        except ValueError:
            number = -1.0
        if isinstance(value, bool) or not 0 <= number < float("inf"):
            raise self._wrong(name, value, "a number of seconds")
        return number

    def size(self, name: str, *, default: int | None) -> int | None:
        """Return an option that is a number of bytes above 0, or the default."""
        value = self._take(name, default)
        if value is None or (type(value) is int and value > 0):
            return value
        if isinstance(value, str) and value.isascii() and value.isdecimal() and int(value) > 0:
            return int(value)
        raise self._wrong(name, value, "a number of bytes above 0")

    def choice(self, name: str, choices: Collection[str], *, default: str) -> str:
        """Return an option that is one of some words, in small letters."""
        value = self._take(name, default)
        word = str(value).lower()
        if word != default and word not in choices:
            raise self._wrong(name, value, f"one of {', '.join(choices)}")
        return word

    def refuse_others(self) -> None:
        """Raise NotPossible, with the nearest known name, when an option was given that nobody has read."""
        for name in self._given:
            if name not in self._known:
                known = ", ".join(sorted(self._known))
                raise NotPossible(
                    f"there is no option {name!r}",
                    where=self.url,
                    todo=did_you_mean(name, self._known) or f"the options are {known}",
                )

    def _take(self, name: str, default: object) -> object:
        self._known.add(name)
        return self._given.get(name, default)

    def _wrong(self, name: str, value: object, wanted: str) -> NotPossible:
        return NotPossible(f"the option {name} is {value!r}, which is not {wanted}", where=self.url)
