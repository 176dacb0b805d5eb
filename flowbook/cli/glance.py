"""What a shell offers while a command line is typed, as far as that can be said without importing much.

A `StandIn` takes the place of a verb: it knows the verb's words from a table, and its runs at a glance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from flowbook.cli.session import BACKEND_VARIABLE, DEFAULT_BACKEND
from flowbook.persistence.sql.glancing import Glimpse, glimpses

MEANT: Final = ("@last", "@failed")
OFFERED: Final = 100
"""How many words are offered at most, the newest runs first."""

GROUP: Final = "logbook:"
"""What the ids of records begin with that only tell which runs belong together."""

FILES: Final = "files"
"""What completes a word where the shell itself offers its files."""

_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class Word(NamedTuple):
    """An option or an argument as a shell needs to know it; ``completes`` is one of `COMPLETES` or `FILES`.

    ``names`` are as click takes them: of an option ``--state`` and what it is called, of an argument its name.
    """

    names: tuple[str, ...]
    about: str = ""
    choices: tuple[str, ...] = ()
    completes: str = ""
    is_flag: bool = False
    multiple: bool = False

    def parameter(self) -> click.Parameter:
        """Return what offers as much as the verb's own."""
        complete = COMPLETES.get(self.completes)
        if not self.names[0].startswith("-"):
            return click.Argument(self.names, required=False, type=self._kind(), shell_complete=complete)
        if self.is_flag:
            return click.Option(self.names, is_flag=True, multiple=self.multiple, help=self.about)
        return click.Option(
            self.names, type=self._kind(), multiple=self.multiple, help=self.about, shell_complete=complete
        )

    def _kind(self) -> click.Choice[str] | click.Path | None:
        if self.completes == FILES:
            return click.Path()
        return click.Choice(self.choices, case_sensitive=False) if self.choices else None


class StandIn(click.Command):
    """Stands for a verb while a word of it is completed, which then need not be imported."""

    def __init__(self, name: str, words: Iterable[Word]) -> None:
        super().__init__(name, params=[word.parameter() for word in words])


def url_of(context: click.Context) -> str:
    """Return the URL that the command would use: as given on its line, by the environment, or its default."""
    given: str | None = context.params.get("backend")
    return given or os.environ.get(BACKEND_VARIABLE) or DEFAULT_BACKEND


def items(found: Iterable[Glimpse], begun: str) -> list[CompletionItem]:
    """Return the runs as words that a shell offers, and those words that stand for runs."""
    meant = [word for word in MEANT if begun and word.startswith(begun)]
    return [*map(CompletionItem, meant), *(CompletionItem(run.id, help=f"{run.name} {run.state}") for run in found)]


def _runs(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    found = glimpses(url_of(context), begun, without=GROUP, limit=OFFERED)
    return _read("complete_runs")(context, parameter, begun) if found is None else items(found, begun)


def _read(name: str) -> _Complete:
    """Return what completes a word by a proper look, importing it when it is called."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        found: list[CompletionItem] = getattr(import_module("flowbook.cli.completion"), name)(context, parameter, begun)
        return found

    return complete


COMPLETES: Final[Mapping[str, _Complete]] = {
    "complete_runs": _runs,
    "complete_atoms": _read("complete_atoms"),
    "complete_codes": _read("complete_codes"),
}
"""What completes a word, by the function that does it for the verb itself."""
