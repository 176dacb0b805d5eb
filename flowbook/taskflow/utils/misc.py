"""TaskFlow's ``misc``, as far as programs outside of TaskFlow call it."""

from typing import Any


def as_int(obj: Any) -> int:  # whatever it is given
    """Return the whole part of a number, or of a text that says one. Raises TypeError for anything else."""
    for convert in (int, float):
        try:
            return int(convert(obj))
        except (ValueError, TypeError):
            continue
    raise TypeError(f"{obj!r} is no number")
