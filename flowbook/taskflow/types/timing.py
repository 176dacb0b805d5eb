"""TaskFlow's ``types.timing``: a pause that can be cut short."""

from collections.abc import Callable
from functools import partial
from threading import Event


class Timeout:
    """So many seconds to `wait`, unless `interrupt` comes first, which holds until `reset`; ValueError below 0."""

    def __init__(self, value: float) -> None:
        if value < 0:
            raise ValueError(f"nobody can wait {value} seconds")
        self.value = value
        event = Event()
        self.interrupt, self.is_stopped, self.reset = event.set, event.is_set, event.clear
        self.wait: Callable[[], object] = partial(event.wait, value)


def convert_to_timeout(value: float | str | Timeout) -> Timeout:
    """Return a Timeout of so many seconds, or the one that was given. Raises ValueError for anything else."""
    if isinstance(value, Timeout):
        return value
    if not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no number of seconds")
    return Timeout(float(value))
