"""Finding a backend by its URL among the installed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowbook.exceptions import WrongType
from flowbook.persistence.backend import Backend
from flowbook.persistence.options import Options, scheme_of
from flowbook.plugins import load_plugin

GROUP: Final = "flowbook.persistence"
"""Entry points of this group are callables that take the configuration, a mapping, and return a `Backend`."""

_ALIASES: Final = {"file": "dir", "postgres": "postgresql", "mariadb": "mysql", "zk": "zookeeper"}
_COMES_LATER: Final = frozenset({"dir", "postgresql", "mysql", "zookeeper"})


def fetch(conf: str | Mapping[str, object]) -> Backend:
    """Return the backend that a URL names, not opened yet.

    ``conf`` is the URL (``memory:``, ``sqlite:///runs.db?journal=delete``), or a mapping with the URL under
    ``connection`` and options beside it. The URL's scheme chooses the backend, among the entry points of the
    group ``flowbook.persistence``. Raises UnknownPlugin when there is none of this name, and NotPossible when
    the address or an option makes no sense.
    """
    if not isinstance(conf, str | Mapping):
        raise WrongType("the storage", conf, "a URL or a mapping")
    scheme = scheme_of(Options(conf).address)
    given = {"connection": conf} if isinstance(conf, str) else dict(conf)
    backend: Backend = load_plugin(GROUP, _ALIASES.get(scheme, scheme), later=_COMES_LATER)(given)
    return backend
