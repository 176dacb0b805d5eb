"""Listeners: what is told of a run while it goes on, logged, printed, timed, captured or handed on as progress."""

from __future__ import annotations

from flowbook.listeners.base import Listener
from flowbook.listeners.capturing import CaptureListener
from flowbook.listeners.logging import DynamicLoggingListener, LoggingListener
from flowbook.listeners.printing import PrintingListener
from flowbook.listeners.progress import ProgressListener
from flowbook.listeners.timing import Duration, DurationListener

__all__ = [
    "CaptureListener",
    "Duration",
    "DurationListener",
    "DynamicLoggingListener",
    "Listener",
    "LoggingListener",
    "PrintingListener",
    "ProgressListener",
]
