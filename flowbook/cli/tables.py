"""Tables on stdout: in colour on a terminal and no wider than it, whole lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowbook.cli.streams import write
from flowbook.views.runs import OwnerView

_PIPE_WIDTH: Final = 10_000
"""In a pipe nothing is cut: lines are as long as they need."""

_GAP: Final = 2

_STYLES: Final = {
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
    """A column. On a narrow terminal it is cut, to ``least`` characters at worst; None: it is always whole."""

    name: str
    right: bool = False
    least: int | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table to print: its columns, and rows with a cell for each of them."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]

    def widths(self) -> list[int]:
        """Return how wide each column is where there is room."""
        cells = [[column.name for column in self.columns], *([cell.plain for cell in row] for row in self.rows)]
        return [max(Text(cell).cell_len for cell in column) for column in zip(*cells, strict=True)]

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


def state_text(state: str) -> Text:
    """Return a state in its colour; the word says it, too."""
    return Text(state, style=_STYLES.get(state, ""))


def owner_text(owner: OwnerView | None) -> str:
    """Return who has claimed a run, and whether that owner is gone."""
    if owner is None:
        return ""
    return f"{owner.name} (gone)" if owner.lives is False else owner.name


def print_table(*grids: Grid) -> None:
    """Print the first of the grids that fits on the terminal, or the last; to a pipe the first.

    What does not fit even so is printed over the edge, where the terminal wraps it: it can still be copied.
    """
    console = Console(highlight=False, markup=False)
    room = console.width if sys.stdout.isatty() else _PIPE_WIDTH
    fitting = (grid for grid in grids if width_of(grid.widths_within(room)) <= room)
    grid = next(fitting, grids[-1])
    widths = grid.widths_within(room)
    console.width = max(room, width_of(widths))
    with console.capture() as captured:
        console.print(_table(grid, widths))
    for line in captured.get().splitlines():
        write(line.rstrip())


def _table(grid: Grid, widths: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, width in zip(grid.columns, widths, strict=True):
        table.add_column(
            column.name,
            justify="right" if column.right else "left",
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in grid.rows:
        table.add_row(*row)
    return table
