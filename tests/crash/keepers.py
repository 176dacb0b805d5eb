"""What processes and connections do that work on a run in ZooKeeper: crash, lose their session, lose a reply."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError

from crash.driving import RUN
from crash.flows import Step
from daemons.process import LOOPBACK
from daemons.zookeeper import four_letters
from flowbook import LinearFlow, engines
from flowbook.exceptions import FlowOwned, OwnershipLost, StorageError
from flowbook.persistence.backend import Fence
from flowbook.persistence.changes import Append
from flowbook.persistence.zookeeper.backend import ZookeeperBackend
from flowbook.testing.backend_samples import begin
from flowbook.testing.faults import CrashAtCommit

MULTI = 14
"""The type of a request for a transaction, in ZooKeeper's protocol."""


def work(url: str, log: str, stop_at: int, when: Literal["before", "after"]) -> str:
    """Run a chain of five in a process that stops itself at a commit; return how it ended."""
    with ZookeeperBackend(url) as inner:
        backend = CrashAtCommit(inner, at=stop_at, when=when, crash=lambda: os.kill(os.getpid(), signal.SIGSTOP))
        chain = LinearFlow("chain").add(*map(Step, "abcde"))
        try:
            engines.load(chain, {"log": log}, backend=backend, run_id=RUN).run()
        except (FlowOwned, OwnershipLost) as error:
            return type(error).__name__
        except StorageError as error:
            return f"{type(error).__name__}: {error.why}"
    return "finished"


def fork_and_write(url: str) -> dict[str, int]:
    """Write, have a forked child write under the same claim, and write again; return how it went."""
    with ZookeeperBackend(url) as backend:
        claim = begin(backend)
        claim = backend.commit(claim, [Append("try", "a", {"by": "parent"})])
        session = client_of(backend).client_id
        pid = os.fork()
        if pid == 0:
            child = backend.commit(claim, [Append("try", "a", {"by": "child"})], fence=Fence.EPOCH)
            is_own = child == claim and client_of(backend).client_id[0] != session[0]
            backend.close()
            os._exit(0 if is_own else 1)
        _, status = os.waitpid(pid, 0)
        backend.commit(claim, [Append("try", "a", {"by": "parent"})])
        is_the_same = client_of(backend).client_id == session
    return {"child": status, "sessions": 2 if is_the_same else 1}


def client_of(backend: ZookeeperBackend) -> Any:
    """Return the client behind a backend: the tests look at its session, and end it."""
    return backend._connection._client


def expire(backend: ZookeeperBackend, port: int) -> None:
    """End the session of a backend, as its server does with a client that was silent for too long.

    A second client takes the session over and closes it, unless the first one is quick to take it back.
    """
    number, password = client_of(backend).client_id
    name = f"0x{number & 0xFFFF_FFFF_FFFF_FFFF:x}"
    while name in four_letters(port, "dump"):
        twin = KazooClient(
            f"{LOOPBACK}:{port}", client_id=(number, password), timeout=1.0, connection_retry={"max_tries": -1}
        )
        with suppress(KazooTimeoutError):  # what it says too when the session was taken back in between
            twin.start(timeout=2)
        twin.stop()
        twin.close()


class CuttingProxy:
    """Passes a client's connection on to a server, and cuts it at the transactions that `cut` was told of.

    What was cut can connect again at once.
    """

    def __init__(self, port: int) -> None:
        self._server = (LOOPBACK, port)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self.multis = 0
        self._cuts: dict[int, str] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, multi: int, when: Literal["request", "reply"]) -> None:
        """Cut the connection in place of passing on transaction number ``multi``, counted from 1, or its reply."""
        self._cuts[multi] = when

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                doomed: set[int] = set()
                for pump in (self._requests, self._replies):
                    threading.Thread(target=pump, args=(client, server, doomed), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, doomed: set[int]) -> None:
        def passes(frame: bytes) -> bool:
            is_first = not greeted
            greeted.append(True)
            if is_first or len(frame) < 8:
                return True
            xid, kind = struct.unpack(">ii", frame[:8])
            self.multis += kind == MULTI
            cut = self._cuts.get(self.multis) if kind == MULTI else None
            if cut == "reply":
                doomed.add(xid)
            return cut != "request"

        greeted: list[bool] = []
        _pump(client, server, passes)

    def _replies(self, client: socket.socket, server: socket.socket, doomed: set[int]) -> None:
        def passes(frame: bytes) -> bool:
            is_first = not greeted
            greeted.append(True)
            return is_first or struct.unpack(">i", frame[:4])[0] not in doomed

        greeted: list[bool] = []
        _pump(server, client, passes)


def _pump(source: socket.socket, target: socket.socket, passes: Callable[[bytes], bool]) -> None:
    """Pass frames on until one may not pass, or an end is closed; then close both."""
    with suppress(OSError):
        while True:
            head = _exactly(source, 4)
            frame = _exactly(source, struct.unpack(">i", head)[0])
            if not passes(frame):
                break
            target.sendall(head + frame)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise OSError("it was closed")
        data += part
    return data
