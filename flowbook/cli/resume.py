"""``flowbook resume``: continue a recorded run, its flow rebuilt by what the run recorded."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import click

from flowbook.cli import targets
from flowbook.cli.completion import complete_files
from flowbook.cli.exits import EXIT_CODES
from flowbook.cli.logs import logs_told
from flowbook.cli.options import backend_option, backend_words, engine_options, open_backend, run_argument, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.summary import Hints
from flowbook.cli.trouble import in_code_of
from flowbook.cli.waiting import wait_and_work
from flowbook.cli.work import work
from flowbook.engines.engine import Engine
from flowbook.engines.registry import load_from_run
from flowbook.exceptions import FactoryRefused
from flowbook.persistence.backend import Backend
from flowbook.states import FlowState
from flowbook.views.details import view_run

EPILOG = f"""\b
Examples:
  flowbook resume r1 --allow orders.py
  flowbook resume @last --allow shop --engine parallel
  flowbook resume r1 --allow orders.py --wait --wait-timeout 600
  flowbook resume @failed --rerun --allow orders.py --progress plain
\n{EXIT_CODES}"""


class ResumeRefused(FactoryRefused):
    """Resuming runs the code that builds the flow: only what --allow names is loaded."""

    def __init__(self, error: FactoryRefused, command: str, look: str) -> None:
        super().__init__(error.run, error.factory, error.allow)
        self._command, self._look = command, look

    @property
    def todo(self) -> str:
        """Give the exact command line, and where the run has succeeded the one that loads no code."""
        first = f"it ended in SUCCESS, and {self._look} shows its results; " if self._look else ""
        return f"{first}if you trust it: {self._command}"


@click.command("resume", epilog=EPILOG)
@run_argument
@click.option(
    "--allow",
    multiple=True,
    metavar="FILE|PACKAGE",
    shell_complete=complete_files,
    help="Code that may be loaded to rebuild the flow; none is by default.",
)
@click.option("--wait", is_flag=True, help="Wait until the run's owner has ended, or is known to be gone.")
@click.option(
    "--wait-timeout",
    type=click.FloatRange(min=0),
    metavar="S",
    help="With --wait: wait at most S seconds; how long the run takes is not limited by that. Default: no limit.",
)
@backend_option
@engine_options
@verbose_option
@click.pass_context
def resume(
    context: click.Context,
    /,
    run_id: str | None,
    allow: tuple[str, ...],
    wait: bool,
    wait_timeout: float | None,
    backend: str,
    progress: str,
    **options: Any,  # those of `load_from_run`, by its names
) -> int:
    """Continue a recorded run where it stopped: what is saved is not done again, and the first line says so.

    RUN is its id, as much of the beginning as is unique, @last or @failed. Its flow is built again as the run
    recorded it, by code that --allow must name; without it the command to use is told.

    Ctrl-C, SIGTERM or a terminal that is closed suspends the run again; a second Ctrl-C or SIGTERM stops at once.

    --wait never takes the run from an owner that lives. If the owner finishes it, the saved results are shown; if the
    owner gives it up, dies, or lets its lease end, the run goes on here. Ctrl-C during the wait exits with 130, a
    --wait-timeout that has passed with 6; the run is not touched then.
    """
    _check(context, wait, wait_timeout, take_over=options["take_over"])
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened, logs_told(session):
        words = backend_words(context, backend)
        keeps = "" if opened.keeps_references else opened.url
        found = run_named(run_id, opened, session)
        engine = _load(opened, Hints(found, words, "", keeps), allow, options)
        hints = Hints(found, words, allow[0] if allow else "", keeps)
        if wait:
            return wait_and_work(engine, session, hints, how=progress, rerun=options["rerun"], timeout_s=wait_timeout)
        return work(engine, session, hints, how=progress)


def _check(context: click.Context, wait: bool, wait_timeout: float | None, *, take_over: bool) -> None:
    if wait and take_over:
        raise click.UsageError("--wait leaves the run to an owner that lives, --take-over does not: give one", context)
    if wait_timeout is not None and not wait:
        raise click.UsageError("--wait-timeout is how long to --wait: give both", context)


def _load(backend: Backend, hints: Hints, allow: tuple[str, ...], options: dict[str, Any]) -> Engine:
    targets.make_importable(allow)
    try:
        with in_code_of(f"the flow of run {hints.run_id!r}"):
            return load_from_run(backend, hints.run_id, allow=allow, **options)
    except FactoryRefused as error:
        again = ["--rerun"] if options["rerun"] else []
        command = replace(hints, allow=error.allow).resume(*again)
        ended_well = view_run(backend, hints.run_id).state == FlowState.SUCCESS
        look = hints.command("show", "--json") if ended_well and not options["rerun"] else ""
        raise ResumeRefused(error, command, look) from error
