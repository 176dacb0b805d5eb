"""Tables on stdout: in colour on a terminal and no wider than it, whole lines in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO, TypeVar
from unicodedata import category

from flowbook.cli.colours import styled
from flowbook.cli.streams import write
from flowbook.views.runs import OwnerView

_PIPE_WIDTH: Final = 10_000
"""In a pipe nothing is cut: lines are as long as they need."""

_USUAL_WIDTH: Final = 80

LINES_MAX: Final = 200
"""More lines than these no verb prints for people to read: what is behind them is counted."""

_T = TypeVar("_T")

_GAP: Final = 2
_NO_CHARACTERS: Final = ("Cc", "Cs")  # the categories of what moves the cursor, or cannot be written

STATE_STYLES: Final = {
    "SUCCESS": "green",
    "FAILURE": "red",
    "REVERT_FAILURE": "red",
    "REVERTED": "yellow",
    "RUNNING": "cyan",
    "REVERTING": "cyan",
    "SUSPENDED": "magenta",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column. On a narrow terminal it is cut, to ``least`` characters at worst; None: it is always whole.

    ``styles`` has the colours of some texts; the texts say the same without.
    """

    name: str
    right: bool = False
    least: int | None = None
    styles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table to print: its columns, and rows with a cell for each of them."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def widths(self) -> list[int]:
        """Return how wide each column is where there is room."""
        names = [column.name for column in self.columns]
        return [max(map(_width, column)) for column in zip(names, *self.rows, strict=True)]

    def widths_within(self, room: int) -> list[int]:
        """Return the widths with which the table is at most ``room`` wide, or as narrow as it can be."""
        widths = self.widths()
        cut = {at: column.least for at, column in enumerate(self.columns) if column.least is not None}
        for at, least in cut.items():
            widths[at] = min(widths[at], max(room, least))
        while width_of(widths) > room and (wide := [at for at, least in cut.items() if widths[at] > least]):
            widths[max(wide, key=widths.__getitem__)] -= 1
        return widths


def width_of(widths: Sequence[int]) -> int:
    """Return how wide a table with columns of these widths is."""
    return sum(widths) + _GAP * (len(widths) - 1)


def owner_text(owner: OwnerView | None) -> str:
    """Return who has claimed a run, and whether that owner is gone."""
    if owner is None:
        return ""
    return f"{owner.name} (gone)" if owner.lives is False else owner.name


def within_limit(rows: Sequence[_T]) -> Sequence[_T]:
    """Return as many rows as one table may have, and say on stderr how many are left out."""
    left_out = len(rows) - LINES_MAX + 1
    if left_out > 0:
        write(f"{left_out:,} more are not shown: --output jsonl prints them all", err=True)
    return rows[: LINES_MAX - 1]


def print_table(grids: Iterable[Grid], *, err: bool = False) -> None:
    """Print the first of the grids that fits on the terminal, or the last; to a pipe the first.

    What does not fit even so is printed over the edge, where the terminal wraps it: it can still be copied.
    """
    stream = sys.stderr if err else sys.stdout
    room = terminal_width(stream) if stream.isatty() else _PIPE_WIDTH
    for grid in grids:
        widths = grid.widths_within(room)
        if width_of(widths) <= room:
            break
    cut = "…" if (stream.encoding or "utf-8").lower().startswith("utf") else "~"
    write("\n".join(_lines(grid, widths, cut)), err=err)


def terminal_width(stream: TextIO) -> int:
    """Return how many characters a line of a stream's terminal takes: as $COLUMNS says, else the terminal itself."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def _lines(grid: Grid, widths: Sequence[int], cut: str) -> list[str]:
    columns = list(zip(grid.columns, widths, strict=True))
    head = [_cell(column.name, column, width, cut, bold=True) for column, width in columns]
    rows = (
        [
            _cell(text, column, width, cut, fg=column.styles.get(text))
            for text, (column, width) in zip(row, columns, strict=True)
        ]
        for row in grid.rows
    )
    return [(" " * _GAP).join(cells).rstrip() for cells in (head, *rows)]


def _cell(text: str, column: Column, width: int, cut: str, **style: Any) -> str:  # what `styled` takes
    text = _in_one_line(text)
    missing = width - _width(text)
    if missing < 0:
        text, missing = _beginning(text, width - 1) + cut, 0
    shown = styled(text, **style) if any(style.values()) else text
    return " " * missing + shown if column.right else shown + " " * missing


def _width(text: str) -> int:
    """Return how many characters of the terminal a text takes."""
    text = _in_one_line(text)
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # it takes 15 ms: not for what needs none of it

    return cell_len(text)


def _beginning(text: str, width: int) -> str:
    """Return as much of a text as takes ``width`` characters of the terminal; half a wide one is a blank."""
    if text.isascii():
        return text[:width]
    from rich.cells import set_cell_size  # as above

    return set_cell_size(text, width)


def _in_one_line(text: str) -> str:
    """Return a text with its control characters, line ends too, as they are written in Python."""
    if text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if category(char) in _NO_CHARACTERS else char for char in text)
