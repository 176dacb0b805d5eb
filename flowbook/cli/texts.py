"""Times and values in a few characters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from flowbook.secrets.masking import masked

VALUE_MAX: Final = 200


def took_text(seconds: float) -> str:
    """Return a duration: ``0.21 s``, ``43.2 s``, ``12:05``, ``3:12:05``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 60 else clock_text(seconds)


def clock_text(seconds: float) -> str:
    """Return a running clock: ``0:43``, ``12:05``, ``3:12:05``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_text(at: float) -> str:
    """Return a moment in the time zone of this machine, to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_time_text(at: float) -> str:
    """Return a moment of this year to the minute, of another year to the day."""
    moment = datetime.fromtimestamp(at).astimezone()
    return moment.strftime("%m-%d %H:%M" if moment.year == datetime.now().astimezone().year else "%Y-%m-%d")


def value_text(value: object) -> str:
    """Return a value as one line of at most `VALUE_MAX` characters, whatever its ``__repr__`` does; secrets masked."""
    try:
        text = repr(value)
    except Exception as error:  # it is the user's code
        text = f"<no repr: it raised {type(error).__name__}>"
    return cut_text(masked(text))


def cut_text(text: str) -> str:
    """Return a text of at most `VALUE_MAX` characters; of a longer one the beginning, and how long it is."""
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}... ({len(text)} characters)"


def notes_text(notes: Mapping[str, object]) -> str:
    """Return what an atom noted, in one line: ``url=http://example.org, bytes=4096``."""
    told = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in notes.items())
    return cut_text(", ".join(f"{name}={value}" for name, value in told))


def failure_line(kind: str, message: str, where_more: str = "") -> str:
    """Return a failure's type and the first line of its message, whole: ``ValueError: bad (+2 lines)``."""
    lines = message.strip().splitlines()
    if not lines:
        return kind
    count = len(lines) - 1
    more = f" (+{count} line{'' if count == 1 else 's'}{where_more})" if count else ""
    return f"{kind}: {lines[0]}{more}"
