"""``flowbook cancel``: have a run that another process executes be reverted, or do so when it is resumed."""

from __future__ import annotations

from contextlib import closing

import click

from flowbook.cli.exits import EXIT_CODES, Exit
from flowbook.cli.options import backend_option, backend_words, open_backend, run_argument, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.summary import hints_of
from flowbook.cli.suspend import how_it_is, wait_for_owner
from flowbook.engines import cancel as ask_to_cancel
from flowbook.states import FINISHED
from flowbook.views.following import Following

EPILOG = f"""\b
Examples:
  flowbook cancel r1
  flowbook cancel @last --timeout 60
  flowbook cancel r1 --no-wait
\n{EXIT_CODES}"""


@click.command("cancel", epilog=EPILOG)
@run_argument
@click.option("--wait/--no-wait", default=True, help="Wait until the run has ended (default), or only leave word.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Wait at most S seconds. Default: no limit.")
@backend_option
@verbose_option
@click.pass_context
def cancel(context: click.Context, run_id: str | None, wait: bool, timeout: float | None, backend: str) -> Exit:
    """Ask for a run to be cancelled: what runs is stopped where that can be, and everything is reverted.

    RUN is its id, as much of the beginning as is unique, @last or @failed. The engine that runs it hears of it within
    about a second. Where nobody works on the run the word stays, and who resumes the run reverts it. Exits with 0 when
    nobody works on the run any more, also where that was so before. Ctrl-C ends the waiting, and the word that was left
    stays.
    """
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened:
        found = run_named(run_id, opened, session)
        hints = hints_of(opened, found, backend_words(context, backend))
        following = Following(opened, found, ("flow",))
        if not ask_to_cancel(opened, found):
            following.look()
            if following.state in FINISHED:
                write(f"nothing to cancel: {how_it_is(following, hints)}", err=True)
            else:
                write(f"nobody works on run {found}; it is reverted when it is resumed: {hints.resume()}", err=True)
            return Exit.OK
        if not wait:
            write(f"run {found} was asked to revert; {hints.command('watch')} follows it", err=True)
            return Exit.OK
        return wait_for_owner(following, hints, timeout, to="revert")
