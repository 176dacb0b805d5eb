"""How states look: a sign, a word and a colour each, so that the colour is never needed.

Every ink on its fill has a contrast of at least 4.5 to 1, every line of at least 3 to 1 (WCAG 2.2, level AA).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Colours(NamedTuple):
    """The colours of one thing: what fills it, the line around it, and the text on it."""

    fill: str
    line: str
    ink: str


class Look(NamedTuple):
    """How a state is shown: a sign, one for terminals without Unicode, colours by day and by night, and its frame.

    ``dashes`` and ``width`` are those of the line around a node in that state.
    """

    sign: str
    plain: str
    light: Colours
    dark: Colours
    dashes: str = ""
    width: float = 1.5


PAPER: Final = Colours("#ffffff", "#6b7280", "#1f2328")
"""What is behind all by day; the line is that of edges and frames."""

PAPER_DARK: Final = Colours("#14171c", "#8b949e", "#e6edf3")

BOX: Final = Colours("#f6f8fa", "#818b98", "#3d444d")
BOX_DARK: Final = Colours("#1c2128", "#6e7681", "#c3cbd4")

_GREY = (Colours("#ffffff", "#6b7280", "#3d444d"), Colours("#22272e", "#8b949e", "#d1d7e0"))

NO_STATE: Final = Look("", "", *_GREY)
"""How a node looks whose state is not known."""

_GREEN = (Colours("#dafbe1", "#1a7f37", "#0b4f20"), Colours("#12351f", "#3fb950", "#aff5b4"))
_RED = (Colours("#ffebe9", "#cf222e", "#86061d"), Colours("#471a1c", "#f85149", "#ffd0cb"))
_BLUE = (Colours("#ddf4ff", "#0969da", "#0a3069"), Colours("#10294a", "#58a6ff", "#cae8ff"))
_YELLOW = (Colours("#fff4d1", "#9a6700", "#5c3d00"), Colours("#3d2c05", "#d29922", "#f8e3a1"))
_PURPLE = (Colours("#f3e8ff", "#8250df", "#4c1f99"), Colours("#2f1e4f", "#bc8cff", "#e2d0ff"))

LOOKS: Final[Mapping[str, Look]] = {
    "PENDING": Look("○", ".", *_GREY, dashes="2 3"),
    "RUNNING": Look("▶", ">", *_BLUE, width=2.5),
    "SUCCESS": Look("✓", "+", *_GREEN),
    "FAILURE": Look("✗", "x", *_RED, width=2.5),
    "REVERTING": Look("◀", "<", *_YELLOW, width=2.5),
    "REVERTED": Look("↶", "-", *_YELLOW),
    "REVERT_FAILURE": Look("‼", "!", *_RED, dashes="10 3", width=2.5),
    "RETRYING": Look("↻", "@", *_PURPLE, width=2.5),
    "IGNORE": Look("⊘", "/", *_GREY, dashes="8 4"),
}
"""How each state of an atom looks."""

_MOST_URGENT_FIRST: Final = (
    "REVERT_FAILURE",
    "FAILURE",
    "RUNNING",
    "REVERTING",
    "RETRYING",
    "REVERTED",
    "PENDING",
    "SUCCESS",
    "IGNORE",
)


def look_of(state: str | None) -> Look:
    """Return how a state looks; one that is not known looks like none."""
    return LOOKS.get(state or "", NO_STATE)


def leading(counts: tuple[tuple[str, int], ...]) -> str | None:
    """Return the state that tells most about several atoms: what failed, then what goes on, then what is left."""
    present = {state for state, count in counts if count}
    return next((state for state in _MOST_URGENT_FIRST if state in present), None)


def state_text(state: str | None, *, plain: bool = False) -> str:
    """Return the sign and the word of a state, or nothing for none."""
    if not state:
        return ""
    look = look_of(state)
    sign = look.plain if plain else look.sign
    return f"{sign} {state}" if sign else state
