"""What the library logs, told to the user: once, whatever the user's own code has set up."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowbook.cli.session import Session
from flowbook.cli.trouble import on_command_line
from flowbook.engines.opening import Resumed

LOG: Final = logging.getLogger("flowbook")


@contextmanager
def logs_told(session: Session) -> Iterator[None]:
    """Have the session say each warning, and that a run was resumed, while the block runs."""
    handler, propagated = _Teller(session), LOG.propagate
    LOG.addHandler(handler)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.propagate = propagated


class _Teller(logging.Handler):
    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Say a record, the first time that it comes."""
        try:
            args = record.args if isinstance(record.args, tuple) else ()
            prefix = "" if any(isinstance(one, Resumed) for one in args) else f"{record.levelname.lower()}: "
            text = f"{prefix}{on_command_line(record.getMessage())}"
            if text not in self._said:
                self._said.add(text)
                self._session.say(text)
        except Exception:  # what is logged must not stop for that
            self.handleError(record)
