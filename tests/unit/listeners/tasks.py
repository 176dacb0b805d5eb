"""Tasks and flows that the tests of listeners share."""

from __future__ import annotations

from typing import Any

from flowbook import LinearFlow, Task, engines
from flowbook.engines import Engine


class Give(Task):
    """Returns what it was made with."""

    def __init__(self, name: str, value: object = None, **options: Any) -> None:
        super().__init__(name, **options)
        self.value = value

    def execute(self, **kwargs: object) -> object:
        return self.value


class Fail(Task):
    """Raises a ValueError that another error caused."""

    def execute(self, **kwargs: object) -> None:
        try:
            raise LookupError("the first cause")
        except LookupError as error:
            raise ValueError(f"{self.name} failed") from error


class FailToRevert(Give):
    def revert(self) -> None:
        raise OSError("cannot be undone")


def loaded(*tasks: Task, **store: object) -> Engine:
    """Return an engine for a linear flow of ``tasks``, whose run is called ``r``."""
    return engines.load(LinearFlow("f").add(*tasks), store=store, run_id="r")
