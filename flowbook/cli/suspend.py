"""``flowbook suspend``: have a run that another process executes stop where it can be resumed."""

from __future__ import annotations

import time
from contextlib import closing

import click

from flowbook.cli.exits import EXIT_CODES, Exit
from flowbook.cli.options import backend_option, backend_words, open_backend, run_argument, run_named
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.streams import write
from flowbook.cli.summary import Hints, hints_of
from flowbook.cli.texts import took_text
from flowbook.engines import suspend as ask_to_suspend
from flowbook.states import FINISHED
from flowbook.views.following import Following

EVERY_S = 0.2

EPILOG = f"""\b
Examples:
  flowbook suspend r1
  flowbook suspend @last --timeout 60
  flowbook suspend r1 --no-wait
\n{EXIT_CODES}"""


@click.command("suspend", epilog=EPILOG)
@run_argument
@click.option("--wait/--no-wait", default=True, help="Wait until the run has stopped (default), or only leave word.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="Wait at most S seconds. Default: no limit.")
@backend_option
@verbose_option
@click.pass_context
def suspend(context: click.Context, run_id: str | None, wait: bool, timeout: float | None, backend: str) -> Exit:
    """Ask a run that goes on elsewhere to suspend: what runs is finished and saved, nothing else is started.

    RUN is its id, as much of the beginning as is unique, @last or @failed. The engine that runs it hears of it within
    about a second. Exits with 0 when nobody works on the run any more, also where that was so before. Ctrl-C ends the
    waiting, and the word that was left stays.
    """
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened:
        found = run_named(run_id, opened, session)
        hints = hints_of(opened, found, backend_words(context, backend))
        following = Following(opened, found, ("flow",))
        if not ask_to_suspend(opened, found):
            following.look()
            write(f"nothing to suspend: {how_it_is(following, hints)}", err=True)
            return Exit.OK
        if not wait:
            write(f"run {found} was asked to suspend; {hints.command('watch')} follows it", err=True)
            return Exit.OK
        return wait_for_owner(following, hints, timeout, to="suspend")


def wait_for_owner(following: Following, hints: Hints, timeout_s: float | None, *, to: str) -> Exit:
    """Wait until nobody works on the run any more, that was asked ``to`` do something, and say how it is then."""
    began = time.monotonic()
    try:
        write(f"run {following.run} was asked to {to}; waiting for what runs (Ctrl-C ends the waiting)", err=True)
        for _ in following.looks(EVERY_S, timeout_s):
            pass
    except KeyboardInterrupt:
        write(f"not waiting any more; run {following.run} {to}s as soon as what runs has ended", err=True)
        return Exit.INTERRUPTED
    took = took_text(time.monotonic() - began)
    if not following.is_over:
        write(f"run {following.run} is still {following.state} after {took}; it {to}s as soon as it can", err=True)
        return Exit.WAITED
    write(f"after {took}, {how_it_is(following, hints)}", err=True)
    return Exit.OK


def how_it_is(following: Following, hints: Hints) -> str:
    """Return how a run is that nobody works on, and what can be done with it."""
    run = f"run {following.run}"
    if following.state in FINISHED:
        return f"{run} has ended in {following.state}; {hints.command('show')} shows it"
    return f"{run} is {following.state} and nobody works on it; to continue it: {hints.resume()}"
