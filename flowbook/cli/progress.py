"""Progress as it is told while a run goes on: what was heard of it, and the displays that need no terminal.

A display hears of each notice in the engine's thread, or in that of one who watches; it must be quick. That nobody
reads any more is no reason to stop: no display raises OSError. A display keeps to the stream that it found: what atoms
print while it is shown comes to it, as `output`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TextIO

import click

from flowbook.cli.streams import may_be_unread
from flowbook.cli.texts import failure_line, took_text
from flowbook.events import PROGRESS, Notice
from flowbook.states import UNFINISHED_ATOMS, AtomState, FlowState
from flowbook.views.following import RunEvent, Source

FAILED: Final = frozenset({AtomState.FAILURE, AtomState.REVERT_FAILURE})
MARKS: Final = {
    AtomState.FAILURE: "red",
    AtomState.REVERT_FAILURE: "red",
    AtomState.SUCCESS: "green",
    AtomState.REVERTED: "yellow",
}
"""The colour of a state; its name is always told too."""

SAVED_SHOWN: Final = 10
"""How many of the atoms that were saved earlier people are told by name."""


@dataclass
class Tally:
    """What was heard of a run: ``running`` atoms with their notices, those that ended, and what atoms tell.

    ``saved`` are the atoms that were done before; it is empty until the run has been entered.
    """

    run: str
    flow: str
    atoms: int
    source: Source
    owner: str = ""
    then: str = "Ctrl-C again to stop now"  # what else to say when the run was asked to suspend
    began: float = field(default_factory=time.time)
    running: dict[str, Notice] = field(default_factory=dict)
    attempts: dict[str, str] = field(default_factory=dict)  # of running atoms that are not at their first
    progress: dict[str, float] = field(default_factory=dict)  # of running atoms that tell it
    outputs: dict[str, str] = field(default_factory=dict)  # the last lines of running atoms
    retrying: set[str] = field(default_factory=set)
    saved: Sequence[str] = ()
    done: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    suspending: bool = False

    def hear(self, notice: Notice) -> str:
        """Take in a notice of an atom; return the line that tells it, or nothing for one that needs none."""
        name, state = notice.atom, notice.state
        if state == PROGRESS:
            if notice.progress is not None:
                self.progress[name] = notice.progress
            return ""
        before = self.running.pop(name, None)
        self.retrying.discard(name)
        if before is not None:
            self.attempts.pop(name, None)
            self.progress.pop(name, None)
            self.outputs.pop(name, None)
        if state in UNFINISHED_ATOMS:
            self.running[name] = notice
            return self._line(notice, self._attempt(notice) if state == AtomState.RUNNING else "")
        if state == AtomState.RETRYING:
            self.retrying.add(name)
        self.touched.add(name)
        if state == AtomState.SUCCESS:
            self.done.add(name)
        took = "" if before is None else took_text(max(0.0, notice.at - before.at))
        return self._line(notice, f"{took}  {self.why(notice)}" if state in FAILED else took)

    def why(self, notice: Notice) -> str:
        """Return what to tell of a failure; nothing of anything else."""
        if notice.state not in FAILED:
            return ""
        failure = self.source.failure(notice)
        return "" if failure is None else failure_line(failure.type, failure.message)

    def _attempt(self, notice: Notice) -> str:
        number, most = self.source.attempt(notice)
        if number <= 1:
            return ""
        text = self.attempts[notice.atom] = f"attempt {number}" + (f"/{most}" if most else "")
        return text

    def _line(self, notice: Notice, rest: str) -> str:
        clock = max(0.0, notice.at - self.began)
        return f"{clock:8.2f}  {notice.state:<14}  {notice.atom}  {rest}".rstrip()

    def saved_lines(self) -> list[str]:
        """Return the lines that tell what was saved earlier; many are told in one."""
        lines = [f"{'saved':>8}  {AtomState.SUCCESS:<14}  {name}" for name in self.saved[:SAVED_SHOWN]]
        more = len(self.saved) - len(lines)
        return [*lines, f"{'saved':>8}  and {more} more"] if more else lines

    def finishing(self) -> str:
        """Return what to say when the run was asked to suspend."""
        count = len(self.running)
        return f"finishing {count} atom{'' if count == 1 else 's'}, {self.then}"


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
        """Take in a notice, of an atom or of the flow."""
        ...

    def say(self, text: str) -> None:
        """Show one line that is no atom's."""
        ...

    def output(self, atom: str, line: str) -> None:
        """Show a line that an atom has printed, or the flow's other code, where ``atom`` is empty; any thread's."""
        ...

    def say_suspending(self) -> None:
        """Tell that the run ends soon; called from another thread than the engine's."""
        ...

    def sums_up(self, state: FlowState) -> bool:
        """Return whether it is to be told how a run ended, in this state."""
        ...


Write = Callable[[str], None]
"""Writes a line, to wherever that is."""


