"""``flowbook watch``: follow a run that another process executes, by reading its logbook."""

from __future__ import annotations

import sys
from contextlib import closing

import click

from flowbook.cli.exits import EXIT_CODES, Exit, exit_of_state
from flowbook.cli.options import (
    backend_option,
    backend_words,
    open_backend,
    progress_option,
    run_argument,
    run_named,
)
from flowbook.cli.progress import Display, JsonDisplay, Tally, display_for, line_to
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.summary import Hints, hints_of, sum_up
from flowbook.persistence.backend import Backend
from flowbook.states import FINISHED, FlowState
from flowbook.views.endings import recorded_ending
from flowbook.views.following import EVERY_S, Following

EPILOG = f"""\b
Examples:
  flowbook watch r1
  flowbook watch @last --exit-status --timeout 600
  flowbook watch r1 --json > events.jsonl
\n{EXIT_CODES}"""


@click.command("watch", epilog=EPILOG)
@run_argument
@click.option("--exit-status", is_flag=True, help="Exit as the run does: see the exit codes. Default: 0 at its end.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=EVERY_S,
    show_default=True,
    metavar="S",
    help="Look every S seconds; where reading takes long, not as often.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="S", help="Watch at most S seconds. Default: no limit."
)
@click.option("--json", "as_json", is_flag=True, help="Print the events to stdout, a JSON document a line.")
@click.option("--output", type=click.Choice(["jsonl"]), help="jsonl: the same as --json.")
@progress_option
@backend_option
@verbose_option
@click.pass_context
def watch(
    context: click.Context,
    run_id: str | None,
    exit_status: bool,
    interval: float,
    timeout: float | None,
    as_json: bool,
    output: str | None,
    progress: str,
    backend: str,
) -> Exit:
    """Follow a run that another process executes, until it ends or nobody works on it any more.

    RUN is its id, as much of the beginning as is unique, @last or @failed. Only the logbook is read: no code of the
    flow is loaded, and the run is not disturbed. Ctrl-C ends the watching, with exit code 130; the run goes on.
    """
    session = context.ensure_object(Session)
    with closing(open_backend(backend, session)) as opened:
        following = Following(opened, run_named(run_id, opened, session))
        hints = hints_of(opened, following.run, backend_words(context, backend))
        display = _display(following, progress, as_json=as_json or output is not None)
        try:
            _follow(following, display, interval, timeout)
        except KeyboardInterrupt:
            display.say(f"not watching any more; run {following.run} is {following.state}")
            return Exit.INTERRUPTED
        return _ended(opened, following, display, hints, session, exit_status=exit_status)


def _display(following: Following, how: str, *, as_json: bool) -> Display:
    tally = Tally(following.run, following.flow, following.atoms, following, began=following.created_at)
    tally.then = "then the run is SUSPENDED"
    return JsonDisplay(tally, line_to(sys.stdout)) if as_json else display_for(how, tally)


def _follow(following: Following, display: Display, interval_s: float, timeout_s: float | None) -> None:
    """Show what happens until there is no more to come."""
    display.open()
    try:
        for notices in following.looks(interval_s, timeout_s):
            tally = display.tally
            tally.atoms, tally.owner = following.atoms, following.owner.name if following.owner else ""
            tally.suspending = following.state is FlowState.SUSPENDING
            display.entered()
            for notice in notices:
                display.hear(notice)
    finally:
        display.close()


def _ended(
    backend: Backend, following: Following, display: Display, hints: Hints, session: Session, *, exit_status: bool
) -> Exit:
    """Tell how the run ended, or that it has not; return the exit code."""
    if not following.is_over:
        display.say(f"run {following.run} is still {following.state}; {hints.command('watch')} goes on watching")
        return Exit.WAITED
    if following.state not in (*FINISHED, FlowState.SUSPENDED):
        display.say(f"nobody works on run {following.run} any more; it is {following.state}")
    if display.sums_up(following.state):
        sum_up(recorded_ending(backend, following.run, display.tally.touched), display, hints, session)
    return exit_of_state(following.state) if exit_status else Exit.OK
