"""The live display: a header and the running atoms at the bottom of the terminal, what has ended above them."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from flowbook.cli.progress import MARKS, Tally, output_line
from flowbook.cli.streams import may_be_unread
from flowbook.cli.texts import clock_text
from flowbook.events import PROGRESS, Notice
from flowbook.states import UNFINISHED_ATOMS, AtomState, FlowState

REDRAW_S: Final = 0.1
_ROWS_KEPT_FREE: Final = 4
_BAR_WIDTH: Final = 10
_STYLES: Final = {state: Style.parse(name) for state, name in MARKS.items()}
_PLAIN: Final = Style.null()
_BOLD: Final = Style.parse("bold")
_DIM: Final = Style.parse("dim")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled; by default the process would exit."""
        raise


class _Line(NamedTuple):
    text: str
    style: Style


class _Above:
    """Lines that scroll up, as they are: to lay out thousands of them would take longer than the atoms."""

    def __init__(self, lines: Sequence[_Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield each line in its style."""
        for text, style in self._lines:
            yield Segment(text, style)
            yield Segment.line()


class LiveDisplay:
    """Redraws ten times a second at most, in a thread of its own: the engine only leaves word."""

    def __init__(self, tally: Tally, console: Console | None = None) -> None:
        self.tally = tally
        self._console = console or _Console(file=sys.stderr, highlight=False)
        self._lines: deque[_Line] = deque()
        self._drawn: list[_Line] = []
        self._entered = False
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._redraw, name="flowbook-display", daemon=True)
        self._live = Live(
            get_renderable=self._picture,
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,  # what atoms print comes to `output`
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def open(self) -> None:
        """Take the bottom of the terminal."""
        with may_be_unread(err=True):
            self._live.start(refresh=True)
        self._thread.start()

    def entered(self) -> None:
        """Show what was saved earlier; the rest is left to the header."""
        if not self._entered:
            self._entered = True
            self.tally.saved = self.tally.source.saved()
            self._lines += [_Line(line, _DIM) for line in self.tally.saved_lines()]

    def close(self) -> None:
        """Write what is left to write, and give the bottom of the terminal back."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
        self._thread.join()
        self._write_lines()
        with may_be_unread(err=True):
            self._live.stop()

    def hear(self, notice: Notice) -> None:
        """Take in a notice; the line of an atom that ended scrolls up."""
        if not notice.atom:
            return
        line = self.tally.hear(notice)
        if notice.state not in UNFINISHED_ATOMS and notice.state != PROGRESS:
            self._lines.append(_Line(line, _STYLES.get(AtomState(notice.state), _PLAIN)))

    def say(self, text: str) -> None:
        """Show one line that is no atom's; above the picture, or below all when that is closed."""
        self._lines.append(_Line(text, _BOLD))
        if self._closed.is_set():
            self._write_lines()

    def output(self, atom: str, line: str) -> None:
        """Show a line that was printed above the picture, and in the atom's row until the next one comes."""
        self._lines.append(_Line(output_line(atom, line), _PLAIN))
        if atom in self.tally.running and line.strip():
            self.tally.outputs[atom] = line.strip()

    def say_suspending(self) -> None:
        """Leave it to the header: the next picture says so."""

    def sums_up(self, state: FlowState) -> bool:
        """Return that it is told how a run ended."""
        return True

    def _redraw(self) -> None:
        """Draw what has changed: a clock moves once a second, and to lay out costs more than to look."""
        while not self._closed.wait(REDRAW_S):
            self._write_lines()
            picture = self._rows()
            if picture != self._drawn:
                self._drawn = picture
                with may_be_unread(err=True):
                    self._live.refresh()

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            with may_be_unread(err=True):
                self._console.print(_Above(lines), soft_wrap=True)

    # -- the picture --

    def _picture(self) -> Group:
        return Group(*(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in self._rows()))

    def _rows(self) -> list[_Line]:
        now = time.time()
        running = self.tally.running.copy()  # in one go: the engine goes on meanwhile
        room = max(1, self._console.height - _ROWS_KEPT_FREE - 1)
        shown = room if len(running) <= room else room - 1
        rows = [_Line(self._header(len(running), now), _BOLD)]
        rows += [_Line(self._row(notice, now), _PLAIN) for notice in islice(running.values(), shown)]
        if len(running) > shown:
            rows.append(_Line(f"  +{len(running) - shown} more", _DIM))
        return rows

    def _header(self, running: int, now: float) -> str:
        tally = self.tally
        done = min(tally.atoms, len(tally.saved) + len(tally.done))
        again = len(tally.retrying) + len(tally.attempts)
        parts = [tally.flow, f"run {tally.run}", f"{done}/{tally.atoms} atoms", f"{running} running"]
        parts += [f"{again} retrying"] if again else []
        parts += [clock_text(now - tally.began), tally.owner]
        if tally.suspending:
            parts.insert(0, tally.finishing())
        return " - ".join(filter(None, parts))

    def _row(self, notice: Notice, now: float) -> str:
        tally, name = self.tally, notice.atom
        parts = [f"  {clock_text(now - notice.at):>7}  {notice.state:<9}  {name}", tally.attempts.get(name)]
        told = tally.progress.get(name)
        parts.append(None if told is None else f"{self._bar(told)} {told:.0%}")
        last = tally.outputs.get(name)
        parts.append(None if last is None else f"| {last}")
        return "  ".join(filter(None, parts))

    def _bar(self, progress: float) -> str:
        full, empty = ("#", "-") if self._console.options.ascii_only else ("\u2588", "\u2591")
        width = round(_BAR_WIDTH * min(1.0, max(0.0, progress)))
        return full * width + empty * (_BAR_WIDTH - width)
