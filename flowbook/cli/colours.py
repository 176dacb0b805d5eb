"""Colours for single words; they go away where stdout or stderr is no terminal, and with NO_COLOR."""

from __future__ import annotations

import os
from typing import Any

import click


def styled(text: str, **style: Any) -> str:  # what click.style takes
    """Return a text in a style, such as ``fg="red"`` or ``bold=True``; as it is when NO_COLOR is set."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)
