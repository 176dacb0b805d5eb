"""What goes wrong between an engine and its worker processes."""

from __future__ import annotations

from flowbook.exceptions import FlowFailed, UsageError


class NotPicklable(UsageError, TypeError):
    """Something has to travel between the engine and a worker process, and cannot; ``part`` says what in it."""

    code = "FB116"

    def __init__(self, what: str, part: str, reason: str, place: str = "") -> None:
        self.what, self.part, self.reason, self.place = what, part, reason, place
        super().__init__(what, part, reason, place)

    def __str__(self) -> str:
        return f"{self.what} cannot travel between processes: {self.part}"

    @property
    def where(self) -> str:
        """Say where the atom is defined."""
        return self.place

    @property
    def why(self) -> str:
        """Give pickle's words."""
        return self.reason

    @property
    def todo(self) -> str:
        """Offer the usual ways out."""
        return (
            "define functions and classes at the top of a module, make connections, locks and files inside execute, "
            'or run it where nothing travels: executor="threads"'
        )


class ClusterLost(UsageError):
    """A dask cluster does not answer, or cannot run attempts. Nothing is wrong with the tasks: they are interrupted."""

    code = "FB119"

    def __init__(self, what: str, reason: str = "") -> None:
        self.what, self.reason = what, reason
        super().__init__(what, reason)

    def __str__(self) -> str:
        return self.what

    @property
    def why(self) -> str:
        """Give dask's words."""
        return self.reason

    @property
    def todo(self) -> str:
        """Say that nothing is lost that was saved."""
        return "see to the cluster, or give another one, and run it again: it continues where it stopped"


class WorkerLost(FlowFailed):
    """The process that ran an attempt ended before the attempt did: how far it got is not known."""

    code = "FB203"

    def __init__(self, atom: str, how: str) -> None:
        self.atom, self.how = atom, how
        super().__init__(atom, how)

    def __str__(self) -> str:
        return f"the worker process of {self.atom!r} {self.how}"

    @property
    def why(self) -> str:
        """Say what ends processes."""
        if "SIGKILL" in self.how:
            return "somebody killed it: where memory runs out, the system does"
        return "it called os._exit, crashed in C code, or somebody ended it"

    @property
    def todo(self) -> str:
        """Say how it may be tried again."""
        return "mend that; to try again by itself, put a retry around the atom; rerun=True runs it in a new round"
