"""One connection to a database for each thread that uses it, and none that a forked child inherits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

_abandoned: list[set[Session]] = []  # a child must neither use nor close its parent's connections


class Session:
    """A connection of one thread, with the cursor on which it runs everything."""

    def __init__(self, connection: DBAPIConnection) -> None:
        self.connection = connection
        self.cursor: DBAPICursor = connection.cursor()

    def close(self) -> None:
        """Close the cursor, whose last statement would keep the files open, and the connection."""
        with suppress(Exception):  # what is broken already is let go
            self.cursor.close()
        with suppress(Exception):
            self.connection.close()


class _Token:
    """Stands in a thread's own dictionary, and closes the thread's session when the thread is gone."""

    def __init__(self, sessions: Sessions, session: Session, pid: int) -> None:
        self.session, self._sessions, self._pid = session, sessions, pid

    def __del__(self) -> None:
        if self._pid == os.getpid():
            self._sessions.drop(self.session)


class _Local(threading.local):
    token: _Token | None = None


class Sessions:
    """The sessions of one backend in this process, made when a thread first asks."""

    def __init__(self, connect: Callable[[], DBAPIConnection]) -> None:
        self._connect = connect
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._local = _Local()
        self._all: set[Session] = set()

    def current(self) -> Session:
        """Return the calling thread's session."""
        pid = os.getpid()
        if pid != self._pid:
            _abandoned.append(self._all)
            self._start()
        token = self._local.token
        if token is None or token.session not in self._all:
            session = Session(self._connect())
            self._all.add(session)
            token = self._local.token = _Token(self, session, pid)
        return token.session

    def drop(self, session: Session) -> None:
        """Close a session, such as one that could not be rolled back; its thread gets a new one."""
        if session in self._all:
            self._all.discard(session)
            session.close()

    def roll_back(self, session: Session) -> None:
        """Undo the transaction of a session; what cannot be rolled back is rolled back by closing it."""
        try:
            session.connection.rollback()
        except Exception:
            self.drop(session)

    def close(self) -> None:
        """Close the sessions of all threads."""
        if self._pid == os.getpid():
            for session in tuple(self._all):
                self.drop(session)
