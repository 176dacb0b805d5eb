"""Tables on stdout: in colour on a terminal, whole lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowbook.views.runs import OwnerView

_PIPE_WIDTH: Final = 10_000
"""In a pipe nothing is cut: lines are as long as they need."""

_STYLES: Final = {
    "SUCCESS": "green",
    "FAILURE": "red",
    "REVERT_FAILURE": "red",
    "REVERTED": "yellow",
    "RUNNING": "cyan",
    "REVERTING": "cyan",
    "SUSPENDED": "magenta",
}


def table_of(*columns: str, right: Collection[str] = ()) -> Table:
    """Return an empty table without lines; the columns in ``right`` are aligned there."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def state_text(state: str) -> Text:
    """Return a state in its colour; the word says it, too."""
    return Text(state, style=_STYLES.get(state, ""))


def owner_text(owner: OwnerView | None) -> str:
    """Return who has claimed a run, and whether that owner is gone."""
    if owner is None:
        return ""
    return f"{owner.name} (gone)" if owner.lives is False else owner.name


def print_table(table: Table) -> None:
    """Print a table to stdout."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(width=width, highlight=False, markup=False).print(table)
