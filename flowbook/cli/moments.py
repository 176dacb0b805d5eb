"""Moments as people give them: a date, a time, or how long ago."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Final

import click

_AGO: Final = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[smhdw])")
_DAY: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class NoMoment(click.BadParameter):
    """What was given as a time is none."""

    why = "it is neither a date nor a time nor a length of time"
    hint = "give a date (2026-05-31), a time (2026-05-31T12:30), or how long ago (90s, 30m, 2h, 3d, 1w)"

    def __init__(self, word: str, param: click.Parameter, ctx: click.Context) -> None:
        super().__init__(f"{word!r} is no time", ctx, param)


def beginning(context: click.Context, parameter: click.Parameter, word: str | None) -> float | None:
    """Return the moment that an option means, in seconds since the epoch; of a day its beginning. Raises NoMoment.

    It is ISO 8601 (where that has no zone, of this machine's), or as long ago as ``2h``; None stays None.
    """
    return None if word is None else _moment(context, parameter, word, timedelta())


def end(context: click.Context, parameter: click.Parameter, word: str | None) -> float | None:
    """Return the same as `beginning`, but of a day its end."""
    return None if word is None else _moment(context, parameter, word, timedelta(days=1, microseconds=-1))


def _moment(context: click.Context, parameter: click.Parameter, word: str, of_day: timedelta) -> float:
    if ago := _AGO.fullmatch(word):
        return time.time() - float(ago["count"]) * _UNITS_S[ago["unit"]]
    try:
        moment = datetime.fromisoformat(word)
        return (moment + of_day if _DAY.fullmatch(word) else moment).timestamp()
    except (ValueError, OverflowError, OSError):
        raise NoMoment(word, parameter, context) from None
