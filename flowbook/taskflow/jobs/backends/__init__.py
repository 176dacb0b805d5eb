"""TaskFlow's ``jobs.backends``: importable, but there are no job boards yet."""

from typing import Any, NoReturn

from flowbook.taskflow import exceptions


def fetch(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise exceptions.NotImplementedError("job boards are not offered yet")
