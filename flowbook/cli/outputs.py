"""What atoms print and log while their run is shown: led to the display line by line, with the name of the atom.

Only what Python writes to ``sys.stdout`` and ``sys.stderr`` comes here, where secrets in it are masked; programs that
atoms start write past it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from flowbook.engines.context import current
from flowbook.exceptions import InvalidState
from flowbook.secrets.masking import masked

Tell = Callable[[str, str], None]
"""Takes the name of an atom, or nothing where none is at work, and a line."""


@contextmanager
def outputs_told(tell: Tell) -> Iterator[None]:
    """Lead what is written to stdout and stderr in this block to ``tell``, by the handlers of logging too."""
    before = sys.stdout, sys.stderr
    out, err = _StandIn(sys.stdout, tell), _StandIn(sys.stderr, tell)
    moved = [(handler, handler.stream) for handler in _handlers() if handler.stream in before]
    sys.stdout, sys.stderr = out, err
    for handler, stream in moved:
        handler.setStream(out if stream is before[0] else err)
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)
        sys.stdout, sys.stderr = before
        out.close_lines()
        err.close_lines()


def _handlers() -> Iterator[logging.StreamHandler[Any]]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):  # some stand only for loggers to come
            if isinstance(handler, logging.StreamHandler):
                yield handler


class _StandIn:
    """Takes text in place of a stream; a line is told when it is complete, one that was drawn over as it was last."""

    def __init__(self, stream: TextIO, tell: Tell) -> None:
        self._stream = stream
        self._tell = tell
        self._begun: dict[int, tuple[str, str]] = {}  # by thread: the atom, and the beginning of its line

    def __getattr__(self, name: str) -> Any:  # encoding, fileno, buffer: those of the stream
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take text in; return how much it was."""
        atom, thread = _atom(), threading.get_ident()
        writer, before = self._begun.pop(thread, (atom, ""))
        if writer != atom:
            self._tell_line(writer, before)
            before = ""
        *lines, rest = (before + text).split("\n")
        for line in lines:
            self._tell_line(atom, line)
        if rest:
            self._begun[thread] = atom, rest
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Take lines in."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: half a line is no line."""

    def isatty(self) -> bool:
        """Return that nothing can be drawn here."""
        return False

    def close_lines(self) -> None:
        """Tell the lines that nobody has completed."""
        while self._begun:
            self._tell_line(*self._begun.popitem()[1])

    def _tell_line(self, atom: str, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        self._tell(atom, masked(shown))


def _atom() -> str:
    try:
        return current().atom
    except InvalidState:
        return ""
