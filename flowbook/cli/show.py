"""``flowbook show``: one run, its atoms, attempts and failures; or one atom in full."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from typing import Final

import click

from flowbook.cli.attempts import print_atom
from flowbook.cli.completion import complete_atoms
from flowbook.cli.options import backend_option, backend_words, open_backend, run_argument, run_named
from flowbook.cli.output import Output, output_options
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import LINES_MAX, STATE_STYLES, Column, Grid, owner_text, print_table
from flowbook.cli.texts import failure_line, notes_text, short_time_text, time_text, took_text
from flowbook.engines.results import CANCELLED, TIMED_OUT
from flowbook.garbage import uncollected
from flowbook.persistence.backend import Backend
from flowbook.states import FINISHED, UNFINISHED_ATOMS, AtomState, FlowState
from flowbook.views.atoms import atom_names, view_atom
from flowbook.views.details import AtomView, RunView, narrowed, view_run
from flowbook.views.documents import atom_document, run_document
from flowbook.views.overviews import Overview, overview
from flowbook.views.runs import may_work
from flowbook.views.schemas import SHOW, SHOW_ATOM

EPILOG = """\b
Examples:
  flowbook show r1
  flowbook show @failed charge
  flowbook show r1 'copy-*' --state failure --output csv
"""

_BLOCK_MAX: Final = 40
"""How many lines of one failure are shown among others."""

_COLUMNS: Final = (
    Column("atom"),
    Column("state", styles=STATE_STYLES),
    Column("round", right=True),
    Column("attempts", right=True),
    Column("took", right=True),
    Column("started"),
    Column("note", least=16),
)

_NONE: Final = "no atom matches"

_Command = Callable[..., str]
"""Gives a command line to copy, of words behind ``flowbook show RUN``."""


@click.command("show", epilog=EPILOG)
@run_argument
@click.argument("atom", metavar="[ATOM]", required=False, shell_complete=complete_atoms)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in AtomState], case_sensitive=False),
    help="Only atoms in this state; may be given several times.",
)
@output_options(SHOW, SHOW_ATOM)
@backend_option
@verbose_option
@click.pass_context
def show(
    context: click.Context, run_id: str | None, atom: str | None, states: tuple[str, ...], output: Output, backend: str
) -> int:
    """Show one run, or with ATOM one of its atoms in full: its attempts, its failure, and what it waits for.

    RUN is an id, as much of its beginning as is unique, @last or @failed; on a terminal it may be left out, to be
    chosen. ATOM is a name, or a pattern such as 'copy-*'. As text at most 200 lines are printed: what failed or is
    under way first. With -v also tracebacks.
    """
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened, uncollected():
        found = run_named(run_id, opened, session)
        if atom is not None and _is_name(atom, opened, found):
            return _show_atom(opened, found, atom, output.of(SHOW_ATOM))
        output = output.of(SHOW)
        if not output.is_own:
            return _show_document(narrowed(view_run(opened, found), states=states, names=atom or ""), output)
        shown = overview(opened, found, states=states, names=atom or "")
    if not shown.run.atoms and (states or atom):
        write(_NONE, err=True)
    words = backend_words(context, backend)

    def command(*more: str) -> str:
        return shlex.join(["flowbook", "show", found, *more, *(["--backend", words] if words else [])])

    _print_run(shown, command, verbose=session.verbose)
    return 0


def _is_name(word: str, backend: Backend, run_id: str) -> bool:
    """Return whether a word is to be an atom's name: where it may be a pattern, only if there is such an atom."""
    return not set(word) & set("*?[") or word in atom_names(backend, run_id)


def _show_atom(backend: Backend, run_id: str, name: str, output: Output) -> int:
    report = view_atom(backend, run_id, name)
    if output.is_own:
        print_atom(report)
    else:
        output.write(atom_document(report))
    return 0


def _show_document(run: RunView, output: Output) -> int:
    if output.how == "table" and not run.atoms and run.counts:
        write(_NONE, err=True)
    output.write(run_document(run))
    return 0


def _print_run(shown: Overview, command: _Command, *, verbose: bool) -> None:
    run, atoms = shown.run, shown.run.atoms
    header = [f"{name + ':':<9} {text}" for name, text in _header(run)]
    write("\n".join(header))
    if atoms:
        write()
        print_table(_grids(atoms))
    for state, count in shown.folded.items():
        write(f"+{count:,} {state} more: {command('--state', state.lower(), '--output', 'jsonl')}")
    lines = len(header) + len(atoms) + len(shown.folded) + 2
    _print_failures(shown, command, LINES_MAX - lines, verbose=verbose)


