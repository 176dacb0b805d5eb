"""Records that are decoded when they are asked for: what is told of them before is what they say then."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook.exceptions import Damaged
from flowbook.persistence.undecoded import Undecoded, UndecodedLists

TEXTS = {
    "plain": '{"state":"SUCCESS","attempt":1}',
    "second": '{"attempt":1,"state":"FAILURE"}',
    "spaced": '{ "state": "RUNNING" }',
    "escaped": '{"state":"SUCC\\u0045SS"}',
    "odd": '{"state":""}',
    "number": '{"state":5}',
    "none": "{}",
    "twice": '{"state":"SUCCESS","value":"state\\":\\"x"}',
}


def rows(texts: dict[str, Any]) -> Undecoded:
    return Undecoded(texts, "sqlite:///runs.db", "atom")


def test_the_value_of_a_field_is_told_before_rows_are_decoded() -> None:
    kept = rows(TEXTS)
    assert kept.leading("state") == {key: row.get("state") for key, row in kept.items()}
    assert kept.leading("attempt") == {key: row.get("attempt") for key, row in kept.items()}


def test_rows_that_mention_something_are_found() -> None:
    kept = rows({"a": '{"failure":1}', "b": '{"revert_failure":1}', "c": '{"text":"failure"}', "d": "{}", "e": None})
    assert kept.mentioning('failure"') == {"a", "b", "c", "e"}
    assert kept.mentioning('failure":') == {"a", "b", "e"}


@pytest.mark.parametrize("text", ["", "{", "5", None, b"{}", '{"state":"SUCCESS"'])
def test_a_row_that_is_not_readable_stops_who_asks_for_it_alone(text: object) -> None:
    kept = rows({"good": '{"state":"SUCCESS"}', "bad": text})
    assert set(kept) == {"good", "bad"}
    assert len(kept) == 2
    assert kept["good"] == {"state": "SUCCESS"}
    assert kept.get("gone") is None
    with pytest.raises(Damaged, match="atom 'bad'"):
        kept["bad"]


def test_a_row_is_decoded_once() -> None:
    kept = rows({"a": '{"state":"SUCCESS"}'})
    assert kept["a"] is kept["a"]


def test_lists_are_decoded_in_order() -> None:
    kept = UndecodedLists({"a": ['{"n":1}', '{"n":2}'], "b": ["{"]}, "sqlite:///runs.db", "attempt")
    assert set(kept) == {"a", "b"}
    assert len(kept) == 2
    assert "b" in kept
    assert "c" not in kept
    assert kept["a"] == [{"n": 1}, {"n": 2}]
    with pytest.raises(Damaged, match="attempt 'b'"):
        kept["b"]
