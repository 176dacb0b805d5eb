"""A small TCP proxy before a server: it cuts connections, loses replies, delivers late, or goes silent.

Clients are taken to wait for the answer to each of their requests, so that what comes from one at a time is a request.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeAlias

LOOPBACK = "127.0.0.1"

_LOOK_EVERY_S = 0.05
_LATE_S = 0.3
_ANSWERS_WITHIN_S = 0.2
_ABORT = struct.pack("ii", 1, 0)


class Link:
    """A client's connection through the proxy."""

    def __init__(self, client: socket.socket, port: int) -> None:
        self.client = client
        self.server = socket.create_connection((LOOPBACK, port))
        for side in (self.client, self.server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_silent = False

    def ask(self, request: bytes) -> None:
        """Pass a request on, and wait until the server has begun to answer it; it does not answer a part of one."""
        self.server.sendall(request)
        select.select([self.server], [], [], _ANSWERS_WITHIN_S)

    def close(self) -> None:
        """Cut it, so that both sides see that at once."""
        for side in (self.client, self.server):
            abort(side)


def abort(side: socket.socket) -> None:
    """Close a socket with a reset."""
    with suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    side.close()


Fault: TypeAlias = Callable[[Link, bytes], None]
"""What becomes of a link and of the request that has just come; usually the request is passed on."""


def cut(link: Link, request: bytes) -> None:
    """Cut the connection before the request reaches the server."""
    link.close()


def lose_reply(link: Link, request: bytes) -> None:
    """Cut the connection when the server has done what it was asked for."""
    link.ask(request)
    link.close()


def deliver_late(link: Link, request: bytes) -> None:
    """Cut the client off; a moment later the server gets the request that was under way."""
    abort(link.client)
    threading.Event().wait(_LATE_S)
    with suppress(OSError):
        link.ask(request)
    link.close()


def go_silent(link: Link, request: bytes) -> None:
    """Read nothing any more from either side, and keep the connection."""
    link.is_silent = True


class Proxy:
    """Listens on ``port`` for clients of the server on loopback; ``requests`` counts what they ask."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._wanted, self._at = b"", 0
        self._is_closed = threading.Event()
        self.requests = 0
        self.refuses = False
        self.swallows = False
        """Whether new connections are accepted and then never answered."""
        self._listener = socket.create_server((LOOPBACK, 0), backlog=50)
        self._listener.settimeout(_LOOK_EVERY_S)
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def arm(self, fault: Fault, *, at: int = 1, containing: bytes = b"") -> None:
        """Have something happen to request number ``at``, of those that contain some text, from now on; once."""
        with self._lock:
            self._fault, self._at, self._wanted = fault, at, containing

    def disarm(self) -> None:
        """Have nothing happen any more."""
        with self._lock:
            self._fault = None

    @property
    def is_armed(self) -> bool:
        """Whether nothing has happened yet."""
        return self._fault is not None

    def close(self) -> None:
        """Cut all connections, and listen no more."""
        self._is_closed.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _listen(self) -> None:
        while not self._is_closed.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        if self.refuses:
            abort(client)
            return
        try:
            link = Link(client, self._server_port)
        except OSError:
            abort(client)
            return
        link.is_silent = self.swallows
        with suppress(OSError, ValueError):  # one side has closed it, or a fault has
            self._carry(link)
        link.close()

    def _carry(self, link: Link) -> None:
        while not self._is_closed.is_set():
            if link.is_silent:
                self._is_closed.wait(_LOOK_EVERY_S)
                continue
            readable, _, _ = select.select([link.client, link.server], [], [], _LOOK_EVERY_S)
            for side in readable:
                data = side.recv(1 << 20)
                if not data:
                    return
                if side is link.server:
                    link.client.sendall(data)
                else:
                    (self._fault_for(data) or _pass_on)(link, data)

    def _fault_for(self, data: bytes) -> Fault | None:
        with self._lock:
            self.requests += 1
            if self._fault is None or self._wanted not in data:
                return None
            self._at -= 1
            fault = None if self._at else self._fault
            if fault is not None:
                self._fault = None
            return fault


def _pass_on(link: Link, request: bytes) -> None:
    link.server.sendall(request)
