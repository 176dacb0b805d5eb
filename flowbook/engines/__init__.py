"""Engines run flows from their logbook: `load` one, `run` a flow at once, or `resume` what stopped."""

from __future__ import annotations

from flowbook.engines.engine import Engine
from flowbook.engines.registry import load, load_from_factory, load_from_run, resume, run

__all__ = ["Engine", "load", "load_from_factory", "load_from_run", "resume", "run"]
