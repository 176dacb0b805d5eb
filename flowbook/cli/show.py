"""``flowbook show``: one run, its atoms, attempts and failures."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Final

import click

from flowbook.cli.options import backend_option, json_option, open_backend, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES, Column, Grid, owner_text, print_table
from flowbook.cli.texts import failure_line, short_time_text, time_text, took_text
from flowbook.states import FINISHED, UNFINISHED_ATOMS, FlowState
from flowbook.views.details import AtomView, RunView, view_run
from flowbook.views.documents import run_document

EPILOG = """\b
Examples:
  flowbook show r1
  flowbook show r1 -v
  flowbook show r1 --json
"""

_COLUMNS: Final = (
    Column("atom"),
    Column("state", styles=STATE_STYLES),
    Column("attempts", right=True),
    Column("took", right=True),
    Column("started"),
    Column("note", least=16),
)


@click.command("show", epilog=EPILOG)
@click.argument("run_id", metavar="RUN")
@json_option
@backend_option
@verbose_option
@click.pass_context
def show(context: click.Context, run_id: str, as_json: bool, backend: str) -> int:
    """Show one run: RUN is its id, or as much of the beginning as is unique. With -v also tracebacks."""
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened:
        run = view_run(opened, run_named(run_id, opened, session))
    if as_json:
        write(json.dumps(run_document(run), indent=2, ensure_ascii=False))
        return 0
    for name, text in _header(run):
        write(f"{name + ':':<9} {text}")
    if run.atoms:
        write()
        print_table(_grids(run))
    _print_failures(run, verbose=session.verbose)
    return 0


def _header(run: RunView) -> Iterator[tuple[str, str]]:
    yield "run", run.id
    yield "flow", run.name
    yield "state", _state(run)
    yield "atoms", _counts(run)
    yield "created", time_text(run.created_at)
    yield "updated", time_text(run.updated_at)
    yield "book", run.book
    if run.factory:
        yield "built by", run.factory
    if run.owner is not None:
        yield "owner", f"{owner_text(run.owner)} since {time_text(run.owner.since)}"


def _state(run: RunView) -> str:
    stopped = run.state not in (*FINISHED, FlowState.SUSPENDED, FlowState.PENDING)
    gone = run.owner is None or run.owner.lives is False
    return f"{run.state} (interrupted: nobody works on it)" if stopped and gone else run.state


def _counts(run: RunView) -> str:
    states = ", ".join(f"{count} {state}" for state, count in run.counts.items())
    return f"{len(run.atoms)}: {states}" if states else "0"


def _grids(run: RunView) -> Iterator[Grid]:
    """Yield the table in full, and narrower and narrower."""
    yield _grid(run, (), short=False)
    for left_out in ((), ("started",), ("started", "took", "attempts")):
        yield _grid(run, left_out, short=True)


def _grid(run: RunView, left_out: Collection[str], *, short: bool) -> Grid:
    columns = [column for column in _COLUMNS if column.name not in left_out]
    cells = [_cells(atom, short=short) for atom in run.atoms]
    return Grid(columns, [[row[column.name] for column in columns] for row in cells])


def _cells(atom: AtomView, *, short: bool) -> dict[str, str]:
    """Return what stands in each column."""
    time = short_time_text if short else time_text
    return {
        "atom": atom.name,
        "state": atom.state,
        "attempts": str(atom.attempts) if atom.attempts else "",
        "took": "" if atom.duration_s is None else took_text(atom.duration_s),
        "started": "" if atom.started_at is None else time(atom.started_at),
        "note": _note(atom),
    }


def _note(atom: AtomView) -> str:
    failure = atom.revert_failure or atom.failure
    if failure is not None:
        return failure_line(failure.type, failure.message)
    under_way = atom.state in UNFINISHED_ATOMS and atom.progress is not None
    return f"{atom.progress:.0%}" if under_way else ""


def _print_failures(run: RunView, *, verbose: bool) -> None:
    for atom in run.failed:
        write()
        for what, failure in (("failed", atom.failure), ("revert failed", atom.revert_failure)):
            if failure is not None:
                place = f" ({atom.place})" if atom.place else ""
                write(f"{what}: {atom.name}{place}: {failure}")
                if verbose:
                    write(failure.traceback, nl=False)
