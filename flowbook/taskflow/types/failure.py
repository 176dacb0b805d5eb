"""TaskFlow's ``types.failure``: the engine's own `Failure`, so that a program and its tasks see one class."""

from flowbook.failure import Failure as Failure
