"""``flowbook graph``: draw a flow of a file or module, or a recorded run with its states."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from flowbook.atoms.base import Atom
from flowbook.cli import parameters, targets
from flowbook.cli.colours import styled
from flowbook.cli.completion import complete_runs
from flowbook.cli.files import write_file
from flowbook.cli.options import backend_option, open_backend, run_named
from flowbook.cli.output import Output, output_options
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES
from flowbook.drawing import ATOMS_SHOWN, text
from flowbook.exceptions import FlowbookError, NotPossible
from flowbook.flows.base import Flow
from flowbook.views.graphs import FORMATS, Picture, checked_format, graph_document, picture_of, picture_of_run
from flowbook.views.schemas import GRAPH

EPILOG = """\b
Examples:
  flowbook graph orders.py::build --param count=3
  flowbook graph r1 --out r1.svg
  flowbook graph @last --format mermaid
"""

_ENDINGS: Final = {
    ".svg": "svg",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".json": "json",
    ".txt": "text",
}


@click.command("graph", epilog=EPILOG)
@click.argument("what", metavar="[FLOW|RUN]", required=False, shell_complete=complete_runs)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}. Default: what the ending of --out says, else text.",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Write to this file, not to stdout.")
@click.option(
    "--depth", type=click.IntRange(0), metavar="N", help="Draw flows that are N or more deep as one node each."
)
@click.option(
    "--fold/--no-fold",
    "folds",
    default=True,
    help=f"Fold flows, and atoms that are alike or in a row, above {ATOMS_SHOWN} nodes. Default: --fold.",
)
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the function that gives FLOW."
)
@output_options(GRAPH)
@backend_option
@verbose_option
@click.pass_context
def graph(
    context: click.Context,
    what: str | None,
    form: str | None,
    out: Path | None,
    depth: int | None,
    folds: bool,
    params: tuple[str, ...],
    output: Output,
    backend: str,
) -> int:
    """Draw a flow, or a recorded run with its states.

    FLOW is FILE.py::NAME or MODULE:NAME. RUN is an id, as much of its beginning as is unique, or @last; it is drawn
    from the logbook, without its code. SVG needs nothing but a browser.
    """
    session = context.ensure_object(Session)
    how = _format(form, out)
    if not output.is_own and (how != "text" or out is not None):
        raise click.UsageError("--json, --output and --fields go to stdout: give --format json with --out", context)
    picture = _picture(what, parameters.split(params, "--param"), backend, session).folded(depth=depth, folds=folds)
    if not output.is_own:
        output.write(graph_document(picture.graph))
    elif out is not None:
        write_file(out, [picture.draw(how, folds=False)])
    elif how == "text":
        write(_text_for_terminal(picture))
    else:
        write(picture.draw(how, folds=False), nl=False)
    return 0


def _format(how: str | None, out: Path | None) -> str:
    """Return the format that is asked for. Raises NotPossible for one that there is not, or a file without one."""
    if how is not None:
        return checked_format(how.lower(), where="--format")
    ending = "" if out is None else out.suffix.lower()
    if ending and ending not in _ENDINGS:
        why = f"its ending should say the format, and {ending} is none of {', '.join(_ENDINGS)}"
        todo = "give it one of these endings, or say --format too"
        raise NotPossible(f"there is no format for {out}", where=f"--out {out}", why=why, todo=todo)
    return _ENDINGS.get(ending, "text")


def _picture(what: str | None, params: Mapping[str, str], url: str, session: Session) -> Picture:
    if what is not None and _is_flow(what, url, session):
        session.look_at(what)
        return picture_of(_flow_of(what, params))
    if params:
        raise click.UsageError("--param is for FLOW: a run has its parameters", click.get_current_context(silent=True))
    with closing(open_backend(url, session)) as opened:
        return picture_of_run(opened, run_named(what, opened, session))


def _is_flow(what: str, url: str, session: Session) -> bool:
    """Return whether a word names a flow; an id may have a colon too, and then the logbook knows it."""
    if "::" in what or what.endswith(".py"):
        return True
    if ":" not in what:
        return False
    try:
        with closing(open_backend(url, session)) as opened:
            return not opened.load(what, ("flow",)).flow
    except FlowbookError:
        return True


def _flow_of(target: str, params: Mapping[str, str]) -> Flow | Atom:
    """Return the flow that a word names. Raises UsageError, for the user's code too."""
    found = targets.flow_of(target, params)
    if found.not_taken:
        names = ", ".join(found.not_taken)
        raise NotPossible(f"{target} is no function: it takes no {names}", where=target, todo="leave out --param")
    return found.flow


def _text_for_terminal(picture: Picture) -> str:
    """Return the text of a picture, as wide as the terminal and coloured on one; in a pipe nothing is cut."""
    terminal = sys.stdout.isatty()
    return text(
        picture.graph,
        width=shutil.get_terminal_size().columns if terminal else None,
        plain=not _takes_signs(),
        paint=_painted if terminal else None,
    )


def _takes_signs() -> bool:
    encoding = sys.stdout.encoding or "ascii"
    try:
        "├└│✓✗↶‼↻⊘○▶◀←…·".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _painted(state: str, said: str) -> str:
    return styled(said, fg=STATE_STYLES[state]) if state in STATE_STYLES else said
