"""A quick glance at the runs in a SQLite file, for shells that wait for it while a run is typed.

What reads a logbook properly takes too long to import for that. So this knows one table, ``flows`` of
`flowbook.persistence.sql.tables`; it imports nothing that is large, and gives up wherever it is not sure.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from flowbook.cli.session import BACKEND_VARIABLE, DEFAULT_BACKEND

MEANT: Final = ("@last", "@failed")
OFFERED: Final = 100
"""How many words are offered at most, the newest runs first."""

_SCHEME: Final = "sqlite:///"
_ESCAPE: Final = "\x10"  # begins what stands for characters that databases do not hold
_TIMEOUT_S: Final = 0.05

_NEWEST: Final = """
    SELECT substr(claim, 6), name, state FROM flows
    WHERE substr(claim, 1, :length) = :start AND substr(claim, 1, 13) <> 'flow:logbook:'
    ORDER BY created_at DESC, claim LIMIT :limit
"""


class Glimpse(NamedTuple):
    """As much of a run as is offered: its id, and its flow and state."""

    id: str
    name: str
    state: str


def glimpses(url: str, begun: str) -> list[Glimpse] | None:
    """Return the newest runs whose ids begin so, or None where that cannot be said at a glance."""
    path, query = url.removeprefix(_SCHEME), "?" in url
    if not url.startswith(_SCHEME) or query or not path.isprintable() or not os.path.isfile(path):
        return None
    values = {"start": f"flow:{begun}", "length": len(begun) + 5, "limit": OFFERED}
    try:
        readable = f"{Path(path).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(readable, timeout=_TIMEOUT_S, uri=True)) as database:
            rows = database.execute(_NEWEST, values).fetchall()
    except (sqlite3.Error, UnicodeError):
        return None
    plain = all(isinstance(word, str) and _ESCAPE not in word for row in rows for word in row)
    return [Glimpse(*row) for row in rows] if plain and begun.isprintable() else None


def items(found: list[Glimpse], begun: str) -> list[CompletionItem]:
    """Return the runs as words that a shell offers, and those words that stand for runs."""
    meant = [word for word in MEANT if begun and word.startswith(begun)]
    return [*map(CompletionItem, meant), *(CompletionItem(run.id, help=f"{run.name} {run.state}") for run in found)]


class VerbOfRuns(click.Command):
    """Stands for a verb while the run behind it is completed; all else is left to the verb, which ``find`` imports."""

    def __init__(self, name: str, find: Callable[[], click.Command]) -> None:
        run = click.Argument(["run_id"], required=False, shell_complete=self._runs)
        super().__init__(name, params=[run], context_settings={"help_option_names": ["-h", "--help"]})
        self._find = find

    def _runs(self, context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        found = glimpses(os.environ.get(BACKEND_VARIABLE) or DEFAULT_BACKEND, begun)
        if found is not None:
            return items(found, begun)
        verb = self._find()
        argument = next(one for one in verb.params if isinstance(one, click.Argument))
        return argument.shell_complete(self._context(verb, context), begun)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what the verb itself offers."""
        verb = self._find()
        return verb.shell_complete(self._context(verb, ctx), incomplete)

    def _context(self, verb: click.Command, context: click.Context) -> click.Context:
        return verb.make_context(self.name, [], parent=context.parent, resilient_parsing=True)
