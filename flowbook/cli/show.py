"""``flowbook show``: one run, its atoms, attempts and failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import click
from rich.table import Table

from flowbook.cli.options import backend_option, json_option, open_backend, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.tables import owner_text, print_table, state_text, table_of
from flowbook.cli.texts import first_line, time_text, took_text
from flowbook.states import FINISHED, FlowState
from flowbook.views.details import AtomView, RunView, view_run
from flowbook.views.documents import run_document

EPILOG = """\b
Examples:
  flowbook show r1
  flowbook show r1 -v
  flowbook show r1 --json
"""


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
        click.echo(json.dumps(run_document(run), indent=2, ensure_ascii=False))
        return 0
    for name, text in _header(run):
        click.echo(f"{name + ':':<9} {text}")
    if run.atoms:
        click.echo()
        print_table(_table(run))
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


def _table(run: RunView) -> Table:
    table = table_of("atom", "state", "attempts", "took", "started", "note", right=("attempts", "took"))
    for atom in run.atoms:
        took = "" if atom.duration_s is None else took_text(atom.duration_s)
        started = "" if atom.started_at is None else time_text(atom.started_at)
        attempts = str(atom.attempts) if atom.attempts else ""
        table.add_row(atom.name, state_text(atom.state), attempts, took, started, _note(atom))
    return table


def _note(atom: AtomView) -> str:
    failure = atom.revert_failure or atom.failure
    if failure is not None:
        return first_line(str(failure))
    return "" if atom.progress is None else f"{atom.progress:.0%}"


def _print_failures(run: RunView, *, verbose: bool) -> None:
    for atom in run.failed:
        click.echo()
        for what, failure in (("failed", atom.failure), ("revert failed", atom.revert_failure)):
            if failure is not None:
                place = f" ({atom.place})" if atom.place else ""
                click.echo(f"{what}: {atom.name}{place}: {failure}")
                if verbose:
                    click.echo(failure.traceback, nl=False)
