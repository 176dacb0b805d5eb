"""``flowbook import``: a run out of the document that ``flowbook export`` wrote."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from flowbook.cli.choosing import new_id
from flowbook.cli.completion import complete_files
from flowbook.cli.options import backend_option, backend_words, open_backend
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.summary import Hints
from flowbook.exceptions import NotPossible
from flowbook.views.transfers import import_run

EPILOG: Final = """\b
Examples:
  flowbook import r1.jsonl
  flowbook import r1.jsonl --as r1-copy
  flowbook import r1.jsonl --backend sqlite:///other.db
"""


@click.command("import", epilog=EPILOG)
@click.argument("file", metavar="FILE", shell_complete=complete_files)
@click.option(
    "--as",
    "run_id",
    metavar="RUN",
    callback=new_id,
    help="The id that the run is to have here. Default: the one it has.",
)
@backend_option
@verbose_option
@click.pass_context
def import_(context: click.Context, file: str, run_id: str | None, backend: str) -> int:
    """Add a run from FILE (- is stdin), as flowbook export wrote it, and print its id.

    All of it is written at once, or nothing: a file that is damaged, or of a newer version, is refused, and so is an
    id that is taken. Nothing in the file is run. The run belongs to nobody; flowbook resume continues it.
    """
    session = context.ensure_object(Session)
    lines = _lines_of(file)
    with closing(open_backend(backend, session, create=True)) as opened:
        run = import_run(opened, lines, run_id=run_id, source="stdin" if file == "-" else file)
        url = opened.url
    write(run)
    hints = Hints(run, backend_words(context, backend), "", url)
    write(f"imported into {url}: {hints.command('show')}", err=True)
    return 0


def _lines_of(file: str) -> list[str]:
    """Return the lines of a file or of stdin, as ASCII, or as what no checksum fits. Raises NotPossible."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        todo = "give a file that flowbook export wrote, or - for stdin"
        raise NotPossible(f"{file} cannot be read", where=file, why=error.strerror or str(error), todo=todo) from error
    return [line.decode("latin-1") for line in content.splitlines(keepends=True)]
