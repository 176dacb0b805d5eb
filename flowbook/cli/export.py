"""``flowbook export``: one run as a document that any logbook can take in."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

import click

from flowbook.cli.files import write_file
from flowbook.cli.options import backend_option, open_backend, run_argument, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.views.transfers import export_run

EPILOG: Final = """\b
Examples:
  flowbook export r1 > r1.jsonl
  flowbook export r1 --out r1.jsonl
  flowbook export @last --backend sqlite:///runs.db > last.jsonl
"""


@click.command("export", epilog=EPILOG)
@run_argument
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write to this file, which only you may read, whole or not at all. Default: to stdout.",
)
@backend_option
@verbose_option
@click.pass_context
def export(context: click.Context, run_id: str | None, out: Path | None, backend: str) -> int:
    """Write one run as JSON lines: all its records, values as they are stored, nothing decoded or run.

    RUN is its id, as much of the beginning as is unique, @last or @failed. A run that somebody works on is written as
    it is at one moment; its claim and the requests that wait for it are left out.
    """
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened:
        lines = list(export_run(opened, run_named(run_id, opened, session)))
    if out is None:
        write("".join(lines), nl=False)
    else:
        write_file(out, lines, private=True)
        write(f"wrote {out}: {len(lines) - 2} records", err=True)
    return 0
