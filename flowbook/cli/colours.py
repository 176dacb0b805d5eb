"""Colours for single words; they go away where stdout or stderr is no terminal, and with NO_COLOR."""

from __future__ import annotations

import os
from typing import Any

import click


def styled(text: str, **style: Any) -> str:  # what click.style takes
    """Return a text in a style, such as ``fg="red"`` or ``bold=True``; as it is with NO_COLOR or TERM=dumb."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, **style)
