"""Texts in pictures: in one line, whatever is in them, cut where there is no room, and as wide as they will be."""

from __future__ import annotations

from typing import Final
from unicodedata import combining, east_asian_width

ELLIPSIS: Final = "…"
_LEVELS_INDENTED: Final = 16


def one_line(text: str) -> str:
    """Return a text with all that is not printed (ends of lines too) as it is written in Python."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def cells(text: str) -> int:
    """Return how many columns of equal width a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)


def shortened(text: str, room: int, ellipsis: str = ELLIPSIS) -> str:
    """Return a text in one line, cut with an ellipsis when it takes more than ``room`` columns."""
    text = one_line(text)
    if cells(text) <= room:
        return text
    kept, left = "", room - len(ellipsis)
    for char in text:
        left -= cells(char)
        if left < 0:
            break
        kept += char
    return kept + ellipsis


def indented(level: int, line: str) -> str:
    """Return a line of a language of nested blocks; deep ones are indented no further, so that no line is long."""
    return "  " * min(level, _LEVELS_INDENTED) + line


def counts_text(counts: tuple[tuple[str, int], ...]) -> str:
    """Return numbers of atoms in words: ``970 SUCCESS 30 FAILURE``."""
    return " ".join(f"{count} {state or 'atoms'}" for state, count in counts)
