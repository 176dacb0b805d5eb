"""The live display: a header and the running atoms at the bottom of the terminal, what has ended above them."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from flowbook.cli.progress import MARKS, UNDER_WAY, Tally
from flowbook.cli.streams import may_be_unread
from flowbook.cli.texts import clock_text
from flowbook.events import Notice
from flowbook.states import AtomState

REDRAW_S: Final = 0.1
_ROWS_KEPT_FREE: Final = 4


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled; by default the process would exit."""
        raise


class LiveDisplay:
    """Redraws ten times a second at most, in a thread of its own: the engine only leaves word."""

    def __init__(self, tally: Tally, console: Console | None = None) -> None:
        self.tally = tally
        self._console = console or _Console(stderr=True, highlight=False)
        self._lines: deque[Text] = deque()
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._redraw, name="flowbook-display", daemon=True)
        self._live = Live(
            get_renderable=self._picture,
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )

    def open(self) -> None:
        """Take the bottom of the terminal."""
        with may_be_unread(err=True):
            self._live.start(refresh=True)
        self._thread.start()

    def entered(self) -> None:
        """Leave it to the header."""

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
        line = self.tally.hear(notice)
        if notice.state not in UNDER_WAY:
            self._lines.append(Text(line, style=MARKS.get(AtomState(notice.state), "")))

    def say(self, text: str) -> None:
        """Show one line that is no atom's; above the picture, or below all when that is closed."""
        self._lines.append(Text(text, style="bold"))
        if self._closed.is_set():
            self._write_lines()

    def say_suspending(self) -> None:
        """Leave it to the header: the next picture says so."""

    def _redraw(self) -> None:
        while not self._closed.wait(REDRAW_S):
            self._write_lines()
            with may_be_unread(err=True):
                self._live.refresh()

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            with may_be_unread(err=True):
                self._console.print(Text("\n").join(lines), soft_wrap=True)

    def _picture(self) -> Group:
        now = time.time()
        running = list(self.tally.running.values())
        room = max(1, self._console.height - _ROWS_KEPT_FREE)
        rows = [self._row(notice, now) for notice in running[:room]]
        if len(running) > room:
            rows.append(Text(f"  +{len(running) - room} more", style="dim"))
        return Group(self._header(len(running), now), *rows)

    def _header(self, running: int, now: float) -> Text:
        tally = self.tally
        done = min(tally.atoms, tally.saved() + len(tally.done))
        clock = clock_text(now - tally.began)
        parts = [tally.flow, f"run {tally.run}", f"{done}/{tally.atoms} atoms", f"{running} running", clock]
        if tally.suspending:
            parts.append(tally.finishing())
        return Text(" - ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")

    def _row(self, notice: Notice, now: float) -> Text:
        attempt = f"  attempt {notice.attempt}" if notice.attempt > 1 else ""
        told = self.tally.progress(notice.atom)
        progress = "" if told is None else f"  {told:.0%}"
        text = f"  {clock_text(now - notice.at):>7}  {notice.state:<9}  {notice.atom}{attempt}{progress}"
        return Text(text, no_wrap=True, overflow="ellipsis")
