"""Running an engine before the user's eyes: progress while it goes on, a summary and an exit code at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowbook.cli.exits import Exit, exit_of_state
from flowbook.cli.interrupts import Interrupts
from flowbook.cli.outputs import outputs_told
from flowbook.cli.progress import Display, Tally, display_for
from flowbook.cli.session import Session
from flowbook.cli.streams import write
from flowbook.cli.summary import Hints, sum_up
from flowbook.cli.texts import value_text
from flowbook.engines.engine import Engine
from flowbook.engines.errors import FlowCancelled, FlowTimedOut
from flowbook.engines.results import CANCELLED, TIMED_OUT
from flowbook.events import ANY, PROGRESS
from flowbook.exceptions import FlowbookError, NotFound
from flowbook.persistence.owners import current_owner
from flowbook.states import FINISHED, FlowState
from flowbook.views.endings import ending_of
from flowbook.views.following import InEngine

RESULTS_SHOWN: Final = 50

_REASONS: Final = {
    CANCELLED: f"was cancelled; flowbook explain {FlowCancelled.code} tells more",
    TIMED_OUT: f"was not finished by its deadline, and was cancelled; flowbook explain {FlowTimedOut.code} tells more",
}


def work(engine: Engine, session: Session, hints: Hints, *, how: str) -> Exit:
    """Run the engine and tell of it; return the exit code. Raises what is no task's failure."""
    plan = engine.compilation.plan
    tally = Tally(engine.run_id, plan.flow_name, plan.atom_count, InEngine(engine), str(current_owner()))
    display = display_for(how, tally)
    resume = hints.resume()
    last_words = f"stopped at once; what was saved is safe\n  resume: {resume}" if hints.keeps else "stopped at once"
    _connect(engine, display)
    try:
        with _shown(display, session), Interrupts(engine, display, last_words):
            for _ in engine.run_iter():
                pass
            display.entered()  # where it was finished before, it has not been RUNNING
    except KeyboardInterrupt:
        display.say(last_words)
        return Exit.INTERRUPTED
    if display.sums_up(engine.state):
        if not tally.touched and engine.state in FINISHED and engine.resumed is None:
            display.say(f"run {engine.run_id} was finished before; --rerun runs it again")
        if engine.storage.reason:
            display.say(f"run {engine.run_id} {_REASONS[engine.storage.reason]}")
        sum_up(ending_of(engine, tally.touched, tally.began), display, hints, session)
    if engine.state is FlowState.SUCCESS:
        _tell_results(engine, display)
    return exit_of_state(engine.state)


def _connect(engine: Engine, display: Display) -> None:
    """Have the display hear of all that happens."""
    engine.notifier.register(FlowState.RUNNING, lambda notice: display.entered())
    engine.notifier.register(ANY, display.hear)
    engine.atom_notifier.register(ANY, display.hear)
    engine.atom_notifier.register(PROGRESS, display.hear)


@contextmanager
def _shown(display: Display, session: Session) -> Iterator[None]:
    """Show the display, and through it what else there is to say and what atoms print."""
    before, session.say = session.say, display.say
    display.open()
    try:
        with outputs_told(display.output):
            yield
    finally:
        display.close()
        session.say = before


def _tell_results(engine: Engine, display: Display) -> None:
    """Print what the flow provides to stdout, a line each; what has no value, as it was added later, is left out."""
    symbols = list(engine.compilation.plan.providers)
    for symbol in symbols[:RESULTS_SHOWN]:
        try:
            text = value_text(engine.storage.fetch(symbol))
        except NotFound:
            continue
        except FlowbookError as error:
            text = f"<{error}>"
        write(f"{symbol} = {text}")
    if len(symbols) > RESULTS_SHOWN:
        display.say(f"{len(symbols) - RESULTS_SHOWN} more results are left out here")
