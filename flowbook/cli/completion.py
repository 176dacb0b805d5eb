"""What a shell offers while a word is typed: what the logbook holds, if it is there; nothing is made or told.

A shell waits for it, so of the packages below only that is imported which is used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

import flowbook.persistence as persistence
import flowbook.views as views
from flowbook.cli.glance import OFFERED, items, url_of
from flowbook.persistence.sql.glancing import Glimpse
from flowbook.views.explanations import explanations

if TYPE_CHECKING:
    from flowbook.persistence.backend import Backend


def complete_runs(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the runs whose ids begin so, with their states; none where the logbook cannot be read."""

    def runs(backend: Backend) -> list[CompletionItem]:
        rows = views.list_runs(backend, prefix=begun, limit=OFFERED)
        return items([Glimpse(row.id, row.name, row.state) for row in rows], begun)

    return _read(context, runs)


def complete_atoms(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the atoms of the run named before whose names begin so; none where the logbook cannot be read."""

    def atoms(backend: Backend) -> list[CompletionItem]:
        names = views.atom_names(backend, views.find_id(backend, context.params["run_id"]))
        return [CompletionItem(name) for name in names if name.startswith(begun)][:OFFERED]

    return _read(context, atoms)


def complete_files(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return what has the shell offer the files whose names begin so."""
    return [CompletionItem(begun, type="file")]


def complete_codes(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the codes of errors that begin so, in capitals or not, with the names of their classes."""
    return [CompletionItem(one.code, help=one.name) for one in explanations() if one.code.startswith(begun.upper())]


def _read(context: click.Context, what: Callable[[Backend], list[CompletionItem]]) -> list[CompletionItem]:
    try:
        with closing(persistence.fetch(url_of(context))) as backend:
            return what(backend)
    except Exception:  # whatever is wrong, this is no moment to say so: the command that is typed will
        return []
