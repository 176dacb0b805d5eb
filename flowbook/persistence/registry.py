"""Finding a backend by its URL among the installed ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from flowbook.exceptions import FlowbookError, NotPossible, UnknownPlugin, WrongType
from flowbook.persistence.backend import Backend
from flowbook.persistence.options import Options, scheme_of
from flowbook.plugins import broken, load_plugin

GROUP: Final = "flowbook.persistence"
"""Entry points of this group are callables that take the configuration, a mapping, and return a `Backend`."""

_ALIASES: Final = {"file": "dir", "postgres": "postgresql", "mariadb": "mysql", "zk": "zookeeper"}


def fetch(conf: str | Mapping[str, object]) -> Backend:
    """Return the backend that a URL names, not opened yet.

    ``conf`` is the URL (``memory:``, ``sqlite:///runs.db?journal=delete``), or a mapping with the URL under
    ``connection`` and options beside it. The URL's scheme chooses the backend, among the entry points of the
    group ``flowbook.persistence``. Raises UnknownPlugin when there is none of this name, PluginBroken for one that
    cannot be loaded or makes no backend, WrongType for what is neither a URL nor a mapping, and NotPossible when the
    address or an option makes no sense.
    """
    if not isinstance(conf, str | Mapping):
        raise _wrong_type(conf, "a URL or a mapping")
    options = Options(conf)
    scheme = scheme_of(options.address)
    name = _ALIASES.get(scheme, scheme)
    given: dict[str, object] = {"connection": conf} if isinstance(conf, str) else dict(conf)
    try:
        make = load_plugin(GROUP, name)
    except UnknownPlugin as error:
        if ":" in options.address or error.todo:
            raise
        scheme = "dir:" if os.path.isdir(options.address) else "sqlite:///"
        todo = f"did you mean {scheme}{options.address}?" if options.address else "give 'sqlite:///runs.db'"
        raise NotPossible(f"{options.url!r} is no URL of a storage", todo=todo) from error
    return _made(name, make, given)


def _made(name: str, make: Callable[[dict[str, object]], Any], given: dict[str, object]) -> Backend:
    """Return the backend that a plug-in makes. Raises PluginBroken when it makes none, for a reason of its own."""
    try:
        backend = make(given)
    except FlowbookError:
        raise
    except Exception as error:  # it is somebody else's code
        raise broken(GROUP, name, f"it made no backend: {type(error).__name__}: {error}") from error
    if missing := _missing(backend):
        lacks = f"{type(backend).__name__} has no {', '.join(missing)}"
        raise broken(GROUP, name, f"it made no backend: {lacks}")
    return backend  # type: ignore[no-any-return]  # it has the verbs


def as_backend(given: object) -> Backend:
    """Return ``given`` when it has the verbs of a `Backend`, else what `fetch` returns for it. Raises as `fetch`."""
    if isinstance(given, str | Mapping):
        return fetch(given)
    if isinstance(given, type) or _missing(given):
        raise _wrong_type(given, "a backend, a URL or a mapping")
    backend: Backend = given  # type: ignore[assignment]  # it has the verbs
    return backend


def _missing(backend: object) -> list[str]:
    """Return the verbs of a `Backend` that something does not have."""
    return [verb for verb in _VERBS if not callable(getattr(backend, verb, None))]


_VERBS: Final = sorted(Backend.__abstractmethods__)


def _wrong_type(given: object, wanted: str) -> WrongType:
    todo = f"did you mean 'sqlite:///{os.fspath(given)!s}'?" if isinstance(given, os.PathLike) else ""
    return WrongType("the storage", given, wanted, todo=todo)
