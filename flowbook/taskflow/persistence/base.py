"""TaskFlow's ``persistence.base``: what makes a class a backend, or a connection, whoever has written it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

Conf = Mapping[str, Any]  # whatever the user says


class Backend(ABC):
    """Where logbooks are kept. Raises TypeError unless ``conf`` is a dict, or nothing."""

    def __init__(self, conf: Conf | None = None) -> None:
        if conf and not isinstance(conf, dict):
            raise TypeError(f"the configuration of a backend is a dict, not {conf!r} ({type(conf).__name__})")
        self._conf: dict[str, Any] = dict(conf or {})

    @abstractmethod
    def get_connection(self) -> Any:  # a `Connection`, with methods of its own
        """Return a connection, to be closed by the caller."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the backend has opened."""


class Connection(ABC):  # noqa: B024  # another package's has methods of its own
    """Reads and writes logbooks, in the words that `flowbook.taskflow.persistence.connection.Connection` has."""
