"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from flowbook.cli.choosing import choose_run
from flowbook.cli.completion import complete_runs
from flowbook.cli.session import BACKEND_VARIABLE, DEFAULT_BACKEND, Session
from flowbook.engines.commits import CommitPolicy, Every
from flowbook.exceptions import NotPossible
from flowbook.persistence import fetch, hide_secrets
from flowbook.persistence.backend import Backend
from flowbook.views.runs import find_id

_Command = TypeVar("_Command", bound=Callable[..., Any])  # a function that becomes a command

backend_option: Final = click.option(
    "--backend",
    metavar="URL",
    default=DEFAULT_BACKEND,
    envvar=BACKEND_VARIABLE,
    help=f"Where runs are recorded. Default: ${BACKEND_VARIABLE}, else {DEFAULT_BACKEND} in this directory.",
)


def _policy(context: click.Context, param: click.Parameter, word: str) -> CommitPolicy:
    """Return the commit policy that a word stands for. Raises BadParameter."""
    try:
        match word.split(":"):
            case ["each"]:
                return "each"
            case ["end"]:
                return "end"
            case ["every", atoms, seconds]:
                return Every(int(atoms), float(seconds))
    except (ValueError, NotPossible):
        pass
    raise click.BadParameter(f"{word!r} is no commit policy: give each, end, or as every:100:1.0")


PROGRESS_VARIABLE: Final = "FLOWBOOK_PROGRESS"
WAYS: Final = ("auto", "tty", "plain", "json", "quiet", "none")

progress_option: Final = click.option(
    "--progress",
    type=click.Choice(WAYS),
    default="auto",
    envvar=PROGRESS_VARIABLE,
    help="What is told on stderr while the run goes on. auto: tty when stderr is a terminal, else plain. "
    "tty: a header and the atoms that run, redrawn. plain: a line for each event. json: the same as JSON "
    "(flowbook.event/1). quiet: warnings, failures, and what atoms print. none: only what atoms print, and no summary. "
    f"Default: ${PROGRESS_VARIABLE}, else auto.",
)

_ENGINE_OPTIONS: Final = (
    click.option("--engine", default="serial", metavar="NAME", help="serial (default) or parallel."),
    click.option("--executor", metavar="NAME", help="Where a parallel engine runs atoms: threads (default), async, …"),
    click.option("--max-workers", type=click.IntRange(1), metavar="N", help="How many atoms run side by side."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="How many seconds the run may take, from when it is first begun; then it is cancelled and reverted. A run "
        "that has a deadline keeps it. Default: no limit.",
    ),
    click.option("--rerun", is_flag=True, help="Run a finished run again, in a new round."),
    click.option(
        "--on-change",
        type=click.Choice(["accept", "refuse"]),
        default="accept",
        help="What to do with a flow that is not as the run recorded it. accept (default) warns.",
    ),
    click.option(
        "--commit",
        callback=_policy,
        metavar="POLICY",
        default="each",
        help="When what happened is committed. each (default): before anything follows. every:N:SECONDS: N atoms "
        "together, or after SECONDS. end: when the run is left. A crash takes back what waits.",
    ),
    click.option("--take-over", is_flag=True, help="Take the run from an owner that still lives."),
    progress_option,
)


def engine_options(function: _Command) -> _Command:
    """Add the options of verbs that run an engine."""
    for option in reversed(_ENGINE_OPTIONS):
        function = option(function)
    return function


def open_backend(url: str, session: Session, *, create: bool = False) -> Backend:
    """Return the backend of a URL; ``create`` makes its storage if there is none, which reading does not.

    Raises what is wrong with the URL, and StorageError.
    """
    session.look_at(f"--backend {hide_secrets(url)}", "give a URL such as sqlite:///runs.db")
    backend = fetch(url)
    if create:
        backend.open()
    session.storage = hide_secrets(url)
    session.look_at(session.storage)
    return backend


def run_argument(function: _Command) -> _Command:
    """Add the argument RUN, which is given to the verb as ``run_id``: a word for `run_named`, or None."""
    return click.argument("run_id", metavar="[RUN]", required=False, shell_complete=complete_runs)(function)


def run_named(word: str | None, backend: Backend, session: Session) -> str:
    """Return the id of the run that ``word`` means; where there is no word, of the one chosen on the terminal.

    Raises NotFound, and RunMissing without a word and without a terminal.
    """
    place = session.where
    session.look_at(place, "flowbook list shows the runs")
    found = choose_run(backend) if word is None else find_id(backend, word)
    session.look_at(place)
    return found


def backend_words(context: click.Context, url: str) -> str:
    """Return what ``--backend`` must say in a command to copy; nothing where it need not be said."""
    named = context.get_parameter_source("backend") is ParameterSource.COMMANDLINE
    return hide_secrets(url) if named else ""
