"""``flowbook resume``: continue a recorded run, its flow rebuilt by what the run recorded."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from flowbook.cli import targets
from flowbook.cli.exits import EXIT_CODES
from flowbook.cli.options import backend_option, backend_words, engine_options, open_backend, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.trouble import in_code_of
from flowbook.cli.work import Hints, work
from flowbook.engines.engine import Engine
from flowbook.engines.registry import load_from_run
from flowbook.exceptions import FactoryRefused
from flowbook.persistence.backend import Backend

EPILOG = f"""\b
Examples:
  flowbook resume r1 --allow orders.py
  flowbook resume r1 --allow shop --engine parallel
\n{EXIT_CODES}"""


class ResumeRefused(FactoryRefused):
    """Resuming runs the code that builds the flow: only what --allow names is loaded."""

    def __init__(self, error: FactoryRefused, command: str) -> None:
        super().__init__(error.run, error.factory, error.allow)
        self._command = command

    @property
    def todo(self) -> str:
        """Give the exact command line."""
        return f"if you trust it: {self._command}"


@click.command("resume", epilog=EPILOG)
@click.argument("run_id", metavar="RUN")
@click.option(
    "--allow",
    multiple=True,
    metavar="FILE|PACKAGE",
    help="Code that may be loaded to rebuild the flow; none is by default.",
)
@backend_option
@engine_options
@verbose_option
@click.pass_context
def resume(
    context: click.Context,
    /,
    run_id: str,
    allow: tuple[str, ...],
    backend: str,
    progress: str,
    **options: Any,  # those of `load_from_run`, by its names
) -> int:
    """Continue a recorded run where it stopped: RUN is its id, or as much of the beginning as is unique."""
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened:
        words = backend_words(context, backend)
        keeps = "" if opened.keeps_references else opened.url
        found = run_named(run_id, opened, session)
        engine = _load(opened, Hints(found, words, "", keeps), allow, options)
        return work(engine, session, Hints(found, words, allow[0] if allow else "", keeps), how=progress)


def _load(backend: Backend, hints: Hints, allow: tuple[str, ...], options: dict[str, Any]) -> Engine:
    targets.make_importable(allow)
    try:
        with in_code_of(f"the flow of run {hints.run_id!r}"):
            return load_from_run(backend, hints.run_id, allow=allow, **options)
    except FactoryRefused as error:
        command = Hints(hints.run_id, hints.backend, error.allow, hints.keeps).command("resume", allow=True)
        raise ResumeRefused(error, command) from error
