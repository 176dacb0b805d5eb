"""Engines run flows from their logbook: `load` one, `run` a flow at once, `suspend` it, or `resume` what stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowbook.lazy import offering

if TYPE_CHECKING:
    from flowbook.engines.engine import Engine
    from flowbook.engines.registry import arun, cancel, load, load_from_factory, load_from_run, resume, run, suspend
    from flowbook.engines.waiting import wait_and_resume

__all__ = [
    "Engine",
    "arun",
    "cancel",
    "load",
    "load_from_factory",
    "load_from_run",
    "resume",
    "run",
    "suspend",
    "wait_and_resume",
]

if not TYPE_CHECKING:
    __getattr__ = offering(
        __name__,
        {
            "flowbook.engines.engine": ("Engine",),
            "flowbook.engines.registry": (
                *("arun", "cancel", "load", "load_from_factory", "load_from_run"),
                *("resume", "run", "suspend"),
            ),
            "flowbook.engines.waiting": ("wait_and_resume",),
        },
    )
