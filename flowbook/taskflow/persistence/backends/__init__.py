"""TaskFlow's ``persistence.backends``: finding a backend by name or URI. Each of its kinds adapts a native backend."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, urlsplit

from flowbook.exceptions import UnknownPlugin
from flowbook.persistence import memory
from flowbook.persistence.directory.backend import DirectoryBackend
from flowbook.persistence.options import scheme_of
from flowbook.persistence.sql.backend import SqliteBackend
from flowbook.plugins import load_plugin
from flowbook.taskflow import exceptions
from flowbook.taskflow.persistence.base import Backend, Conf
from flowbook.taskflow.persistence.connection import AdaptedBackend, Connection, translated

BACKEND_NAMESPACE = "taskflow.persistence"
"""The entry points in which other packages offer backends; the kinds below come first."""

_IN_MEMORY: Final = frozenset({"", "//", "///", "///:memory:", "//:memory:"})


class MemoryBackend(AdaptedBackend):
    """Keeps results as the objects they are, and metadata copied; ``path`` and ``deep_copy`` mean nothing."""

    def __init__(self, conf: Conf | None = None) -> None:
        super().__init__(conf, memory.MemoryBackend())


class DirBackend(AdaptedBackend):
    """Keeps logbooks in the directory ``path``, which the first connection makes; nothing else may lie in it.

    No contents of files are cached. Raises ValueError without a path, and for a ``max_cache_size`` without room.
    """

    def __init__(self, conf: Conf | None) -> None:
        given = dict(conf or {})
        size = given.get("max_cache_size")
        if not given.get("path") or (size is not None and int(size) < 1):
            raise ValueError("a directory backend needs a path, and a max_cache_size of 1 or more if there is one")
        given["path"] = os.path.abspath(given["path"])
        self.file_cache = SimpleNamespace(currsize=0)
        super().__init__(given, DirectoryBackend({"connection": "dir", "path": given["path"]}))

    @translated()
    def get_connection(self) -> Connection:
        """Return a connection, to be closed by the caller."""
        os.makedirs(os.path.dirname(self._conf["path"]), exist_ok=True)
        return super().get_connection()


class SQLAlchemyBackend(AdaptedBackend):
    """Keeps logbooks in the database that the URL ``connection`` names, or that an SQLAlchemy ``engine`` has.

    Options, which tune SQLAlchemy, mean nothing here. Raises NotImplementedError for a database that is not SQLite.
    """

    def __init__(self, conf: Conf | None, engine: Any = None) -> None:  # an SQLAlchemy engine
        url = (conf or {}).get("connection", "") if engine is None else engine.url.render_as_string(hide_password=False)
        if scheme_of(url) != "sqlite":
            _refuse(scheme_of(url))
        address = url.partition("?")[0]
        is_in_memory = address.partition(":")[2] in _IN_MEMORY  # with values encoded, as in a file
        with translated():
            native = memory.MemoryBackend("memory:?strict=true") if is_in_memory else SqliteBackend(address)
            super().__init__(conf, native)


class ZkBackend(AdaptedBackend):
    """Cannot be made yet: raises NotImplementedError."""

    def __init__(self, conf: Any, client: Any = None) -> None:
        _refuse("zookeeper")


def _refuse(what: str) -> NoReturn:
    raise exceptions.NotImplementedError(f"logbooks cannot be kept in {what!r} yet: give 'sqlite:////path/of/a/file'")


_KINDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("sqlite", "mysql", "postgresql"), SQLAlchemyBackend),
    **dict.fromkeys(("dir", "file"), DirBackend),
    "memory": MemoryBackend,
    "zookeeper": ZkBackend,
}


def fetch(conf: str | Conf, namespace: str = BACKEND_NAMESPACE, **kwargs: Any) -> Backend:
    """Return the backend that ``conf`` names: a URI or a kind, or a mapping that has one as its ``connection``.

    The query of a URI is configuration too; the mapping wins. ``kwargs`` go to the backend's class. Raises NotFound.
    """
    given = {"connection": conf} if isinstance(conf, str) else dict(conf)
    said = dict(parse_qsl(urlsplit(given["connection"]).query))
    kind = scheme_of(given["connection"])
    known = _KINDS if namespace == BACKEND_NAMESPACE else {}
    try:
        made: Backend = (known.get(kind) or load_plugin(namespace, kind))({**said, **given}, **kwargs)
    except UnknownPlugin as error:
        raise exceptions.NotFound(f"Could not find backend {kind!r}", error) from error
    return made


@contextmanager
def backend(conf: str | Conf, namespace: str = BACKEND_NAMESPACE, **kwargs: Any) -> Iterator[Backend]:
    """Give the backend that `fetch` returns, made ready; it is closed at the end."""
    with closing(fetch(conf, namespace, **kwargs)) as made:
        with closing(made.get_connection()) as connection:
            connection.upgrade()
        yield made
