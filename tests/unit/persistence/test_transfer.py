"""A run goes from one storage to another as a document, whole and unread, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbook.exceptions import Damaged, EncodeError, FlowbookError, NewerSchema, NotFound, NotPossible
from flowbook.persistence import Backend, Query, fetch
from flowbook.persistence.changes import Append, Change, Delete, Inline, Put
from flowbook.persistence.owners import current_owner
from flowbook.persistence.transfer import (
    DamagedDocument,
    NewerDocument,
    RunExists,
    export_run,
    import_run,
    parse_document,
)
from flowbook.testing.backend_samples import begin, ids, stranger

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ROWS = st.dictionaries(st.text(), JSON, max_size=3)
NAMES = st.text(min_size=1, max_size=8)
KINDS = NAMES.filter(lambda kind: kind not in ("flow", "request"))
CHANGES = st.lists(st.builds(Put, KINDS, NAMES, ROWS) | st.builds(Append, KINDS, NAMES, ROWS), max_size=8)


@pytest.fixture(params=["memory:", "memory:?strict=yes", "sqlite:///{}/runs.db", "dir:{}/runs"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with fetch(request.param.format(tmp_path)) as opened:
        yield opened


def written(backend: Backend, *changes: Change, run: str = "f") -> list[str]:
    """Write a run, give its claim up, and return its document."""
    claim = backend.commit(begin(backend, run, id=run), changes)
    backend.renew(claim, lease_s=0.0)
    return list(export_run(backend, run))


SAMPLE = (
    Put("atom", "b", {"state": "SUCCESS", "result": Inline(document={"!tuple": [1, "é\ud800"]})}),
    Put("atom", "a", {"state": "PENDING"}),
    Put("never heard of", "k\0", {"x": {"deep": [1.5, None, True]}}),
    Append("attempt", "a", {"attempt": 1}),
    Append("attempt", "a", {"attempt": 2}),
    Append("history", "a", {"result": [1]}),
)


def sample() -> list[str]:
    return written(fetch("memory:?strict=yes"), *SAMPLE)


@given(changes=CHANGES)
def test_any_records_come_out_of_another_storage_as_they_were(changes: list[Change]) -> None:
    first, second = fetch("memory:?strict=yes"), fetch("memory:")
    document = written(first, *changes)
    import_run(second, document)
    assert list(export_run(second, "f")) == document
    assert first.load("f") == second.load("f")


def test_a_document_is_the_same_from_every_storage(backend: Backend) -> None:
    document = sample()
    assert import_run(backend, document) == "f"
    assert list(export_run(backend, "f")) == document
    assert "".join(document).isascii()


def test_a_storage_takes_a_document_and_gives_the_same_records(backend: Backend) -> None:
    import_run(backend, sample())
    records = backend.load("f")
    assert records.kind("never heard of") == {"k\0": {"x": {"deep": [1.5, None, True]}}}
    assert records.kind("atom")["b"]["result"] == {"!tuple": [1, "é\ud800"]}
    assert records.appended["attempt"]["a"] == [{"attempt": 1}, {"attempt": 2}]


def test_a_live_value_is_written_in_its_stored_form() -> None:
    document = written(fetch("memory:"), Put("atom", "a", {"result": Inline((1, 2))}))
    assert json.loads(document[1]) == {"kind": "atom", "key": "a", "row": {"result": {"!tuple": [1, 2]}}}


def test_a_live_value_without_a_stored_form_is_named() -> None:
    backend = fetch("memory:")
    with pytest.raises(EncodeError, match="result of atom 'a'"):
        written(backend, Put("atom", "a", {"result": Inline(object())}))
    with pytest.raises(EncodeError, match="plan 'plan'"):
        written(backend, Put("plan", "plan", {"plan": object()}), run="g")


def test_under_another_id_only_the_runs_own_record_differs(backend: Backend) -> None:
    document = sample()
    assert import_run(backend, document, run="g") == "g"
    again = list(export_run(backend, "g"))
    assert backend.load("g").kind("flow")["g"]["id"] == "g"
    assert [line for line in again if line not in document] == [again[0], _flow_line(again), again[-1]]


def _flow_line(document: list[str]) -> str:
    (line,) = (line for line in document if line.startswith('{"kind":"flow"'))
    return line


def test_requests_and_the_claim_stay_behind(backend: Backend) -> None:
    begin(backend, "f", id="f")
    backend.post("flow:f", {"do": "suspend"})
    other = fetch("memory:")
    import_run(other, export_run(backend, "f"))
    assert other.load("f").kind("request") == {}
    (summary,) = other.find(Query())
    assert (summary.state, summary.owner) == ("RUNNING", None)
    (owned,) = backend.find(Query())
    assert owned.owner == current_owner()


def test_what_was_imported_can_be_claimed_at_once(backend: Backend) -> None:
    import_run(backend, sample())
    claim = backend.claim("flow:f", stranger(), lease_s=30)
    backend.commit(claim, [Delete("atom", "a")])
    assert list(backend.load("f").kind("atom")) == ["b"]


def test_an_id_that_is_taken_is_refused_and_the_run_stays_as_it_is(backend: Backend) -> None:
    before = written(backend, Put("atom", "a", {"state": "SUCCESS"}))
    with pytest.raises(RunExists) as caught:
        import_run(backend, sample())
    assert (str(caught.value), caught.value.where) == ("there is a run 'f' already", backend.url)
    assert "--as" in caught.value.todo
    assert list(export_run(backend, "f")) == before


def test_a_commit_that_fails_leaves_no_run_and_no_claim(tmp_path: Path) -> None:
    with fetch(f"sqlite:///{tmp_path}/runs.db") as backend:
        document = written(fetch("memory:?strict=yes"), *SAMPLE)
        line = _flow_line(document)
        wrong = _sealed([*document[:-1]], line, line.replace('"created_at":1000.0', '"created_at":"x"'))
        with pytest.raises(EncodeError):
            import_run(backend, wrong)
        assert ids(backend, Query()) == []
        import_run(backend, document)
        assert ids(backend, Query()) == ["f"]


def _sealed(lines: list[str], old: str, new: str) -> list[str]:
    """Return a document whose checksum fits, though one of its lines is another."""
    lines = [new if line == old else line for line in lines]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return [*lines, json.dumps({"records": len(lines) - 1, "sha256": digest}) + "\n"]


def test_a_document_that_is_cut_anywhere_is_refused() -> None:
    text = "".join(sample())
    refused: set[type[FlowbookError]] = set()
    for end in range(len(text)):
        backend = fetch("memory:")
        with pytest.raises((DamagedDocument, NotPossible)) as caught:
            import_run(backend, text[:end].splitlines(keepends=True))
        refused.add(type(caught.value))
        assert ids(backend, Query()) == []
    assert refused == {DamagedDocument, NotPossible}


@given(data=st.data())
def test_a_document_with_another_character_is_refused_or_says_the_same(data: st.DataObject) -> None:
    text = "".join(sample())
    at = data.draw(st.integers(0, len(text) - 1))
    altered = text[:at] + data.draw(st.characters(min_codepoint=32, max_codepoint=126)) + text[at + 1 :]
    try:
        read = parse_document(altered.splitlines(keepends=True))
    except (DamagedDocument, NewerDocument, NotPossible):
        return
    assert read == parse_document(text.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("line", "put", "at", "why"),
    [
        (2, "nonsense\n", 3, "Expecting value"),
        (2, "[1]\n", 3, "a record is a JSON object, not list"),
        (2, '{"kind":"x"}\n', 3, "no record"),
        (2, '{"kind":"x","key":"y","row":5}\n', 3, "no record"),
        (2, '{"kind":"request","key":"1","row":{}}\n', 3, "no record"),
        (2, "", 8, "6 records, and should have 7"),
        (-1, "", 8, "without the line that closes"),
        (3, '{"kind":"x","key":"y","row":{}}\n', 9, "checksum"),
    ],
)
def test_a_damaged_line_is_named(line: int, put: str, at: int, why: str) -> None:
    document = sample()
    document[line] = put
    with pytest.raises(DamagedDocument) as caught:
        parse_document(filter(None, document), source="f.jsonl")
    assert str(caught.value) == "the document of the run is damaged"
    assert caught.value.where == f"f.jsonl:{at}"
    assert why in caught.value.why
    assert "export the run again" in caught.value.todo
    assert isinstance(caught.value, Damaged)


def test_what_follows_the_last_line_is_damage() -> None:
    with pytest.raises(DamagedDocument, match="damaged") as caught:
        parse_document([*sample(), "{}\n"])
    assert "follows" in caught.value.why


def test_a_document_without_the_runs_own_record_is_damaged() -> None:
    document = sample()
    with pytest.raises(DamagedDocument) as caught:
        parse_document(_sealed(document[:-1], _flow_line(document), '{"kind":"x","key":"y","row":{}}\n'))
    assert "record of run 'f'" in caught.value.why


def test_a_newer_document_is_refused() -> None:
    first, *rest = sample()
    with pytest.raises(NewerDocument) as caught:
        parse_document([first.replace("/1", "/2"), *rest], source="f.jsonl")
    assert caught.value.where == "f.jsonl:1"
    assert "version 2" in caught.value.why
    assert isinstance(caught.value, NewerSchema)


@pytest.mark.parametrize(
    "first", ["", "hello\n", "{}\n", '{"schema":"flowbook.list/1"}\n', '{"schema":"flowbook.run/x"}\n']
)
def test_what_is_no_document_is_said_to_be_none(first: str) -> None:
    with pytest.raises(NotPossible, match="no exported run") as caught:
        parse_document([first], source="f.txt")
    error = caught.value
    assert (error.where, bool(error.why), bool(error.todo)) == ("f.txt:1", True, True)


def test_a_run_that_is_not_there_cannot_be_exported(backend: Backend) -> None:
    begin(backend, "night-5")
    with pytest.raises(NotFound) as caught:
        list(export_run(backend, "night-6"))
    assert caught.value.todo == "did you mean 'night-5'?"


def test_a_header_without_a_run_is_damaged() -> None:
    row: dict[str, Any] = {"schema": "flowbook.run/1"}
    with pytest.raises(DamagedDocument) as caught:
        parse_document([json.dumps(row) + "\n"])
    assert "names no run" in caught.value.why
