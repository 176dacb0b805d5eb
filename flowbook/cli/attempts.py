"""One atom in full, as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from flowbook.cli.streams import write
from flowbook.cli.tables import STATE_STYLES, Column, Grid, print_table, within_limit
from flowbook.cli.texts import cut_text, failure_line, notes_text, time_text, took_text
from flowbook.states import AtomState
from flowbook.views.atoms import AtomReport, AttemptView, RoundView

_ATTEMPTS: Final = (
    Column("round", right=True),
    Column("attempt", right=True),
    Column("direction"),
    Column("outcome", styles=STATE_STYLES),
    Column("took", right=True),
    Column("started"),
    Column("ended"),
    Column("owner", least=8),
)
_ROUNDS: Final = (Column("round", right=True), Column("gave", least=12), Column("what failed", least=20))


def print_atom(report: AtomReport) -> None:
    """Print what is known of an atom: its header, why it does not run, its attempts, rounds and failures."""
    for name, text in _header(report):
        write(f"{name + ':':<9} {text}")
    for reason in report.why_not:
        write(f"{'why not:':<9} {reason}")
    if report.attempts:
        write()
        print_table([Grid(_ATTEMPTS, list(map(_attempt, within_limit(report.attempts))))])
    if report.rounds:
        write()
        rounds = list(enumerate(report.rounds))
        print_table([Grid(_ROUNDS, [_round(number, one) for number, one in within_limit(rounds)])])
    for what, failure in (("failed", report.atom.failure), ("revert failed", report.atom.revert_failure)):
        if failure is not None:
            write(f"\n{what}: {failure}")
            write(failure.traceback, nl=False)


def _header(report: AtomReport) -> Iterator[tuple[str, str]]:
    atom = report.atom
    yield "atom", atom.name
    yield "run", f"{report.run} ({report.run_state})"
    yield "kind", atom.kind
    yield "state", atom.state
    if atom.place:
        yield "place", atom.place
    if atom.round:
        yield "round", str(atom.round)
    if report.requires:
        yield "takes", ", ".join(map(_taken, report.requires.items()))
    if atom.provides:
        yield "gives", ", ".join(atom.provides)
    if atom.progress is not None:
        yield "progress", f"{atom.progress:.0%}"
    if atom.next_try_at is not None:
        yield "next try", f"at {time_text(atom.next_try_at)}"
    if atom.notes:
        yield "notes", notes_text(atom.notes)
    if atom.state == AtomState.SUCCESS:
        yield "result", _json_text(atom.result)


def _taken(required: tuple[str, tuple[str, ...]]) -> str:
    symbol, sources = required
    return f"{symbol} (from {' or '.join(sources)})" if sources else symbol


def _json_text(value: Any) -> str:  # JSON
    return cut_text(json.dumps(value, ensure_ascii=False))


def _attempt(attempt: AttemptView) -> list[str]:
    """Return the cells of an attempt."""
    return [
        str(attempt.round),
        str(attempt.attempt),
        attempt.direction,
        attempt.outcome,
        "" if attempt.duration_s is None else took_text(attempt.duration_s),
        time_text(attempt.started_at),
        "" if attempt.ended_at is None else time_text(attempt.ended_at),
        attempt.owner,
    ]


def _round(number: int, one: RoundView) -> list[str]:
    failures = (f"{atom}: {failure_line(why.type, why.message)}" for atom, why in one.failures.items())
    return [str(number), _json_text(one.given), "; ".join(failures)]
