"""``flowbook doctor``: looks at the storage and at what is installed, and says what mends what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Final

import click

from flowbook.cli.colours import styled
from flowbook.cli.exits import Exit
from flowbook.cli.options import backend_option, open_backend
from flowbook.cli.output import Output, output_options
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.persistence.inspection import Level
from flowbook.views.inspections import ABOUT_STORAGE, Check, doctor_document, inspect
from flowbook.views.schemas import DOCTOR

EPILOG: Final = """\b
Examples:
  flowbook doctor
  flowbook doctor --backend sqlite:///runs.db
  flowbook doctor --json
\b
Exit codes:
  0    nothing failed; there may be warnings
  1    something that is installed failed: a plug-in
  2    something on the command line is wrong
  5    the storage failed: it cannot be reached, or something in it is damaged
"""

_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("doctor", epilog=EPILOG)
@output_options(DOCTOR)
@backend_option
@verbose_option
@click.pass_context
def doctor(context: click.Context, output: Output, backend: str) -> int:
    """See whether storage and installation are in order: a line for each thing, ok, warn or fail, with what mends it.

    Looked at are the storage's files, schema and records, claims of processes that are gone, the clock, plug-ins and
    versions. Nothing is changed, and no code of a flow is run.
    """
    checks: list[Check] = []
    with closing(open_backend(backend, context.ensure_object(Session))) as opened:
        for check in inspect(opened):
            checks.append(check)
            if output.is_own:
                _show(check)
        if not output.is_own:
            output.write(doctor_document(opened, checks))
    counts = [f"{sum(check.level is level for check in checks)} {level}" for level in Level]
    write(", ".join(counts), err=True)
    return exit_of_checks(checks)


def exit_of_checks(checks: Sequence[Check]) -> Exit:
    """Return the exit code: what is wrong with the storage weighs more than what is wrong with the installation."""
    failed = {check.area for check in checks if check.level is Level.FAIL}
    if not failed:
        return Exit.OK
    return Exit.STORAGE if failed & ABOUT_STORAGE else Exit.FAILED


def _show(check: Check) -> None:
    level = styled(f"{check.level:<4}", fg=_COLOURS[check.level])
    where = f" ({check.where})" if check.where else ""
    write(f"{level}  {check.area:<8}  {check.what}{where}")
    if check.fix:
        write(f"{'':<16}fix: {check.fix}")
