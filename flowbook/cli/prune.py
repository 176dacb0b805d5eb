"""``flowbook prune``: deletes runs that nobody needs any more, after it has said which and asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import click

from flowbook.cli.exits import Exit, exit_of
from flowbook.cli.moments import beginning
from flowbook.cli.options import backend_option, open_backend
from flowbook.cli.output import Output, output_options
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES, Column, Grid, print_table
from flowbook.cli.texts import short_time_text, time_text
from flowbook.persistence.backend import Backend
from flowbook.states import FINISHED
from flowbook.views.housekeeping import Choice, Pruned, Pruning, choose, prune, pruning_document
from flowbook.views.runs import STATES, RunRow, may_work
from flowbook.views.schemas import PRUNE

EPILOG: Final = """\b
Examples:
  flowbook prune --older-than 30d --dry-run
  flowbook prune --older-than 30d --state success --yes
  flowbook prune --book nightly --keep 10
\b
Exit codes:
  0    what was asked is done; runs that are claimed, or were written meanwhile, may have been left alone
  2    something on the command line is wrong, or nobody is there to ask
  5    the storage failed, or could not delete some of the runs
"""

_SHOWN: Final = 10

_COLUMNS: Final = (
    Column("run"),
    Column("state", styles=STATE_STYLES),
    Column("updated"),
    Column("atoms", right=True),
    Column("flow", least=8),
    Column("book", least=8),
)


class NotConfirmed(click.UsageError):
    """Something would be deleted, and nobody is there to ask."""

    def __init__(self, what: str, context: click.Context) -> None:
        super().__init__(f"this would delete {what}", context)
        self.why = "deleting is asked about first, and there is no terminal to ask on"
        self.hint = "give --yes to delete them, or --dry-run to see which they are"


@click.command("prune", epilog=EPILOG)
@click.option(
    "--older-than",
    "before",
    metavar="AGE",
    callback=beginning,
    help="Only runs last written so long ago (90s, 30m, 2h, 30d, 1w), or before a date. Default: of any age.",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only runs in this state; may be given several times. DAMAGED are those whose records cannot be read. "
    "Default: the finished ones, SUCCESS, FAILURE, REVERTED.",
)
@click.option("--book", metavar="BOOK", help="Only runs of this book. Default: of all books.")
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Keep so many of those that fit, the last written ones.",
)
@click.option("--dry-run", is_flag=True, help="Only say which runs would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also delete runs that are claimed: their engines stop at once.")
@output_options(PRUNE)
@backend_option
@verbose_option
@click.pass_context
def prune_runs(
    context: click.Context,
    before: float | None,
    states: tuple[str, ...],
    book: str | None,
    keep: int,
    dry_run: bool,
    yes: bool,
    force: bool,
    output: Output,
    backend: str,
) -> int:
    """Delete old runs with all their records. It says how many, and asks; without a terminal --yes is needed.

    A run that is claimed by a living owner is never deleted, unless with --force.
    """
    choice = Choice(frozenset(states) or FINISHED, book, before, keep, force)
    with closing(open_backend(backend, context.ensure_object(Session))) as opened:
        pruning = choose(opened, choice)
        _tell_spared(pruning)
        wanted = not dry_run and (yes or not pruning.runs or _confirmed(pruning, context))
        pruned = _prune(opened, pruning, force=force) if wanted else None
        if not output.is_own:
            output.write(pruning_document(opened, pruning, pruned))
        elif dry_run and pruning.runs:
            print_table(_grids(pruning.runs))
    write(_ending(pruning, pruned, dry_run=dry_run), err=True)
    return exit_of(pruned.errors[0]) if pruned is not None and pruned.errors else Exit.OK


def _tell_spared(pruning: Pruning) -> None:
    if pruning.spared:
        ids = ", ".join(run.id for run in pruning.spared[:_SHOWN]) + (", ..." if len(pruning.spared) > _SHOWN else "")
        write(f"left alone, for they are claimed (--force deletes them too): {ids}", err=True)


def _confirmed(pruning: Pruning, context: click.Context) -> bool:
    """Ask, and return the answer. Raises NotConfirmed where nobody can be asked."""
    if not sys.stdin.isatty():
        raise NotConfirmed(_counts(len(pruning.runs), pruning.atoms), context)
    claimed = [run for run in pruning.runs if may_work(run.owner)]
    more = f", {len(claimed)} of them claimed by a living owner" if claimed else ""
    return click.confirm(f"delete {_counts(len(pruning.runs), pruning.atoms)}{more}?", err=True)


def _prune(backend: Backend, pruning: Pruning, *, force: bool) -> Pruned:
    """Delete the runs, with a bar on a terminal."""
    if not (sys.stderr.isatty() and len(pruning.runs) > _SHOWN):
        return prune(backend, pruning, force=force)
    with click.progressbar(length=len(pruning.runs), label="deleting", file=sys.stderr) as bar:
        return prune(backend, pruning, force=force, told=lambda run: bar.update(1))


def _ending(pruning: Pruning, pruned: Pruned | None, *, dry_run: bool) -> str:
    if not pruning.runs:
        return "nothing to delete: no run fits"
    if pruned is None:
        return f"would delete {_counts(len(pruning.runs), pruning.atoms)}" if dry_run else "nothing was deleted"
    late = pruned.skipped[len(pruning.spared) :]
    skipped = "".join(f"; {run.id} was not: {why}" for run, why in late[:_SHOWN])
    more = f"; and {len(late) - _SHOWN} more were not" if len(late) > _SHOWN else ""
    return f"deleted {_counts(len(pruned.deleted), pruned.atoms)}{skipped}{more}"


def _counts(runs: int, atoms: int) -> str:
    return f"{runs} run{'' if runs == 1 else 's'} ({atoms} atom{'' if atoms == 1 else 's'})"


def _grids(runs: Sequence[RunRow]) -> Iterator[Grid]:
    """Yield the table in full, and narrower."""
    for short, count in ((False, len(_COLUMNS)), (True, len(_COLUMNS)), (True, 3)):
        time = short_time_text if short else time_text
        cells = [[run.id, run.state, time(run.updated_at), str(run.atoms), run.name, run.book] for run in runs]
        yield Grid(_COLUMNS[:count], [row[:count] for row in cells])
