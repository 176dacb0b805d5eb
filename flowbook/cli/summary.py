"""The last words on a run: what became of it, what failed, what took long, and the commands to go on with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowbook.cli.progress import Display, JsonDisplay
from flowbook.cli.session import Session
from flowbook.cli.streams import write
from flowbook.cli.texts import failure_line, took_text
from flowbook.persistence.backend import Backend
from flowbook.states import FINISHED, FlowState
from flowbook.views.endings import Ending, Failed, Timing
from flowbook.views.housekeeping import allowance

FAILURES_SHOWN: Final = 20
PATH_SHOWN: Final = 6
"""How many atoms of a critical path are named: the first ones, and the last."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What commands need to find the run again: its storage, if it was named, and its source.

    ``allow`` is what builds its flow: nothing where that need not be said, None where it was not recorded.
    """

    run_id: str
    backend: str  # nothing when the default or the environment names it
    allow: str | None
    keeps: str  # the storage, secrets hidden, or nothing when it ends with the process

    def command(self, verb: str, *options: str, allow: bool = False) -> str:
        """Return a command line to copy."""
        words = ["flowbook", verb, self.run_id, *options]
        words += ["--backend", self.backend] if self.backend else []
        words += ["--allow", self.allow] if allow and self.allow else []
        return shlex.join(words)

    def resume(self, *options: str) -> str:
        """Return the command line that continues the run, or what to do where nothing recorded builds its flow."""
        if self.allow is None:
            return f"run the program that began it again, with the run id {self.run_id!r}"
        return self.command("resume", *options, allow=True)


def hints_of(backend: Backend, run_id: str, words: str) -> Hints:
    """Return the hints for a recorded run; ``words`` is what ``--backend`` must say. Raises NotFound."""
    return Hints(run_id, words, allowance(backend, run_id), backend.url)


def sum_up(ending: Ending, display: Display, hints: Hints, session: Session) -> None:
    """Tell what became of a run: through a display for programs in an event, else on stderr."""
    if isinstance(display, JsonDisplay):
        display.say_ending(ending.state, headline(ending))
        return
    write(headline(ending), err=True)
    for failed in ending.failed[:FAILURES_SHOWN]:
        _tell_failure(failed, session)
    if len(ending.failed) > FAILURES_SHOWN:
        write(f"  and {len(ending.failed) - FAILURES_SHOWN} more failures", err=True)
    for name, text in (*_times(ending.timing), *_ways_on(ending, hints)):
        write(f"  {name + ':':<8} {text}", err=True)


def headline(ending: Ending) -> str:
    """Return what became of a run in one line."""
    counts = ", ".join(f"{count} {word}" for word, count in ending.counts.items()) or "no atoms"
    retried = f"; {ending.timing.retried} retried" if ending.timing.retried else ""
    return f"{ending.state}: run {ending.run} of {ending.flow!r}: {counts}{retried}; {took_text(ending.took_s)}"


def _tell_failure(failed: Failed, session: Session) -> None:
    what = "revert failed" if failed.reverting else "failed"
    place = f" ({failed.place})" if failed.place else ""
    failure, more = failed.failure, "" if session.verbose else ", -v shows them"
    write(f"  {what}: {failed.atom}{place}: {failure_line(failure.type, failure.message, more)}", err=True)
    if session.verbose:
        write(failure.traceback, err=True, nl=False)


def _times(timing: Timing) -> Iterator[tuple[str, str]]:
    """Yield what took long; of a single atom the headline has told that."""
    if len(timing.slowest) < 2:
        return
    yield "time", f"{took_text(timing.attempts_s)} in attempts"
    names = timing.path if len(timing.path) <= PATH_SHOWN else (*timing.path[: PATH_SHOWN - 1], "...", timing.path[-1])
    yield "longest", f"{took_text(timing.path_s)} by {' > '.join(names)}"
    yield "slowest", ", ".join(f"{name} {took_text(seconds)}" for name, seconds in timing.slowest)


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
        yield "resume", hints.resume()
    elif ending.state is not FlowState.SUCCESS:
        yield "again", hints.resume("--rerun")
