"""TaskFlow's ``threading_utils``, as far as programs outside of TaskFlow call it."""

from collections.abc import Callable
from threading import Thread
from threading import get_ident as get_ident
from typing import Any


def daemon_thread(target: Callable[..., Any], *args: Any, **kwargs: Any) -> Thread:
    """Return a thread, not started, that calls ``target`` and does not keep the program from ending."""
    return Thread(target=target, args=args, kwargs=kwargs, daemon=True)
