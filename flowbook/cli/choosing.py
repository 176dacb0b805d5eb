"""Which run is meant: what a new one may be called, and the pick list when a verb is given none."""

from __future__ import annotations

import sys
from typing import Final

import click

from flowbook.cli.tables import STATE_STYLES, Column, Grid, print_table
from flowbook.cli.texts import short_time_text
from flowbook.persistence.backend import Backend
from flowbook.views.runs import LAST, NoneSuch, list_runs

CHOICES: Final = 10
"""How many runs are offered."""

_COLUMNS: Final = (
    Column("", right=True),
    Column("run"),
    Column("flow", least=8),
    Column("state", styles=STATE_STYLES),
    Column("created"),
)


class RunMissing(click.MissingParameter):
    """No run was named, and there is no terminal to ask on."""

    why = "there is no terminal to choose a run on"
    hint = "give an id or its beginning, @last or @failed; flowbook list shows the runs"

    def __init__(self) -> None:
        super().__init__(ctx=click.get_current_context(silent=True), param_hint="'RUN'", param_type="argument")


class IdReserved(click.BadParameter):
    """The id would be one of the words that stand for runs, or look like one."""

    why = "ids that begin with @ stand for runs, such as @last, and cannot name one"

    def __init__(self, word: str, context: click.Context, parameter: click.Parameter) -> None:
        super().__init__(f"{word!r} cannot be the id of a run", context, parameter)
        self.hint = f"leave out the @: {word.lstrip('@') or 'r1'}"


def new_id(context: click.Context, parameter: click.Parameter, word: str | None) -> str | None:
    """Return the id that a new run is to have. Raises IdReserved for one that no verb could name."""
    if word is not None and word.startswith("@") and not context.resilient_parsing:
        raise IdReserved(word, context, parameter)
    return word


def choose_run(backend: Backend) -> str:
    """Ask on the terminal which of the newest runs is meant; return its id.

    Raises RunMissing where there is no terminal, and NotFound where there are no runs.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RunMissing
    runs = list_runs(backend, limit=CHOICES)
    if not runs:
        raise NoneSuch(LAST)
    rows = [
        [str(number), run.id, run.name, run.state, short_time_text(run.created_at)]
        for number, run in enumerate(runs, 1)
    ]
    print_table([Grid(_COLUMNS, rows)], err=True)
    number: int = click.prompt("which run", type=click.IntRange(1, len(runs)), default=1, err=True)
    return runs[number - 1].id
