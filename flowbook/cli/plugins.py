"""``flowbook plugins``: what installed packages add to flowbook, and what of it cannot be loaded."""

from __future__ import annotations

from typing import Final

import click

from flowbook.cli.output import Output, output_options
from flowbook.cli.session import verbose_option
from flowbook.cli.streams import write
from flowbook.cli.tables import Column, Grid, print_table
from flowbook.plugins import installed_plugins
from flowbook.views.inspections import plugins_document
from flowbook.views.schemas import PLUGINS

EPILOG: Final = """\b
Examples:
  flowbook plugins
  flowbook plugins --json
  flowbook plugins --output csv --fields group,name,package
"""

_COLUMNS: Final = (
    Column("group"),
    Column("name"),
    Column("package"),
    Column("version"),
    Column("state", least=16, styles={"ok": "green"}),
)


@click.command("plugins", epilog=EPILOG)
@output_options(PLUGINS)
@verbose_option
def plugins(output: Output) -> int:
    """List the entry points of flowbook's groups: backends, engines, executors, and whatever packages add to them.

    Each is loaded, to see whether it can be; what cannot is shown with its error, or with the extra that it needs.
    """
    found = list(installed_plugins())
    if not output.is_own:
        output.write(plugins_document(found))
        return 0
    rows = [[one.group, one.name, one.package, one.version, one.needs or one.error or "ok"] for one in found]
    print_table([Grid(_COLUMNS, rows)])
    broken = sum(bool(one.error) and not one.needs for one in found)
    if broken:
        write(f"{broken} of {len(found)} cannot be loaded", err=True)
    return 0
