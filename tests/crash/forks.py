"""A fork server: a process without threads that imports once and forks a child for every call it is asked for.

A child runs one function, named ``module:function``, with plain data as its arguments, and leaves what that returns
in a file. It can be killed and stopped like any process, and shares nothing with its siblings but files.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import os
import pkgutil
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

HANGS_AFTER_S = 60
"""A child that takes longer is ended by SIGALRM, with the stacks of its threads on stderr."""

_EVENTS = {
    "death": os.WEXITED | os.WNOWAIT,
    "end": os.WEXITED,
    "stop": os.WSTOPPED,
    "stop or end": os.WSTOPPED | os.WEXITED | os.WNOWAIT,
}


@dataclass(frozen=True)
class End:
    """How a child ended: by which signal (0: by itself), and what its function returned."""

    signal: int
    answer: Any  # whatever the function returned, as JSON keeps it

    @property
    def was_killed(self) -> bool:
        return self.signal == signal.SIGKILL


class Child:
    """A process that the fork server made."""

    def __init__(self, forks: Forks, pid: int, answer: Path) -> None:
        self.pid = pid
        self._forks = forks
        self._answer = answer

    def wait(self) -> End:
        """Wait for the end of the process, and return it. Fails when its function raised, or when it hung."""
        status = self._forks.ask("wait", pid=self.pid, event="end")["status"]
        self._forks.children.discard(self.pid)
        by = -status if status < 0 else 0
        assert by != signal.SIGALRM, f"the child {self.pid} hung for {HANGS_AFTER_S} s"
        answer = json.loads(self._answer.read_text()) if self._answer.exists() else {}
        assert "error" not in answer, answer["error"]
        assert by or answer, f"the child {self.pid} ended with {status} and without an answer"
        return End(by, answer.get("value"))

    def kill(self) -> None:
        """Kill the process, and return when it is dead: a zombie, until `wait` is called."""
        os.kill(self.pid, signal.SIGKILL)
        self._forks.ask("wait", pid=self.pid, event="death")

    def wait_stopped(self) -> None:
        """Return when the process has stopped."""
        self._forks.ask("wait", pid=self.pid, event="stop")

    def has_stopped(self) -> bool:
        """Wait until the process has stopped or ended; return whether it has stopped."""
        status: int = self._forks.ask("wait", pid=self.pid, event="stop or end")["status"]
        return status == -signal.SIGSTOP

    def stop(self) -> None:
        """Stop the process, and return when it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        self.wait_stopped()

    def proceed(self) -> None:
        """Let a stopped process go on."""
        os.kill(self.pid, signal.SIGCONT)


class Forks:
    """The server, as those see it who want children. Close it in the end: that kills what is left of them."""

    def __init__(self, folder: Path, modules: Sequence[str]) -> None:
        self.children: set[int] = set()
        self._folder = folder
        self._count = 0
        command = f"import sys; sys.path[:0] = {sys.path!r}; from crash import forks; forks.serve({list(modules)!r})"
        self._server = subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask("hello")

    def start(self, function: str, **arguments: Any) -> Child:
        """Fork a child that calls ``function`` with ``arguments``."""
        self._count += 1
        answer = self._folder / f"answer-{self._count}"
        reply = self.ask("start", function=function, arguments=arguments, answer=str(answer))
        self.children.add(reply["pid"])
        return Child(self, reply["pid"], answer)

    def call(self, function: str, **arguments: Any) -> End:
        """Fork a child that calls ``function`` with ``arguments``, and wait for its end."""
        return self.start(function, **arguments).wait()

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """Send a request and return its reply."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"verb": verb, **request}).encode() + b"\n")
        self._server.stdin.flush()
        readable, _, _ = select.select([self._server.stdout], [], [], HANGS_AFTER_S * 2)
        line = self._server.stdout.readline() if readable else b""
        assert line, f"the fork server did not answer {verb} {request}"
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """End the server and every child that nobody has waited for."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()


# -- the server's side --


def serve(modules: Sequence[str]) -> None:
    """Import ``modules``, then do what is asked on stdin, a line each, until it ends."""
    for module in modules:
        __import__(module)
    gc.collect()
    gc.freeze()
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    for line in requests:
        request = json.loads(line)
        os.write(1, json.dumps(_VERBS[request["verb"]](request)).encode() + b"\n")


def _hello(request: dict[str, Any]) -> dict[str, Any]:
    return {"pid": os.getpid()}


def _start(request: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _be_child(request)
    return {"pid": pid}


def _be_child(request: dict[str, Any]) -> NoReturn:
    """Run the function of a request and end, without a look back at what the server was doing."""
    try:
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        faulthandler.register(signal.SIGALRM, chain=True)
        signal.alarm(HANGS_AFTER_S)
        logging.disable(logging.CRITICAL)
        answer = {"value": pkgutil.resolve_name(request["function"])(**request["arguments"])}
    except BaseException:
        answer = {"error": traceback.format_exc()}
    Path(request["answer"]).write_text(json.dumps(answer))
    os._exit(0)


def _wait(request: dict[str, Any]) -> dict[str, Any]:
    found = os.waitid(os.P_PID, request["pid"], _EVENTS[request["event"]])
    assert found is not None
    return {"status": found.si_status if found.si_code == os.CLD_EXITED else -found.si_status}


_VERBS = {"hello": _hello, "start": _start, "wait": _wait}
