"""Tasks that the tests of engines share."""

from __future__ import annotations

import threading
from typing import Any

from flowbook import Task


class Say(Task):
    """Returns its name; notes each call in ``calls``."""

    def __init__(self, name: str, calls: list[str], **options: Any) -> None:
        super().__init__(name, **options)
        self.calls = calls

    def execute(self) -> str:
        self.calls.append(self.name)
        return self.name

    def revert(self) -> None:
        self.calls.append(f"revert {self.name}")


class Raise(Say):
    def execute(self) -> str:
        self.calls.append(self.name)
        raise ValueError(self.name)


class Meet(Task):
    """Waits until as many others are there at the same time."""

    def __init__(self, name: str, barrier: threading.Barrier) -> None:
        super().__init__(name)
        self.barrier = barrier

    def execute(self) -> None:
        self.barrier.wait(10)