_REASONS: Final = {CANCELLED: "cancelled", TIMED_OUT: "cancelled: its deadline has passed"}


def _header(run: RunView) -> Iterator[tuple[str, str]]:
    yield "run", run.id
    yield "flow", run.name
    yield "state", _state(run)
    yield "atoms", _counts(run)
    yield "created", time_text(run.created_at)
    yield "updated", time_text(run.updated_at)
    if run.deadline is not None:
        yield "deadline", time_text(run.deadline)
    yield "book", run.book
    if run.factory:
        yield "built by", run.factory
    if run.owner is not None:
        yield "owner", f"{owner_text(run.owner)} since {time_text(run.owner.since)}"


def _state(run: RunView) -> str:
    stopped = run.state not in (*FINISHED, FlowState.SUSPENDED, FlowState.PENDING)
    if stopped and not may_work(run.owner):
        return f"{run.state} (interrupted: nobody works on it)"
    return f"{run.state} ({_REASONS[run.reason]})" if run.reason else run.state


def _counts(run: RunView) -> str:
    states = ", ".join(f"{count} {state}" for state, count in run.counts.items())
    return f"{sum(run.counts.values())}: {states}" if states else "0"


def _grids(atoms: Sequence[AtomView]) -> Iterator[Grid]:
    """Yield the table in full, and narrower and narrower."""
    first_round = () if any(atom.round for atom in atoms) else ("round",)
    yield _grid(atoms, first_round, short=False)
    for left_out in (first_round, ("round", "started"), ("round", "started", "took", "attempts")):
        yield _grid(atoms, left_out, short=True)


def _grid(atoms: Sequence[AtomView], left_out: Collection[str], *, short: bool) -> Grid:
    columns = [column for column in _COLUMNS if column.name not in left_out]
    cells = [_cells(atom, short=short) for atom in atoms]
    return Grid(columns, [[row[column.name] for column in columns] for row in cells])


def _cells(atom: AtomView, *, short: bool) -> dict[str, str]:
    """Return what stands in each column."""
    time = short_time_text if short else time_text
    return {
        "atom": atom.name,
        "state": atom.state,
        "round": str(atom.round),
        "attempts": str(atom.attempts) if atom.attempts else "",
        "took": "" if atom.duration_s is None else took_text(atom.duration_s),
        "started": "" if atom.started_at is None else time(atom.started_at),
        "note": _note(atom),
    }


def _note(atom: AtomView) -> str:
    """Return why an atom failed, else when it is tried again, how far it is and what it noted."""
    failure = atom.revert_failure or atom.failure
    if failure is not None:
        return failure_line(failure.type, failure.message)
    under_way = atom.state in UNFINISHED_ATOMS and atom.progress is not None
    again = "" if atom.next_try_at is None else f"next try at {time_text(atom.next_try_at)}"
    return " ".join(filter(None, (again, f"{atom.progress:.0%}" if under_way else "", notes_text(atom.notes))))


def _print_failures(shown: Overview, command: _Command, room: int, *, verbose: bool) -> None:
    """Print as many failures as have room, in so many lines at most, and say where the others are."""
    left = sum(shown.failures.values())
    for block in (block for atom in shown.run.failed for block in _blocks(atom, command, verbose=verbose)):
        room -= len(block) + 1
        if room < 2:
            break
        write("\n".join(["", *block]))
        left -= 1
    if left:
        states = [word for state in shown.failures for word in ("--state", state.lower())]
        write(f"\n{left:,} more failures: {command(*states, '--output', 'jsonl')}")


def _blocks(atom: AtomView, command: _Command, *, verbose: bool) -> Iterator[list[str]]:
    """Yield the lines of each failure of an atom."""
    place = f" ({atom.place})" if atom.place else ""
    for what, failure in (("failed", atom.failure), ("revert failed", atom.revert_failure)):
        if failure is not None:
            text = f"{what}: {atom.name}{place}: {failure}\n{failure.traceback if verbose else ''}"
            lines = text.rstrip().splitlines()
            if len(lines) > _BLOCK_MAX:
                lines[_BLOCK_MAX - 1 :] = [f"... {len(lines) - _BLOCK_MAX + 1} more lines: {command(atom.name)}"]
            yield lines
