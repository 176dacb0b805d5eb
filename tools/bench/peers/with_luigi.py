"""luigi: tasks that are complete once they were run, by its local scheduler, which keeps states in memory."""

from __future__ import annotations

import logging

import luigi
from serving import Asked, Case, Figures, serve, timed

DONE: set[tuple[int, int]] = set()


class Link(luigi.Task):  # type: ignore[misc]  # it has no types
    """One task of a chain; ``round_`` keeps rounds apart, since tasks of equal parameters are one."""

    round_ = luigi.IntParameter()
    number = luigi.IntParameter()

    def requires(self) -> list[luigi.Task]:
        """Return the one before."""
        return [Link(self.round_, self.number - 1)] if self.number else []

    def complete(self) -> bool:
        """Return whether it was run."""
        return (self.round_, self.number) in DONE

    def run(self) -> None:
        """Note that it was run."""
        DONE.add((self.round_, self.number))


def whole(asked: Asked) -> Figures:
    """Measure building a chain."""
    round_ = len(DONE)
    with timed() as figures:
        ended = luigi.build([Link(round_, asked.atoms - 1)], local_scheduler=True, log_level="ERROR")
    assert ended
    return figures


CASES: dict[str, Case] = {"whole chain": whole}

if __name__ == "__main__":
    logging.disable(logging.ERROR)
    serve(CASES)
