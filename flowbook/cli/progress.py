"""Progress as it is told while a run goes on: what was heard of it, and the displays that need no terminal.

A display hears of each notice in the engine's thread; it must be quick, and it writes to stderr only. That nobody reads
there any more is no reason to stop: no display raises OSError.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from flowbook.cli.streams import write
from flowbook.cli.texts import took_text
from flowbook.events import Notice
from flowbook.states import AtomState

UNDER_WAY: Final = frozenset({AtomState.RUNNING, AtomState.REVERTING})
MARKS: Final = {
    AtomState.FAILURE: "red",
    AtomState.REVERT_FAILURE: "red",
    AtomState.SUCCESS: "green",
    AtomState.REVERTED: "yellow",
}
"""The colour of a state; its name is always told too."""


@dataclass
class Tally:
    """What was heard of a run in this process: ``running`` atoms with their notices, and those that ended."""

    run: str
    flow: str
    atoms: int
    why: Callable[[Notice], str]  # what to tell of a failure
    saved: Callable[[], int]  # how many atoms were saved before this process came
    progress: Callable[[str], float | None]  # how far an atom says that it is
    began: float = field(default_factory=time.time)
    running: dict[str, Notice] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    suspending: bool = False

    def hear(self, notice: Notice) -> str:
        """Take in a notice of an atom; return the line that tells it."""
        before = self.running.pop(notice.atom, None)
        if notice.state in UNDER_WAY:
            self.running[notice.atom] = notice
            return self._line(notice, f"attempt {notice.attempt}" if notice.attempt > 1 else "")
        self.touched.add(notice.atom)
        if notice.state == AtomState.SUCCESS:
            self.done.add(notice.atom)
        took = "" if before is None else took_text(max(0.0, notice.at - before.at))
        return self._line(notice, "  ".join(filter(None, (took, self.why(notice)))))

    def _line(self, notice: Notice, rest: str) -> str:
        clock = max(0.0, notice.at - self.began)
        return f"{clock:8.2f}  {notice.state:<14}  {notice.atom}  {rest}".rstrip()

    def finishing(self) -> str:
        """Return what to say when the run was asked to suspend."""
        count = len(self.running)
        return f"finishing {count} atom{'' if count == 1 else 's'}, Ctrl-C again to stop now"


class Display(Protocol):
    """Tells of a run while it goes on."""

    tally: Tally

    def open(self) -> None:
        """Begin to show."""
        ...

    def entered(self) -> None:
        """Tell that the run has been entered: nothing was refused. May be called twice."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice, and from another thread."""
        ...

    def hear(self, notice: Notice) -> None:
        """Take in a notice of an atom."""
        ...

    def say(self, text: str) -> None:
        """Show one line that is no atom's."""
        ...

    def say_suspending(self) -> None:
        """Tell that the run ends soon; called from another thread than the engine's."""
        ...


class PlainDisplay:
    """One line for each event: for logs, pipes and plain terminals."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._entered = False

    def open(self) -> None:
        """Do nothing: the run may still be refused."""

    def entered(self) -> None:
        """Say which run this is."""
        if not self._entered:
            self._entered = True
            count = self.tally.atoms
            self.say(f"run {self.tally.run} of {self.tally.flow!r}: {count} atom{'' if count == 1 else 's'}")

    def close(self) -> None:
        """Do nothing: each line was complete."""

    def hear(self, notice: Notice) -> None:
        """Write the line of a notice."""
        self.say(self.tally.hear(notice))

    def say(self, text: str) -> None:
        """Write a line."""
        write(text, err=True)

    def say_suspending(self) -> None:
        """Write a line."""
        self.say(self.tally.finishing())


class QuietDisplay(PlainDisplay):
    """Says nothing of what goes as it should; warnings are still shown."""

    def entered(self) -> None:
        """Say nothing."""

    def hear(self, notice: Notice) -> None:
        """Only remember."""
        self.tally.hear(notice)

    def say_suspending(self) -> None:
        """Say nothing."""


def choose(how: str) -> str:
    """Return ``tty``, ``plain`` or ``quiet``: for ``auto``, ``tty`` when stderr is a terminal that can move."""
    if how != "auto":
        return how
    return "tty" if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"


def display_for(how: str, tally: Tally) -> Display:
    """Return the display that is meant by ``auto``, ``tty``, ``plain`` or ``quiet``."""
    match choose(how):
        case "tty":
            from flowbook.cli.live import LiveDisplay  # rich takes 40 ms: not for logs

            return LiveDisplay(tally)
        case "quiet":
            return QuietDisplay(tally)
        case _:
            return PlainDisplay(tally)
