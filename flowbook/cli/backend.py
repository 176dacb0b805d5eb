"""``flowbook backend``: looks after a storage as a whole."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import click

from flowbook.cli.options import backend_option, open_backend
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.views.housekeeping import Upgrade, upgrade_script, upgrade_storage

EPILOG: Final = """\b
Examples:
  flowbook backend upgrade
  flowbook backend upgrade --backend sqlite:///runs.db
  flowbook backend upgrade --print-sql > upgrade.sql
"""


@click.group("backend", epilog=EPILOG)
@verbose_option
def backend() -> None:
    """Look after a storage as a whole."""


@backend.command("upgrade", epilog=EPILOG)
@click.option(
    "--print-sql",
    is_flag=True,
    help="Touch nothing; print the SQL that would run, for somebody who runs it by hand. Default: upgrade now.",
)
@backend_option
@verbose_option
@click.pass_context
def upgrade(context: click.Context, print_sql: bool, backend: str) -> int:
    """Bring an older storage up to the schema of this version; one that does not exist yet is made.

    It can be interrupted and repeated. Older versions of flowbook refuse the storage from then on.
    """
    with closing(open_backend(backend, context.ensure_object(Session))) as opened:
        if not print_sql:
            write(_told(upgrade_storage(opened)), err=True)
            return 0
        script = upgrade_script(opened)
        write(script, nl=False)
        if not script:
            write(f"nothing to do: {opened.url} has the newest schema, or none", err=True)
    return 0


def _told(done: Upgrade) -> str:
    if done.before is None or done.after is None:
        return f"nothing to do: {done.url} has no schema"
    if done.before.found is None:
        return f"made {done.url} with schema {done.after.found}"
    if not done.did_something:
        return f"nothing to do: {done.url} has schema {done.after.found}, the newest"
    return f"upgraded {done.url} from schema {done.before.found or 'none'} to {done.after.found}"
