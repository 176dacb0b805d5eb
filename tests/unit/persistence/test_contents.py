"""Changes as text and back, and the records that they leave behind."""

from __future__ import annotations

import json

import pytest

from flowbook.exceptions import EncodeError
from flowbook.persistence.changes import Append, Delete, Put
from flowbook.persistence.contents import Contents, changes_in, changes_text


def test_changes_come_back_from_their_text() -> None:
    changes = [Put("atom", "é\n", {"n": 1}), Append("try", 'a"', {}), Delete("atom", "b")]
    assert changes_in(json.loads(changes_text(changes, None))) == [
        ["put", "atom", "é\n", {"n": 1}],
        ["append", "try", 'a"', {}],
        ["delete", "atom", "b"],
    ]


def test_what_is_written_anew_leaves_the_same_records_the_flow_first() -> None:
    contents, again = Contents(), Contents()
    contents.take([["put", "atom", "a", {"n": 1.5}], ["append", "try", "a", {"é": None}], ["put", "flow", "f", {}]])
    texts = list(contents.texts())
    again.take(changes_in(json.loads(f"[{','.join(texts)}]")))
    assert (again.rows, again.appended) == (contents.rows, contents.appended)
    assert texts[0] == '["put","flow","f",{}]'


def test_records_are_what_all_changes_leave_behind() -> None:
    contents = Contents()
    contents.take([["put", "atom", "a", {"x": 1}], ["put", "atom", "b", {}], ["append", "attempt", "a", {"n": 1}]])
    contents.take([["append", "attempt", "a", {"n": 2}], ["put", "atom", "a", {"x": 2}], ["delete", "atom", "b"]])
    contents.take([["delete", "request", "7"], ["put", "flow", "f", {}]])
    assert contents.rows == {"atom": {"a": {"x": 2}}, "flow": {"f": {}}}
    assert contents.appended == {"attempt": {"a": [{"n": 1}, {"n": 2}]}}
    assert contents.answered == {"7"}


@pytest.mark.parametrize(
    "found",
    [None, {}, [1], [[]], [["put", "k", "n"]], [["put", 1, "n", {}]], [["get", "k", "n"]], [[[], "k", "n"]]],
)
def test_what_says_no_changes_is_refused(found: object) -> None:
    with pytest.raises(ValueError, match="no changes"):
        changes_in(found)


def test_a_name_that_json_would_change_is_refused() -> None:
    with pytest.raises(EncodeError):
        changes_text([Put("atom", "\ud83d\udca9", {})], None)
