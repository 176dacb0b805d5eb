"""Running an engine before the user's eyes: progress while it goes on, a summary and an exit code at the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from flowbook.cli.exits import Exit, exit_of_state
from flowbook.cli.interrupts import Interrupts
from flowbook.cli.progress import Display, Tally, choose, display_for
from flowbook.cli.session import Session
from flowbook.cli.streams import write
from flowbook.cli.texts import failure_line, took_text, value_text
from flowbook.engines.engine import Engine
from flowbook.events import ANY, Notice
from flowbook.exceptions import FlowbookError, NotFound
from flowbook.failure import Failure
from flowbook.states import FINISHED, AtomState, FlowState
from flowbook.views.endings import Ending, Failed, ending_of

RESULTS_SHOWN: Final = 50
FAILURES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Hints:
    """What commands need to find the run again: its storage, if it was named, and its source."""

    run_id: str
    backend: str  # nothing when the default or the environment names it
    allow: str
    keeps: str  # the storage, secrets hidden, or nothing when it ends with the process

    def command(self, verb: str, *options: str, allow: bool = False) -> str:
        """Return a command line to copy."""
        words = ["flowbook", verb, self.run_id, *options]
        words += ["--backend", self.backend] if self.backend else []
        words += ["--allow", self.allow] if allow and self.allow else []
        return shlex.join(words)


def work(engine: Engine, session: Session, hints: Hints, *, how: str) -> Exit:
    """Run the engine and tell of it; return the exit code. Raises what is no task's failure."""
    tally = _tally(engine)
    display = display_for(how, tally)
    resume = hints.command("resume", allow=True)
    last_words = f"stopped at once; what was saved is safe\n  resume: {resume}" if hints.keeps else "stopped at once"
    quiet = choose(how) == "quiet"
    engine.notifier.register(FlowState.RUNNING, lambda notice: display.entered())
    engine.atom_notifier.register(ANY, display.hear)
    try:
        with _shown(display, session), Interrupts(engine, display, last_words):
            for _ in engine.run_iter():
                pass
            display.entered()  # where it was finished before, it has not been RUNNING
    except KeyboardInterrupt:
        write(last_words, err=True)
        return Exit.INTERRUPTED
    if not quiet or engine.state is not FlowState.SUCCESS:
        _summarise(engine, tally, hints, session)
    if engine.state is FlowState.SUCCESS:
        _tell_results(engine)
    return exit_of_state(engine.state)


def _tally(engine: Engine) -> Tally:
    plan, storage = engine.compilation.plan, engine.storage

    def why(notice: Notice) -> str:
        failure: Failure | None = None
        if notice.state == AtomState.FAILURE:
            failure = storage.get_failures().get(notice.atom)
        elif notice.state == AtomState.REVERT_FAILURE:
            failure = storage.get_revert_failures().get(notice.atom)
        return "" if failure is None else failure_line(failure.type_names[0], failure.exception_str)

    def saved() -> int:
        return engine.resumed.saved if engine.resumed else 0

    def progress(atom: str) -> float | None:
        told = storage.run.metadata.get(plan.index[atom], {}).get("progress")
        return told if isinstance(told, int | float) else None

    return Tally(engine.run_id, plan.flow_name, plan.atom_count, why, saved, progress)


@contextmanager
def _shown(display: Display, session: Session) -> Iterator[None]:
    """Show the display, and through it what else there is to say."""
    before, session.say = session.say, display.say
    display.open()
    try:
        yield
    finally:
        display.close()
        session.say = before


# -- the summary --


def _summarise(engine: Engine, tally: Tally, hints: Hints, session: Session) -> None:
    ending = ending_of(engine, tally.touched)
    if not tally.touched and engine.state in FINISHED and engine.resumed is None:
        write(f"run {ending.run} was finished before; --rerun runs it again", err=True)
    write(_headline(ending, time.time() - tally.began), err=True)
    for failed in ending.failed[:FAILURES_SHOWN]:
        _tell_failure(failed, session)
    if len(ending.failed) > FAILURES_SHOWN:
        write(f"  and {len(ending.failed) - FAILURES_SHOWN} more failures", err=True)
    for name, text in _ways_on(ending, hints):
        write(f"  {name + ':':<8} {text}", err=True)


def _headline(ending: Ending, took_s: float) -> str:
    counts = ", ".join(f"{count} {word}" for word, count in ending.counts.items()) or "no atoms"
    return f"{ending.state}: run {ending.run} of {ending.flow!r}: {counts}; {took_text(took_s)}"


def _tell_failure(failed: Failed, session: Session) -> None:
    what = "revert failed" if failed.reverting else "failed"
    place = f" ({failed.place})" if failed.place else ""
    failure, more = failed.failure, "" if session.verbose else ", -v shows them"
    write(f"  {what}: {failed.atom}{place}: {failure_line(failure.type, failure.message, more)}", err=True)
    if session.verbose:
        write(failure.traceback, err=True, nl=False)


def _ways_on(ending: Ending, hints: Hints) -> Iterator[tuple[str, str]]:
    if not hints.keeps:
        keeps = "--backend sqlite:///runs.db keeps"
        if ending.state is FlowState.SUCCESS:
            yield "results", f"were kept in memory only; {keeps} them"
        else:
            yield "record", f"was kept in memory only, so this run cannot be resumed; {keeps} it"
        return
    yield "results", hints.keeps
    yield "look", hints.command("show")
    if ending.state not in FINISHED:
        yield "resume", hints.command("resume", allow=True)
    elif ending.state is not FlowState.SUCCESS:
        yield "again", hints.command("resume", "--rerun", allow=True)


def _tell_results(engine: Engine) -> None:
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
        write(f"{len(symbols) - RESULTS_SHOWN} more results are left out here", err=True)
