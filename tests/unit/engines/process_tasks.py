"""Tasks for worker processes, in a module that they can import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from flowbook import Task, current
from flowbook.engines.context import Outcome
from flowbook.secrets import Secret
from flowbook.testing.executor_tasks import Say, note, noted, wait_until


class Holding:
    """Holds a lock: it cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


def set_variable(name: str, value: str) -> None:
    os.environ[name] = value


def execute(said: Say) -> Outcome:
    """Call a task without an engine, as an executor calls an attempt."""
    return Outcome(said.execute())


def _refuse() -> OneWay:
    raise RuntimeError("only one way")


class OneWay:
    """Can be pickled, and not be made again."""

    def __reduce__(self) -> Any:  # typed so by object
        return _refuse, ()


class Take(Task):
    def execute(self, given: object) -> None: ...


class Hold(Task):
    def execute(self) -> Any:
        return {"held": Holding()}


class ReturnOneWay(Task):
    def execute(self) -> Any:
        return OneWay()


class LeaveTelling(Task):
    """Leaves a thread behind that tells of its attempt."""

    def execute(self) -> None:
        attempt = current()

        def tell() -> None:
            for _ in range(2_000):
                attempt.annotate(late=True)

        threading.Thread(target=tell, daemon=True).start()


class LeaveThread(Task):
    """Leaves a thread behind that keeps its process."""

    def execute(self) -> int:
        threading.Thread(target=time.sleep, args=(60,)).start()
        return os.getpid()


class Pid(Task):
    def execute(self) -> int:
        return os.getpid()


class Die(Say):
    """Ends its process, until it was called more often than that."""

    def __init__(self, name: str, folder: Path, how: str, times: int = 1_000_000) -> None:
        super().__init__(name, folder)
        self.how, self.times = how, times

    def execute(self) -> None:
        super().execute()
        if noted(self.folder).count(self.name) > self.times:
            return
        if self.how == "exit":
            os._exit(7)
        os.kill(os.getpid(), signal.SIGKILL if self.how == "kill" else signal.SIGSEGV)
        time.sleep(60)


class ForkAndDie(Say):
    """Ends its process, and leaves a child of it behind that holds all that it had open."""

    def execute(self) -> None:
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        (self.folder / "child").write_text(str(child), encoding="utf-8")
        os._exit(7)


class WaitWithPid(Say):
    """Notes its process, then waits for the gate."""

    def execute(self) -> int:
        note(self.folder, str(os.getpid()))
        wait_until(lambda: (self.folder / "gate").exists())
        return os.getpid()


class Reveal(Task):
    """Reveals a secret, and lets it out."""

    def __init__(self, name: str, variable: str, call: str) -> None:
        super().__init__(name)
        self.secret, self.call = Secret.from_env(variable), call

    def execute(self) -> str | None:
        text = self.secret.reveal()
        if self.call == "raise":
            raise ValueError(f"no such user: {text}")
        if self.call == "tell":
            current().annotate(user=text)
            return None
        return text


class UseProcesses(Task):
    def execute(self) -> int:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(sum, ([1, 2, 3],))


class Call(Task):
    """Returns what a function gives."""

    def __init__(self, name: str, function: Any, **options: Any) -> None:
        super().__init__(name, **options)
        self.function = function

    def execute(self) -> Any:
        return self.function()


class TellLast(Task):
    """Tells several words, the last of them at its end."""

    def execute(self) -> None:
        for tenth in range(10):
            current().update_progress(tenth / 10)
        current().annotate(word=self.name)
        current().update_progress(1.0)


class Hang(Task):
    """Does not come to an end, unless its process does."""

    timeout = 1.0

    def execute(self) -> None:
        threading.Event().wait(300)


class HangAndTell(Task):
    """Tells that it runs, and does not come to an end, unless its process does."""

    def execute(self) -> None:
        current().update_progress(0.5)
        threading.Event().wait(300)
