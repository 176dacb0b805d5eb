"""The command ``flowbook``: finds the verb, runs it, and tells what went wrong in four parts.

Nothing heavy is imported here: a verb's module is, when the verb is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from flowbook.cli.exits import Exit, exit_of
from flowbook.cli.glance import StandIn, Word
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import open_closed, write
from flowbook.exceptions import did_you_mean

EXAMPLES: Final = """\b
Examples:
  flowbook run orders.py::build --param count=3 --run-id r1
  flowbook show r1
  flowbook resume r1 --allow orders.py
"""

EXIT_CODES_IN_SHORT: Final = """\b
Exit codes: (flowbook run --help tells more)
  0  it worked             3  REVERTED      6   owned by another   124  timeout
  1  FAILURE               4  SUSPENDED     70  our mistake        130  interrupted
  2  wrong words or code   5  no storage
"""


class Verb(NamedTuple):
    """Where a verb is defined, and what it does in a few words."""

    module: str
    name: str
    summary: str


VERBS: Final = {
    "run": Verb("flowbook.cli.run", "run", "Run a flow from a file or module, or continue it."),
    "resume": Verb("flowbook.cli.resume", "resume", "Continue a recorded run where it stopped."),
    "suspend": Verb("flowbook.cli.suspend", "suspend", "Have a run stop where it can be resumed."),
    "cancel": Verb("flowbook.cli.cancel", "cancel", "Have a run stop, and what it did reverted."),
    "watch": Verb("flowbook.cli.watch", "watch", "Follow a run that another process executes."),
    "list": Verb("flowbook.cli.list", "list_runs", "List the recorded runs, newest first."),
    "show": Verb("flowbook.cli.show", "show", "Show one run: its atoms, attempts and failures."),
    "graph": Verb("flowbook.cli.graph", "graph", "Draw a flow, or a run with its states."),
    "export": Verb("flowbook.cli.export", "export", "Write one run as a document that can be imported."),
    "import": Verb("flowbook.cli.import_", "import_", "Add a run from such a document."),
    "prune": Verb("flowbook.cli.prune", "prune_runs", "Delete old runs."),
    "doctor": Verb("flowbook.cli.doctor", "doctor", "See whether storage and installation are in order."),
    "backend": Verb("flowbook.cli.backend", "backend", "Look after a storage: backend upgrade."),
    "plugins": Verb("flowbook.cli.plugins", "plugins", "List what installed packages add to flowbook."),
    "completion": Verb("flowbook.cli.completing", "completion", "Print what makes a shell complete words."),
    "explain": Verb("flowbook.cli.explain", "explain_error", "Explain an error by its code."),
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
        if ctx.resilient_parsing:
            stand_in = self._stand_in(args[0])
            return super().resolve_command(ctx, args) if stand_in is None else (args[0], stand_in, args[1:])
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise NoSuchVerb(args[0], ctx)
        return super().resolve_command(ctx, args)

    def _stand_in(self, name: str) -> click.Command | None:
        """Return what completes the words of a verb, if it is known without the verb: a shell does not wait long."""
        words: Mapping[str, Sequence[Word]] = import_module("flowbook.cli.words").WORDS
        return StandIn(name, words[name]) if name in words else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the verbs that begin so, importing none of them, and the options."""
        verbs = [CompletionItem(name, help=verb.summary) for name, verb in VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

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
    epilog=f"{EXAMPLES}\n{EXIT_CODES_IN_SHORT}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="flowbook", prog_name="flowbook")
@verbose_option
def cli() -> None:
    """Run flows from a logbook, and continue what stopped from there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default that of this process) and return the exit code."""
    open_closed()
    session = Session()
    try:
        code: Any = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="flowbook",
            standalone_mode=False,
            obj=session,
        )
    except (click.Abort, KeyboardInterrupt) as stop:
        asked = isinstance(stop, click.Abort) and stop.__cause__ is None  # by click: nothing is done before that
        write(f"interrupted; {'nothing was done or deleted' if asked else 'what was saved is safe'}", err=True)
        return Exit.INTERRUPTED
    except Exception as error:  # the one place where every error ends
        import_module("flowbook.cli.trouble").tell(error, session)
        return exit_of(error)
    return code if isinstance(code, int) else Exit.OK
