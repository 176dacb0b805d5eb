"""What ends an attempt or a flow before its own end: time that has passed, and a wish."""

from __future__ import annotations

from flowbook.exceptions import FlowFailed


class AtomTimedOut(FlowFailed):
    """An attempt took longer than its task's ``timeout``; ``seconds`` is what it had."""

    code = "FB204"

    def __init__(self, atom: str, seconds: float) -> None:
        self.atom, self.seconds = atom, seconds
        super().__init__(atom, seconds)

    def __str__(self) -> str:
        return f"{self.atom!r} was not done within {self.seconds:g} s"

    @property
    def why(self) -> str:
        """Say since when that counts."""
        return "its timeout counts from when the attempt really began"

    @property
    def todo(self) -> str:
        """Say what may help."""
        return "give it more time (timeout=), or put a retry around it; rerun=True runs it in a new round"


class AtomCancelled(FlowFailed):
    """An attempt was ended because its flow was cancelled, or was not begun any more for that reason."""

    code = "FB205"

    def __init__(self, atom: str) -> None:
        self.atom = atom
        super().__init__(atom)

    def __str__(self) -> str:
        return f"{self.atom!r} was ended: its flow is cancelled"


class FlowTimedOut(FlowFailed):
    """A flow was not finished by its deadline, and was cancelled then."""

    code = "FB206"

    def __init__(self, run: str, deadline: str) -> None:
        self.run, self.deadline = run, deadline
        super().__init__(run, deadline)

    def __str__(self) -> str:
        return f"run {self.run!r} was not finished by its deadline, {self.deadline}"

    @property
    def todo(self) -> str:
        """Say what may help."""
        return "give it more time (timeout=); rerun=True runs it in a new round, with a new deadline"


class FlowCancelled(FlowFailed):
    """Somebody cancelled the flow."""

    code = "FB207"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(run)

    def __str__(self) -> str:
        return f"run {self.run!r} was cancelled"

    @property
    def todo(self) -> str:
        """Say how it may be run after all."""
        return "rerun=True runs it in a new round"
