"""Records as text: what JSON would give back as something else is refused."""

from __future__ import annotations

import pytest

from flowbook.exceptions import EncodeError
from flowbook.persistence.changes import Put
from flowbook.persistence.texts import row_of, text_of


@pytest.mark.parametrize(
    "word", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "file \udce9", "\ude00\ud83d", "\N{PILE OF POO}"]
)
def test_words_come_back_as_they_were(word: str) -> None:
    text = text_of(Put("atom", "a", {word: word}), None)
    assert row_of(text.encode().decode(), "memory:", "atom", "a") == {word: word}


def test_two_surrogates_that_json_would_make_one_character_of_are_refused() -> None:
    with pytest.raises(EncodeError, match="two surrogates"):
        text_of(Put("flow", "f", {"id": "\ud83d\ude00"}), None)
