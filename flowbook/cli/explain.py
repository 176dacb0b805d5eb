"""``flowbook explain``: what an error means, why it happens, and what to do about it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from textwrap import fill
from typing import Final

import click

from flowbook.cli.colours import styled
from flowbook.cli.completion import complete_codes
from flowbook.cli.output import Output, output_options
from flowbook.cli.session import verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import Column, Grid, print_table
from flowbook.views.explanations import Explanation, explain, explanations, explanations_document
from flowbook.views.schemas import EXPLAIN

EPILOG: Final = """\b
Examples:
  flowbook explain FB301
  flowbook explain NotFound
  flowbook explain --json
"""

_UNDERLINE: Final = re.compile(r"=+|-+")
_LITERAL: Final = re.compile(r"``(.+?)``", re.DOTALL)
_WIDTH: Final = 100
_COLUMNS: Final = (Column("code"), Column("error"), Column("meaning", least=30))


@click.command("explain", epilog=EPILOG)
@click.argument("code", metavar="[CODE]", required=False, shell_complete=complete_codes)
@output_options(EXPLAIN)
@verbose_option
def explain_error(code: str | None, output: Output) -> int:
    """Explain an error: CODE is what stands in error[...], in capitals or not, or the name of its class.

    Without CODE all errors are listed.
    """
    pages = explanations() if code is None else (explain(code),)
    if not output.is_own:
        output.write(explanations_document(pages))
    elif code is None:
        print_table([Grid(_COLUMNS, [[one.code, one.name, one.summary] for one in pages])])
    else:
        write("\n\n".join(_shown(*pages)))
    return 0


def _shown(page: Explanation) -> Iterator[str]:
    """Yield the parts of a page as a terminal shows them: titles in bold, lines as wide as it is, and no marks."""
    width = min(get_terminal_size().columns, _WIDTH) if sys.stdout.isatty() else _WIDTH
    for part in page.page.rstrip().split("\n\n"):
        first, _, rest = part.partition("\n")
        if _UNDERLINE.fullmatch(rest):
            yield styled(first, bold=True)
        elif part.startswith(" "):
            yield part
        elif part != "::":
            text = fill(" ".join(part.split()), width, break_on_hyphens=False, break_long_words=False)
            yield _LITERAL.sub(lambda found: styled(found[1], fg="cyan"), text)
