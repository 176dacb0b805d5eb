"""Goals and their table; it imports nothing that takes long, so a process that a tool starts is ready soon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

_MET = {True: "met", False: "**not met**", None: "not measured"}


class NotMeasured(Exception):
    """A side that the goal speaks of was not measured."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A sentence about figures, the bound, and the measured value; ``met`` is None when there is none."""

    says: str
    bound: str
    measured: str
    met: bool | None


def goal(says: str, bound: str, value: Callable[[], tuple[str, bool]]) -> Goal:
    """Return a goal with what ``value`` measured and whether that is within the bound; it may raise NotMeasured."""
    try:
        return Goal(says, bound, *value())
    except NotMeasured as error:
        return Goal(says, bound, f"not measured: {error}", None)


def goals_table(goals: Sequence[Goal]) -> str:
    """Return goals with what was measured."""
    return table(("goal", "bound", "measured", ""), [(g.says, g.bound, g.measured, _MET[g.met]) for g in goals])


def goals_part(goals: Sequence[Goal], facts: Mapping[str, str]) -> str:
    """Return goals with what was measured, and beneath them what it was measured on."""
    return f"{goals_table(goals)}\nMeasured on: {', '.join(f'{what} {is_}' for what, is_ in facts.items())}.\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a csv-table; no text of it has a bar."""
    lines = [" | ".join(row).rstrip() for row in rows]
    return "\n".join([".. csv-table::", "   :delim: |", f"   :header: {' | '.join(header)}", "", *_indented(lines), ""])


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"   {line}" for line in lines]
