"""Records as text: what JSON would give back as something else is refused."""

from __future__ import annotations

import json

import pytest

from flowbook.exceptions import EncodeError
from flowbook.persistence.changes import Put
from flowbook.persistence.texts import row_of, rows_of, text_of


@pytest.mark.parametrize(
    "word", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "file \udce9", "\ude00\ud83d", "\N{PILE OF POO}"]
)
def test_words_come_back_as_they_were(word: str) -> None:
    text = text_of(Put("atom", "a", {word: word}), None)
    assert row_of(text.encode().decode(), "memory:", "atom", "a") == {word: word}


def test_two_surrogates_that_json_would_make_one_character_of_are_refused() -> None:
    with pytest.raises(EncodeError, match="two surrogates"):
        text_of(Put("flow", "f", {"id": "\ud83d\ude00"}), None)


def test_many_texts_are_read_as_each_of_them_alone() -> None:
    texts = [f'{{"state":"SUCCESS","attempt":{number}}}' for number in range(2500)]
    assert list(rows_of(texts)) == [row_of(text, "memory:", "atom", "a") for text in texts]
    assert list(rows_of([])) == []


@pytest.mark.parametrize("text", ["", "{", "1", '{"a":1', '{"a":1},{"b":2}', "[]", "{}]", "{},", ",{}", "[" * 100_000])
def test_texts_are_left_to_be_read_one_by_one_where_one_of_them_is_no_record(text: str) -> None:
    rows = list(rows_of(['{"a":1}', text, '{"b":2}']))
    assert rows == [None, None, None]


def test_only_those_are_left_that_were_to_be_read_with_the_broken_one() -> None:
    texts = ["{}"] * 3000
    texts[1500] = "{"
    rows = list(rows_of(texts))
    assert len(rows) == len(texts)
    assert rows[0] == rows[999] == rows[2000] == rows[2999] == {}
    assert rows[1500] is None


def test_large_texts_are_not_copied_together() -> None:
    large = f'{{"value":"{"x" * 3_000_000}"}}'
    assert list(rows_of([large, large])) == [None, None]


def test_a_row_is_written_as_json_would_write_it() -> None:
    row = {"0": 0.0, "-0": -0.0, "inf": float("inf"), "no": None, "yes": True, "100 %s": 1, '"': [1.5, {"é": "\n"}]}
    for _ in range(2):  # what was written once is remembered
        assert text_of(Put("atom", "a", row), None) == json.dumps(row, ensure_ascii=False, separators=(",", ":"))
