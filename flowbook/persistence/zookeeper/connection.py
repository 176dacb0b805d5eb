"""The one connection of a backend: opened when it is needed, waited for when it is lost, never shared with a child.

Two kinds of requests: those that may be asked again (reading, creating under a name drawn at random, deleting) are,
until the deadline; a `multi` is asked once, for its reply may be lost behind a write that took place.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionLoss,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    QuotaExceededError,
    SessionClosedRequireSaslError,
    SessionExpiredError,
    SessionMovedError,
    ThrottledOpError,
    UnimplementedError,
)
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.protocol.states import KazooState
from kazoo.retry import KazooRetry
from kazoo.security import make_acl

from flowbook.exceptions import StorageError, StorageFull, StorageUnavailable
from flowbook.persistence.zookeeper.address import Address
from flowbook.persistence.zookeeper.asking import Op, Request, all_of, get, refusal_in
from flowbook.persistence.zookeeper.reading import get_all

WINDOW: Final = 200
"""So many requests are under way at once; a server keeps the answers to all of them in memory."""

_READ_BY_ONE: Final = 100
_READING: Final = 4
_PAUSE_S: Final = 0.02
_RECONNECT_MAX_S: Final = 0.5
_SERVERS_MIN: Final = 3
_ANSWERS: Final = (NoNodeError, NodeExistsError, BadVersionError, NotEmptyError, UnimplementedError)
_PASSING: Final = (ConnectionLoss, OperationTimeoutError, SessionExpiredError, SessionMovedError, ThrottledOpError)


class NoAnswer(StorageUnavailable):
    """A server has said nothing until the deadline to what it was asked."""


class ReplyLost(Exception):
    """The connection was lost before the reply: whether the request took place has to be looked up."""


class Connection:
    """The connection to the servers of ``address``. ``losses`` counts the sessions that were lost."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.losses = 0
        self.made = 0
        self._reads_many: bool | None = None
        self._words = _LastWords()
        self._forget()
        _all.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._is_up = threading.Event()
        self._client: Any = None  # a KazooClient: kazoo has no types

    # -- opening and closing --

    def close(self) -> None:
        """End the session: what it held is free at once."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            self._end(client)

    def _end(self, client: Any) -> None:
        client.remove_listener(self._listener)
        self._is_up.clear()
        client.stop()
        client.close()

    def _refusal(self) -> Exception | None:
        """Return why the client has given up for good."""
        return AuthFailedError() if self._client.client_state == "AUTH_FAILED" else self._handler.ended_by

    def abandon(self) -> None:
        """Let go of what a forked child inherited, and keep it from speaking: the session is its parent's."""
        client = self._client
        if client is not None:
            _inherited.append(client)  # were it collected, its socket would be closed with a warning
            atexit.unregister(client.handler.stop)
        self.losses += 1
        self._forget()

    def _opened(self) -> Any:
        """Return the client; one that has given up for good is ended. Raises StorageUnavailable for that."""
        with self._lock:
            if self._client is None:
                self._client = self._make()
                self._client.start_async()
            client, refusal = self._client, self._refusal()
            if refusal is not None:
                self._client = None
        if refusal is not None:
            self._end(client)
            raise self._meaning_of(refusal) from refusal
        return client

    def _make(self) -> Any:
        address = self.address
        acl = [make_acl("sasl", address.sasl_user, all=True)] if address.sasl_user else None
        self._handler = _Handler()
        client = KazooClient(
            _several(address.hosts),
            timeout=address.session_timeout_s,
            default_acl=acl,
            handler=self._handler,
            connection_retry=KazooRetry(max_tries=-1, delay=_PAUSE_S, max_delay=_RECONNECT_MAX_S),
            logger=self._words.logger,
            **address.how,
        )
        self.made += 1
        self._listener = self._heard(self._is_up)
        client.add_listener(self._listener)
        return client

    def _heard(self, is_up: threading.Event) -> Callable[[str], None]:
        def heard(state: str) -> None:
            if state == KazooState.CONNECTED:
                self._words.last = ""
                is_up.set()
                return
            is_up.clear()
            if state == KazooState.LOST:
                self.losses += 1

        return heard

    def _connected(self, deadline: float) -> Any:
        """Return the client when it is connected. Raises StorageUnavailable at the deadline."""
        client = self._opened()
        while not self._is_up.wait(_PAUSE_S):
            client = self._opened()
            if time.monotonic() > deadline:
                raise StorageUnavailable(self.address.url, self._words.last or "no server answers")
        return client

    # -- asking --

    def deadline(self) -> float:
        """Return until when an answer that is asked for now is waited for."""
        return time.monotonic() + self.address.timeout_s

    def ask(self, requests: Sequence[Request], *, window: int = WINDOW) -> list[Any]:
        """Return the answers to requests that may be asked again, in their order, ``window`` of them at once.

        That there is no such znode (or already one, or another version, or something in it) is an answer too.
        Raises StorageUnavailable at the deadline.
        """
        answers: list[Any] = []
        for start in range(0, len(requests), window):
            answers += self._insist(requests[start : start + window])
        return answers

    def read(self, paths: Sequence[str], *, by_one: int = _READ_BY_ONE) -> list[bytes | None]:
        """Return what is in each of some znodes, None where there is none; ``by_one`` request so many are read."""
        batches = [paths[start : start + by_one] for start in range(0, len(paths), by_one)]
        if batches and self._reads_many is None:  # a server before 3.6 hangs up after it has said no
            (first,) = self.ask([get_all(batches[0])])
            self._reads_many = not isinstance(first, UnimplementedError)
        if self._reads_many:
            found = list(chain.from_iterable(self.ask(list(map(get_all, batches)), window=_READING)))
        else:
            found = [one if isinstance(one, Exception) else one[0] for one in self.ask(list(map(get, paths)))]
        for answer in found:
            if isinstance(answer, Exception) and not isinstance(answer, NoNodeError):
                raise self._meaning_of(answer) from answer
        return [None if isinstance(answer, Exception) else answer for answer in found]

    def _insist(self, requests: Sequence[Request]) -> list[Any]:
        deadline = self.deadline()
        while True:
            try:
                return self._asked(requests, deadline)
            except _PASSING as error:
                if time.monotonic() > deadline:
                    raise self._meaning_of(error) from error
                time.sleep(_PAUSE_S)

    def _asked(self, requests: Sequence[Request], deadline: float) -> list[Any]:
        client = self._connected(deadline)
        waiting = [request(client) for request in requests]
        return [self._answer(result, deadline) for result in waiting]

    def _answer(self, result: Any, deadline: float) -> Any:
        try:
            return result.get(timeout=max(0.0, deadline - time.monotonic()))
        except _ANSWERS as error:
            return error
        except _PASSING:
            raise
        except (KazooException, KazooTimeoutError) as error:
            raise self._meaning_of(error) from error

    def multi(self, ops: Sequence[Op], deadline: float) -> list[Any]:
        """Do all of ``ops`` or nothing, and return their answers: errors when nothing was done.

        Asked once only. Raises ReplyLost, also at the deadline, and StorageUnavailable when there was nobody to ask.
        """
        try:
            (answers,) = self._asked([all_of(ops)], deadline)
        except (*_PASSING, NoAnswer) as error:
            raise ReplyLost from error
        refusal = refusal_in(answers)
        if refusal is not None and not isinstance(refusal[1], _ANSWERS):
            raise self._meaning_of(refusal[1]) from refusal[1]
        return list(answers)

    def _meaning_of(self, error: Exception) -> StorageError:
        url = self.address.url
        match error:
            case KazooTimeoutError():
                return NoAnswer(url, self._words.last or "no server answered in time")
            case AuthFailedError() | SessionClosedRequireSaslError():
                return StorageUnavailable(url, "ZooKeeper refuses this user or password")
            case NoAuthError():
                return StorageUnavailable(url, "ZooKeeper does not let this user do that")
            case QuotaExceededError():
                return StorageFull(url, "the quota of this path is used up")
        return StorageUnavailable(url, self._words.last or f"{type(error).__name__}: {error}")


def _several(hosts: str) -> str:
    """Return a list of servers that is not too short.

    A server that is just starting may take a greeting and never answer it. The client waits for that as long as the
    session lasts, divided by the number of servers: with a single one it would find no time to ask again.
    """
    servers = hosts.split(",")
    return ",".join(servers * -(-_SERVERS_MIN // len(servers)))


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """Keeps what a thread of the client ended by, instead of printing it."""

    ended_by: Exception | None = None

    def spawn(self, func: Callable[..., object], *args: object, **kwargs: object) -> threading.Thread:
        """Start a thread."""

        def run() -> None:
            try:
                func(*args, **kwargs)
            except Exception as error:
                self.ended_by = error

        thread: threading.Thread = super().spawn(run)
        return thread


class _LastWords(logging.Handler):
    """Keeps the last warning of the client, which says why there is no connection; kazoo raises only that."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self.logger = logging.Logger("flowbook.zookeeper", logging.WARNING)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember the text of a record."""
        self.last = record.getMessage()


_all: weakref.WeakSet[Connection] = weakref.WeakSet()
_inherited: list[Any] = []


def _abandon_all() -> None:
    for connection in _all:
        connection.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