def line_to(stream: TextIO) -> Write:
    """Return what writes lines to a stream as long as that has a reader."""

    def write(text: str) -> None:
        with may_be_unread(err=stream is not sys.stdout):
            click.echo(text, file=stream)

    return write


def output_line(atom: str, line: str) -> str:
    """Return what an atom has printed with its name before it."""
    return f"{atom} | {line}" if atom else line


class PlainDisplay:
    """One line for each event: for logs, pipes and plain terminals."""

    def __init__(self, tally: Tally, write: Write | None = None) -> None:
        self.tally = tally
        self._write = write or line_to(sys.stderr)
        self._entered = False

    def open(self) -> None:
        """Do nothing: the run may still be refused."""

    def entered(self) -> None:
        """Say which run this is, and what of it was saved earlier."""
        if not self._entered:
            self._entered = True
            self.tally.saved = self.tally.source.saved()
            self._tell_entered()

    def _tell_entered(self) -> None:
        count = self.tally.atoms
        self._write(f"run {self.tally.run} of {self.tally.flow!r}: {count} atom{'' if count == 1 else 's'}")
        for line in self.tally.saved_lines():
            self._write(line)

    def close(self) -> None:
        """Do nothing: each line was complete."""

    def hear(self, notice: Notice) -> None:
        """Write the line of an atom's notice."""
        if notice.atom and (line := self.tally.hear(notice)):
            self._write(line)

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def output(self, atom: str, line: str) -> None:
        """Write a line."""
        self._write(output_line(atom, line))

    def say_suspending(self) -> None:
        """Write a line."""
        self._write(self.tally.finishing())

    def sums_up(self, state: FlowState) -> bool:
        """Return that it is."""
        return True


class QuietDisplay(PlainDisplay):
    """Says nothing of what goes as it should; warnings and failures are shown, and what atoms print."""

    def hear(self, notice: Notice) -> None:
        """Write the line of a failure, remember the rest."""
        line = self.tally.hear(notice) if notice.atom else ""
        if notice.state in FAILED:
            self._write(line)

    def _tell_entered(self) -> None:
        """Say nothing."""

    def say_suspending(self) -> None:
        """Say nothing."""

    def sums_up(self, state: FlowState) -> bool:
        """Return whether it ended in another way than it should."""
        return state is not FlowState.SUCCESS


class NoDisplay(QuietDisplay):
    """Says nothing at all; what atoms print is theirs and is shown."""

    def hear(self, notice: Notice) -> None:
        """Only remember."""
        if notice.atom:
            self.tally.hear(notice)

    def say(self, text: str) -> None:
        """Say nothing."""

    def sums_up(self, state: FlowState) -> bool:
        """Return that it is not."""
        return False


class JsonDisplay(PlainDisplay):
    """One JSON document for each event, of the schema ``flowbook.event/1``, a line each."""

    def _tell_entered(self) -> None:
        for name in self.tally.saved:
            self._tell("saved", name, state=AtomState.SUCCESS)

    def hear(self, notice: Notice) -> None:
        """Write what happened to an atom or the flow, and why where it failed."""
        if notice.atom:
            self.tally.hear(notice)
        why = self.tally.why(notice) if notice.atom else ""
        event = RunEvent.from_notice(notice, why)
        told = notice.state == PROGRESS  # which is committed, and heard of, later than what it tells
        self._write_event(replace(event, at=time.time()) if told else event)

    def say(self, text: str) -> None:
        """Write a word of flowbook's own."""
        self._tell("message", message=text)

    def output(self, atom: str, line: str) -> None:
        """Write what an atom has printed."""
        self._tell("output", atom, message=line)

    def say_suspending(self) -> None:
        """Write a word."""
        self.say(self.tally.finishing())

    def say_ending(self, state: FlowState, text: str) -> None:
        """Write the last event: how the run ended, in one line."""
        self._tell("summary", state=state, message=text)

    def _tell(self, event: str, atom: str = "", *, state: str = "", message: str = "") -> None:
        self._write_event(RunEvent(time.time(), self.tally.run, atom, event, state, message=message))

    def _write_event(self, event: RunEvent) -> None:
        self._write(json.dumps(event.document()))


def choose(how: str) -> str:
    """Return the way that is meant: for ``auto``, ``tty`` when stderr is a terminal that can move, else ``plain``."""
    if how != "auto":
        return how
    return "tty" if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"


def display_for(how: str, tally: Tally) -> Display:
    """Return the display that is meant by one of `WAYS`."""
    match choose(how):
        case "tty":
            from flowbook.cli.live import LiveDisplay  # rich takes 40 ms: not for logs

            return LiveDisplay(tally)
        case "json":
            return JsonDisplay(tally)
        case "quiet":
            return QuietDisplay(tally)
        case "none":
            return NoDisplay(tally)
        case _:
            return PlainDisplay(tally)
