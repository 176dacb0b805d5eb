"""TaskFlow's ``eventlet_utils``: is eventlet installed?"""

from importlib.util import find_spec

EVENTLET_AVAILABLE = find_spec("eventlet") is not None


def check_for_eventlet(exc: Exception | None = None) -> None:
    """Raise ``exc``, or else a RuntimeError, where eventlet is not installed."""
    if not EVENTLET_AVAILABLE:
        raise RuntimeError("eventlet is not installed") if exc is None else exc
