"""Lines carry checksums and are bound to those before them; a journal is read whole, or damaged is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbook.exceptions import Damaged, NewerSchema
from flowbook.persistence.contents import Contents
from flowbook.persistence.directory.journal import Base, Header, Reader, commit_document, lease_document
from flowbook.persistence.directory.lines import BrokenLine, Line, framed, is_room, is_torn, line_from, lines_in
from flowbook.testing.backend_samples import stranger

documents = st.lists(
    st.dictionaries(st.text("abc", min_size=1), st.text(max_size=40) | st.just("\0" * 600) | st.integers(), min_size=1),
    min_size=1,
    max_size=5,
)


def file_of(documents: Sequence[Any]) -> bytes:
    """Return lines that say this, each bound to the one before."""
    lines, crc = [], 0
    for document in documents:
        line, crc = framed(json.dumps(document, separators=(",", ":")), crc)
        lines.append(line)
    return b"".join(lines)


def read(data: bytes) -> list[dict[str, Any]]:
    return [line.document() for line in lines_in(data)]


def test_a_line_says_its_checksum_and_its_size() -> None:
    line, crc = framed('{"a":1}', 0)
    assert line == b'{"crc":"%08x","size":6,"a":1}\n' % crc
    assert list(lines_in(line)) == [Line(len(line), crc, b'"a":1}')]


@given(documents)
def test_lines_come_back_as_they_were_written(documents: list[dict[str, Any]]) -> None:
    assert read(file_of(documents)) == documents


@given(documents, st.data())
def test_a_file_that_was_cut_is_read_up_to_there(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = file_of(documents)
    cut = data.draw(st.integers(0, len(whole)))
    found = read(whole[:cut])
    assert found == documents[: len(found)]
    assert len(found) == whole[:cut].count(b"\n")


@given(documents, st.data())
def test_an_altered_bit_is_found(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = bytearray(file_of(documents))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BrokenLine):
        read(bytes(whole))


@given(documents, documents, st.data())
def test_a_line_belongs_to_those_before_it(
    one: list[dict[str, Any]], other: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines = file_of([*one, *one, *other]).splitlines(keepends=True)
    at, to = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    moved = [*lines[:at], *lines[at + 1 :]]
    moved.insert(to, lines[at])
    whole = b"".join(lines)
    if b"".join(moved) == whole:
        assert len(read(whole)) == len(lines)
        return
    with pytest.raises(BrokenLine):
        read(b"".join(moved))


def test_the_tail_of_zeros_that_a_power_cut_leaves_is_torn() -> None:
    whole = file_of([{"a": 1}])
    assert read(whole + bytes(5000)) == [{"a": 1}]
    assert is_torn(bytes(7), len(whole), 0)


def test_a_last_line_of_which_a_sector_was_never_written_is_torn() -> None:
    first, second = {"a": 1}, {"b": "x" * 3000}
    whole = bytearray(file_of([first, second]))
    whole[1024:1536] = bytes(512)
    assert read(bytes(whole)) == [first]


def test_such_a_line_in_the_middle_is_broken() -> None:
    whole = bytearray(file_of([{"a": 1}, {"b": "x" * 3000}, {"c": 1}]))
    whole[1024:1536] = bytes(512)
    with pytest.raises(BrokenLine) as raised:
        read(bytes(whole))
    assert str(raised.value.at) in str(raised.value)


rooms = st.integers(0, 3000).map(lambda size: b"\n" * size)


@given(documents, rooms)
def test_room_behind_the_last_line_says_nothing(documents: list[dict[str, Any]], room: bytes) -> None:
    assert read(file_of(documents) + room) == documents
    assert is_room(room)


@given(documents, st.data())
def test_a_line_that_was_begun_in_room_is_torn_wherever_it_ends(
    documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole, room = file_of(documents), data.draw(rooms)
    start = sum(map(len, whole.splitlines(keepends=True)[:-1]))
    end = data.draw(st.integers(start, len(whole) - 2))
    assert read(whole[:end] + room) == documents[:-1]


@given(documents, st.data())
def test_a_line_of_which_sectors_are_still_room_is_torn(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = file_of([*documents, {"b": "x" * 3000}])
    start = len(file_of(documents))
    sectors = [(at, min(at + 512, len(whole) - 1)) for at in range(start - start % 512, len(whole) - 1, 512)]
    altered = bytearray(whole + data.draw(rooms))
    for at, end in data.draw(st.sets(st.sampled_from(sectors), min_size=1)):
        altered[max(at, start) : end] = b"\n" * (end - max(at, start))
    assert read(bytes(altered)) == documents


@given(documents, st.data())
def test_an_altered_bit_is_found_before_room(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = bytearray(file_of(documents) + b"\n" * 600)
    whole[data.draw(st.integers(0, len(whole) - 601))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BrokenLine):
        read(bytes(whole))


@given(documents, st.data())
def test_an_altered_bit_in_room_is_found_or_does_no_harm(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = file_of(documents)
    whole = bytearray(lines + b"\n" * 2000)
    whole[data.draw(st.integers(len(lines), len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(BrokenLine):
        assert read(bytes(whole)) == documents


@given(documents, st.data())
def test_the_line_from_a_place_is_the_one_that_is_read_there(
    documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    whole = file_of(documents)
    ends = [line.end for line in lines_in(whole)]
    start = data.draw(st.sampled_from([0, *ends[:-1]]))
    assert line_from(whole, start) == next(line for line in lines_in(whole) if line.end > start)
    torn = whole[: data.draw(st.integers(ends[-2] if len(ends) > 1 else 0, len(whole) - 1))]
    assert line_from(torn, ends[-2] if len(ends) > 1 else 0) is None


def test_a_line_of_which_a_sector_was_written_in_part_is_torn() -> None:
    whole = bytearray(file_of([{"a": 1}, {"b": "x" * 3000}]))
    whole[1900:2048] = b"\n" * 148
    assert read(bytes(whole)) == [{"a": 1}]


def test_an_altered_line_that_ends_with_its_sector_is_broken() -> None:
    first = {"a": "x" * (512 - len(file_of([{"a": "x" * 400}])) + 400)}
    whole = bytearray(file_of([first, {"b": 1}]))
    assert whole[511:513] == b"\n{"
    whole[100] ^= 1
    with pytest.raises(BrokenLine):
        read(bytes(whole))


def test_a_place_in_a_torn_tail_of_which_the_beginning_is_room_has_no_line() -> None:
    whole = bytearray(file_of([{"a": 1}, {"b": "x" * 3000}]) + b"\n" * 500)
    start = len(file_of([{"a": 1}]))
    whole[start:1024] = b"\n" * (1024 - start)
    assert line_from(bytes(whole), 1024) is None


# -- journals --

HEADER = Header("flow:f", 3, stranger(), 1.0, 31.0)
SNAPSHOT = Header("flow:f", 3, None, 1.0, 1.0)
BEGINNING = Base(None, 0, 0)


def commit(seq: int | None, *changes: list[Any]) -> dict[str, Any]:
    return {"changes": list(changes)} if seq is None else {"seq": seq, "changes": list(changes)}


def journal(*documents: Any, header: Header = HEADER, base: Base | None = BEGINNING) -> bytes:
    first = [json.loads(header.document()), *([] if base is None else [json.loads(base.document())])]
    return file_of([*first, *documents])


def reader(key: str | None = "flow:f") -> Reader:
    return Reader("/runs/flow/f", key)


PUT, DELETE = ["put", "atom", "a", {"x": 1}], ["delete", "atom", "a"]


def changes_of(data: bytes, name: str) -> list[list[Any]]:
    """Return all changes in a journal of epoch 3."""
    _, lines = reader().journal(data, name, 3)
    return list(reader().changes(lines, name))


def test_a_journal_says_whose_it_is_and_how_far_it_has_come() -> None:
    data = journal(commit(1, PUT), commit(None, PUT), json.loads(lease_document(70.0)), commit(2, DELETE))
    found, lines = reader().journal(data, "epoch", 3)
    assert (found.header, found.base, found.seq, found.lease_until) == (HEADER, BEGINNING, 2, 70.0)
    assert (found.end, len(lines)) == (len(data), 4)
    assert list(reader().changes(lines, "epoch")) == [PUT, PUT, DELETE]


def test_a_claim_that_was_never_finished_has_no_base() -> None:
    found, lines = reader().journal(journal(base=None), "epoch", 3)
    assert (found.base, lines) == (None, [])


def test_a_snapshot_has_as_many_records_as_it_says() -> None:
    data = journal(commit(None, PUT), commit(None, PUT), header=SNAPSHOT, base=Base(None, 0, 2))
    assert len(reader().journal(data, "epoch", 3)[1]) == 2
    lines = data.splitlines(keepends=True)
    for count in range(4):
        with pytest.raises(Damaged):
            reader().journal(b"".join(lines[:count]), "epoch", 3)
        with pytest.raises(Damaged):
            reader().journal(b"".join(lines[:count]) + lines[count][:-1], "epoch", 3)


@pytest.mark.parametrize(
    "documents",
    [
        [commit(2)],
        [commit(1), commit(1)],
        [commit(1), commit(3)],
        [commit(-1)],
        [{"seq": "1", "changes": []}],
        [{"seq": 1}],
        [{"seq": 1, "changes": None}],
        [{"seq": 1, "changes": 5}],
        [{"seq": 1, "changes": ""}],
        [{"seq": 1, "changes": {}}],
        [{"changes": [5]}],
        [commit(1, ["put", "atom", "a"])],
        [commit(1, ["put", "atom", "a", 5])],
        [commit(1, ["put", "atom", 5, {}])],
        [commit(1, ["delete", "atom", "a", {}])],
        [commit(1, ["drop", "atom", "a"])],
        [commit(1, [["put"], "atom", "a"])],
        [{"lease_until": "soon"}],
        [{"lease_until": None}],
        [{"lease_until": True}],
        [{"else": 1}],
        [[]],
        [5],
    ],
    ids=str,
)
def test_a_line_of_the_wrong_shape_is_damage_that_names_the_file(documents: list[Any]) -> None:
    with pytest.raises(Damaged) as raised:
        changes_of(journal(*documents), "epoch-000003.jsonl")
    assert raised.value.where == "/runs/flow/f/epoch-000003.jsonl"
    assert raised.value.why


@pytest.mark.parametrize(
    "change",
    [
        {"format": True},
        {"format": 1.0},
        {"format": 0},
        {"format": None},
        {"key": "flow:g"},
        {"key": None},
        {"epoch": 2},
        {"epoch": True},
        {"epoch": "3"},
        {"owner": 0},
        {"owner": []},
        {"owner": {"host": "h"}},
        {"since": None},
        {"since": "x"},
        {"since": 10**400},
        {"since": float("nan")},
        {"since": float("inf")},
        {"lease_until": "x"},
    ],
    ids=str,
)
def test_a_header_of_the_wrong_shape_is_damage(change: dict[str, Any]) -> None:
    data = file_of([{**json.loads(HEADER.document()), **change}, json.loads(BEGINNING.document())])
    with pytest.raises(Damaged):
        reader().journal(data, "epoch", 3)


def test_a_format_of_the_future_is_not_read() -> None:
    data = file_of([{"format": 2, "of": "the future"}])
    with pytest.raises(NewerSchema):
        reader().journal(data, "epoch", 3)


@pytest.mark.parametrize(
    "base",
    [
        {},
        {"base": None},
        {"base": 5, "records": 0},
        {"base": {"epoch": "1", "size": 9}, "records": 0},
        {"base": {"epoch": 3, "size": 9}, "records": 0},
        {"base": {"epoch": 4, "size": 9}, "records": 0},
        {"base": {"epoch": 1}, "records": 0},
        {"base": {"epoch": 1, "size": True}, "records": 0},
        {"base": None, "records": "0"},
    ],
    ids=str,
)
def test_a_second_line_of_the_wrong_shape_is_damage(base: dict[str, Any]) -> None:
    with pytest.raises(Damaged):
        reader().journal(journal(base, base=None), "epoch", 3)


def test_a_summary_writes_all_records_anew_the_flow_first() -> None:
    changes = [["put", "atom", "a", {"é": "\ud800"}], ["append", "attempt", "a", {"n": 1}], ["put", "flow", "f", {}]]
    contents, again = Contents(), Contents()
    contents.take(changes)
    texts = [commit_document(None, f"[{text}]") for text in contents.texts()]
    data = file_of(list(map(json.loads, texts)))
    again.take(reader().changes(lines_in(data), "epoch"))
    assert (again.rows, again.appended) == (contents.rows, contents.appended)
    assert next(reader().changes(lines_in(data), "epoch"))[1] == "flow"
