"""``flowbook list``: the recorded runs, newest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing

import click
from rich.table import Table

from flowbook.cli.options import backend_option, json_option, open_backend
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.tables import owner_text, print_table, state_text, table_of
from flowbook.cli.texts import time_text
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
        click.echo(json.dumps(list_document(rows), indent=2, ensure_ascii=False))
    elif rows:
        print_table(_table(rows))
    else:
        click.echo("no runs are recorded here" if not (states or book) else "no run matches", err=True)
    if more:
        click.echo(f"there are more: --limit {limit * 10} shows them", err=True)
    return 0


def _table(rows: Sequence[RunRow]) -> Table:
    table = table_of("run", "flow", "state", "atoms", "created", "updated", "book", "owner", right=("atoms",))
    for row in rows:
        times = time_text(row.created_at), time_text(row.updated_at)
        state = state_text(row.state)
        table.add_row(row.id, row.name, state, str(row.atoms), *times, row.book, owner_text(row.owner))
    return table
