"""``flowbook export``: one run as a document that any logbook can take in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import click

from flowbook.cli.options import backend_option, open_backend, run_argument, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.exceptions import NotPossible
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
    help="Write to this file, which only you may read, whole or not at all. Default: to stdout.",
)
@backend_option
@verbose_option
@click.pass_context
def export(context: click.Context, run_id: str | None, out: str | None, backend: str) -> int:
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
        _write(Path(out), lines)
        write(f"wrote {out}: {len(lines) - 2} records", err=True)
    return 0


def _write(path: Path, lines: Iterable[str]) -> None:
    """Put a file in place at once, when it is whole; a pipe or device is written to. Raises NotPossible."""
    try:
        if path.exists() and not path.is_file():
            path.write_text("".join(lines), encoding="ascii")
        else:
            _put_in_place(path.resolve(), lines)
    except OSError as error:
        why, todo = error.strerror or str(error), "name a file in a directory that you may write to"
        raise NotPossible(f"{path} cannot be written", where=f"--out {path}", why=why, todo=todo) from error


def _put_in_place(path: Path, lines: Iterable[str]) -> None:
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", encoding="ascii", delete=False) as file:
        try:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(file.name)
            raise
