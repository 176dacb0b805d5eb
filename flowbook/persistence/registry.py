"""Finding a backend by its URL among the installed ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from flowbook.exceptions import NotPossible, UnknownPlugin, WrongType
from flowbook.persistence.backend import Backend
from flowbook.persistence.options import Options, scheme_of
from flowbook.plugins import load_plugin

GROUP: Final = "flowbook.persistence"
"""Entry points of this group are callables that take the configuration, a mapping, and return a `Backend`."""

_ALIASES: Final = {"file": "dir", "postgres": "postgresql", "mariadb": "mysql", "zk": "zookeeper"}


def fetch(conf: str | Mapping[str, object]) -> Backend:
    """Return the backend that a URL names, not opened yet.

    ``conf`` is the URL (``memory:``, ``sqlite:///runs.db?journal=delete``), or a mapping with the URL under
    ``connection`` and options beside it. The URL's scheme chooses the backend, among the entry points of the
    group ``flowbook.persistence``. Raises UnknownPlugin when there is none of this name, WrongType for what is
    neither, and NotPossible when the address or an option makes no sense.
    """
    if not isinstance(conf, str | Mapping):
        raise _wrong_type(conf, "a URL or a mapping")
    options = Options(conf)
    scheme = scheme_of(options.address)
    given = {"connection": conf} if isinstance(conf, str) else dict(conf)
    try:
        make = load_plugin(GROUP, _ALIASES.get(scheme, scheme))
    except UnknownPlugin as error:
        if ":" in options.address or error.todo:
            raise
        scheme = "dir:" if os.path.isdir(options.address) else "sqlite:///"
        todo = f"did you mean {scheme}{options.address}?" if options.address else "give 'sqlite:///runs.db'"
        raise NotPossible(f"{options.url!r} is no URL of a storage", todo=todo) from error
    backend: Backend = make(given)
    return backend


def as_backend(given: object) -> Backend:
    """Return ``given`` when it has the verbs of a `Backend`, else what `fetch` returns for it. Raises as `fetch`."""
    if isinstance(given, str | Mapping):
        return fetch(given)
    if isinstance(given, type) or not all(callable(getattr(given, verb, None)) for verb in _VERBS):
        raise _wrong_type(given, "a backend, a URL or a mapping")
    backend: Backend = given  # type: ignore[assignment]  # it has the verbs
    return backend


_VERBS: Final = sorted(Backend.__abstractmethods__)


def _wrong_type(given: object, wanted: str) -> WrongType:
    todo = f"did you mean 'sqlite:///{os.fspath(given)!s}'?" if isinstance(given, os.PathLike) else ""
    return WrongType("the storage", given, wanted, todo=todo)
