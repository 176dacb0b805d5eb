"""The command ``flowbook``: finds the verb, runs it, and tells what went wrong in four parts.

Nothing heavy is imported here: a verb's module is, when the verb is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from flowbook.cli import trouble
from flowbook.cli.exits import EXIT_CODES, Exit, exit_of
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.exceptions import did_you_mean

EXAMPLES: Final = """\b
Examples:
  flowbook run orders.py::build --param count=3 --run-id r1
  flowbook show r1
  flowbook resume r1 --allow orders.py
"""


class Verb(NamedTuple):
    """Where a verb is defined, and what it does in a few words."""

    module: str
    name: str
    summary: str


VERBS: Final = {
    "run": Verb("flowbook.cli.run", "run", "Run a flow from a file or module, or continue it."),
    "resume": Verb("flowbook.cli.resume", "resume", "Continue a recorded run where it stopped."),
    "list": Verb("flowbook.cli.list", "list_runs", "List the recorded runs, newest first."),
    "show": Verb("flowbook.cli.show", "show", "Show one run: its atoms, attempts and failures."),
    "demo": Verb("flowbook.cli.demo", "demo", "See a flow being killed and going on, in 20 seconds."),
}


class Verbs(click.Group):
    """A group that imports a verb's module only when that verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a verb, or None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        verb = VERBS[cmd_name]
        command: click.Command = getattr(import_module(verb.module), verb.name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` begin with. Raises NoSuchVerb."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise NoSuchVerb(args[0], ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their summaries, importing none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


class NoSuchVerb(click.UsageError):
    """The first word of the command line is no verb."""

    def __init__(self, name: str, ctx: click.Context) -> None:
        super().__init__(f"there is no verb {name!r}", ctx)
        self.hint = did_you_mean(name, VERBS) or f"the verbs are {', '.join(VERBS)}"


@click.group(
    cls=Verbs,
    epilog=f"{EXAMPLES}\n{EXIT_CODES}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="flowbook", prog_name="flowbook")
@verbose_option
def cli() -> None:
    """Run flows from a logbook, and continue what stopped, for whatever reason, from there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default that of this process) and return the exit code."""
    session = Session()
    try:
        code: Any = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="flowbook",
            standalone_mode=False,
            obj=session,
        )
    except (click.Abort, KeyboardInterrupt):
        write("interrupted; what was saved is safe", err=True)
        return Exit.INTERRUPTED
    except Exception as error:  # the one place where every error ends
        trouble.tell(error, session)
        return exit_of(error)
    return code if isinstance(code, int) else Exit.OK
