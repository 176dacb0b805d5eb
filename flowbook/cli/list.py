"""``flowbook list``: the recorded runs, newest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import click

from flowbook.cli.completion import complete_runs
from flowbook.cli.moments import beginning, end
from flowbook.cli.options import backend_option, open_backend
from flowbook.cli.output import Output, output_options
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES, Column, Grid, owner_text, print_table, within_limit
from flowbook.cli.texts import short_time_text, time_text
from flowbook.states import FlowState
from flowbook.views.documents import list_document
from flowbook.views.runs import STATES, RunRow
from flowbook.views.runs import list_runs as find_runs
from flowbook.views.schemas import LIST

EPILOG = """\b
Examples:
  flowbook list
  flowbook list --state failure --state reverted --since 3d
  flowbook list --book orders --fields id,state,created_at --output csv
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
_AT_WORK: Final = frozenset({FlowState.RUNNING, FlowState.SUSPENDING, FlowState.RESUMING})
"""The states of a run on which an owner works, or worked until it died."""

_LEFT_OUT_FIRST: Final = ("book", "updated", "owner", "created")
"""What a narrow terminal does not show."""


@click.command("list", epilog=EPILOG)
@click.argument("prefix", metavar="[ID]", default="", shell_complete=complete_runs)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only runs in this state; may be given several times. DAMAGED are those whose records cannot be read.",
)
@click.option("--book", metavar="BOOK", help="Only runs of this book.")
@click.option("--name", metavar="NAME", help="Only runs of the flow with this name.")
@click.option(
    "--since",
    callback=beginning,
    metavar="TIME",
    help="Only runs created since 2026-05-31, 2026-05-31T12:30, 2h or 3d ago.",
)
@click.option("--until", callback=end, metavar="TIME", help="Only runs created until then; a day counts to its end.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="At most so many.")
@output_options(LIST)
@backend_option
@verbose_option
@click.pass_context
def list_runs(
    context: click.Context,
    /,
    output: Output,
    limit: int,
    backend: str,
    **wanted: Any,  # what `find_runs` takes, by its names
) -> int:
    """List the recorded runs, newest first; with ID only those whose ids begin so.

    As text at most 200 lines are printed, whatever --limit says; --output and --json print all that --limit allows.
    """
    with closing(open_backend(backend, context.ensure_object(Session))) as opened:
        rows = find_runs(opened, limit=limit + 1, **wanted)
    more, rows = len(rows) > limit, rows[:limit]
    if output.how == "table" and not rows:
        write("no run matches" if any(wanted.values()) else "no runs are recorded here", err=True)
    elif output.is_own:
        print_table(_grids(within_limit(rows)))
    else:
        output.write(list_document(rows))
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
        "created": time(row.created_at) if row.created_at else "",
        "updated": time(row.updated_at) if row.updated_at else "",
        "book": row.book,
        "owner": owner_text(row.owner) or ("nobody" if row.state in _AT_WORK else ""),
    }
