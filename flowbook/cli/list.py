"""``flowbook list``: the recorded runs, newest first."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from typing import Final

import click

from flowbook.cli.options import backend_option, json_option, open_backend
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES, Column, Grid, owner_text, print_table
from flowbook.cli.texts import short_time_text, time_text
from flowbook.states import FlowState
from flowbook.views.documents import list_document
from flowbook.views.runs import RunRow
from flowbook.views.runs import list_runs as find_runs

EPILOG = """\b
Examples:
  flowbook list
  flowbook list --state failure --state reverted
  flowbook list --book orders --json
"""

_COLUMNS: Final = (
    Column("run"),
    Column("flow", least=8),
    Column("state", styles=STATE_STYLES),
    Column("atoms", right=True),
    Column("created"),
    Column("updated"),
    Column("book", least=8),
    Column("owner", least=20),
)
_LEFT_OUT_FIRST: Final = ("book", "updated", "owner", "created")
"""What a narrow terminal does not show."""


@click.command("list", epilog=EPILOG)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in FlowState], case_sensitive=False),
    help="Only runs in this state; may be given several times.",
)
@click.option("--book", metavar="BOOK", help="Only runs of this book.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="At most so many.")
@json_option
@backend_option
@verbose_option
@click.pass_context
def list_runs(
    context: click.Context, states: tuple[str, ...], book: str | None, limit: int, as_json: bool, backend: str
) -> int:
    """List the recorded runs, newest first."""
    with closing(open_backend(backend, context.ensure_object(Session))) as opened:
        rows = find_runs(opened, book=book, states=states, limit=limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    if as_json:
        write(json.dumps(list_document(rows), indent=2, ensure_ascii=False))
    elif rows:
        print_table(_grids(rows))
    else:
        write("no runs are recorded here" if not (states or book) else "no run matches", err=True)
    if more:
        write(f"there are more: --limit {limit * 10} shows them", err=True)
    return 0


def _grids(rows: Sequence[RunRow]) -> Iterator[Grid]:
    """Yield the table in full, and narrower and narrower."""
    yield _grid(rows, (), short=False)
    for count in range(len(_LEFT_OUT_FIRST) + 1):
        yield _grid(rows, _LEFT_OUT_FIRST[:count], short=True)


def _grid(rows: Sequence[RunRow], left_out: Collection[str], *, short: bool) -> Grid:
    columns = [column for column in _COLUMNS if column.name not in left_out]
    cells = [_cells(row, short=short) for row in rows]
    return Grid(columns, [[row[column.name] for column in columns] for row in cells])


def _cells(row: RunRow, *, short: bool) -> dict[str, str]:
    """Return what stands in each column."""
    time = short_time_text if short else time_text
    return {
        "run": row.id,
        "flow": row.name,
        "state": row.state,
        "atoms": str(row.atoms),
        "created": time(row.created_at),
        "updated": time(row.updated_at),
        "book": row.book,
        "owner": owner_text(row.owner),
    }
