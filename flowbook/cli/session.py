"""What one use of the command line knows from its first word to its last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import click

from flowbook.cli.streams import write

DEFAULT_BACKEND: Final = "sqlite:///flowbook.db"
BACKEND_VARIABLE: Final = "FLOWBOOK_BACKEND"

_Command = TypeVar("_Command", bound=Callable[..., Any])  # a function that becomes a command


@dataclass
class Session:
    """Whether to tell more, and which words of the command line are worked on: errors without a place name them."""

    verbose: bool = False
    where: str = ""
    todo: str = ""
    storage: str = ""  # the one that was opened, secrets hidden
    say: Callable[[str], None] = field(default=partial(write, err=True))
    """Shows a line beside progress: on stderr, while a display is shown through that."""

    def look_at(self, where: str, todo: str = "") -> None:
        """Remember that what happens from here on is about these words, and what may be done about it."""
        self.where, self.todo = where, todo


def verbose_option(function: _Command) -> _Command:
    """Add ``-v``, before the verb and after it."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_be_verbose,
        help="Tell more: tracebacks of errors and failures.",
    )(function)


def _be_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).verbose = True
