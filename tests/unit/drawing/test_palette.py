"""Every state has a sign, a word and colours that can be read, by day and by night."""

from __future__ import annotations

import pytest

from flowbook.drawing.palette import (
    BOX,
    BOX_DARK,
    LOOKS,
    NO_STATE,
    PAPER,
    PAPER_DARK,
    Colours,
    Look,
    leading,
    look_of,
    state_text,
)
from flowbook.states import AtomState

ALL_LOOKS = {**LOOKS, "": NO_STATE}


def _brightness(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``. Source: WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_brightness(one), _brightness(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_black_on_white_has_the_greatest_contrast() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)


def test_every_state_of_an_atom_has_a_look() -> None:
    assert set(LOOKS) == {state.value for state in AtomState}


def test_no_two_states_share_a_sign_or_the_whole_of_their_frame() -> None:
    assert len({look.sign for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.plain for look in LOOKS.values()}) == len(LOOKS)
    assert all(look.plain.isascii() for look in LOOKS.values())
    frames = {(look.light.line, look.dashes, look.width) for look in LOOKS.values()}
    assert len(frames) == len(LOOKS)


@pytest.mark.parametrize("look", ALL_LOOKS.values(), ids=ALL_LOOKS)
def test_text_and_frames_of_a_state_can_be_told_from_what_is_behind_them(look: Look) -> None:
    for colours, behind in ((look.light, (PAPER, BOX)), (look.dark, (PAPER_DARK, BOX_DARK))):
        assert _contrast(colours.ink, colours.fill) >= 4.5
        assert _contrast(colours.line, colours.fill) >= 3
        assert all(_contrast(colours.line, one.fill) >= 3 for one in behind)


@pytest.mark.parametrize(("paper", "box"), [(PAPER, BOX), (PAPER_DARK, BOX_DARK)], ids=["day", "night"])
def test_what_is_no_state_can_be_read_too(paper: Colours, box: Colours) -> None:
    assert min(_contrast(paper.ink, paper.fill), _contrast(box.ink, box.fill)) >= 4.5
    assert min(_contrast(paper.line, paper.fill), _contrast(paper.line, box.fill)) >= 3
    assert min(_contrast(box.line, paper.fill), _contrast(box.line, box.fill)) >= 3


def test_a_state_is_told_by_a_sign_and_a_word() -> None:
    assert state_text("FAILURE") == "✗ FAILURE"
    assert state_text("FAILURE", plain=True) == "x FAILURE"
    assert state_text("LATER") == "LATER"
    assert state_text(None) == ""
    assert look_of("LATER") == NO_STATE


def test_of_several_states_the_most_urgent_one_leads() -> None:
    assert leading((("SUCCESS", 970), ("FAILURE", 30))) == "FAILURE"
    assert leading((("SUCCESS", 970), ("PENDING", 1))) == "PENDING"
    assert leading((("", 5),)) is None
