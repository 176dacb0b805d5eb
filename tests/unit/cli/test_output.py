"""What is printed for programs: JSON, JSON lines and CSV, with all fields or a choice."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import Any

import pytest

from flowbook.cli.output import Output
from flowbook.views.schemas import ANYTHING, TEXT, DocumentSchema

LETTERS = DocumentSchema("flowbook.letters/1", "letters", {"name": TEXT, "value": ANYTHING}, {"of": TEXT}, {"of": "of"})
ONE = DocumentSchema("flowbook.letter/1", "", {"name": TEXT, "value": ANYTHING})

VALUES = [None, "a, b\n", [1, {"x": "流"}], 0.5, True]
DOCUMENT = LETTERS.document([{"name": str(at), "value": value} for at, value in enumerate(VALUES)], of="latin")


def printed(capsys: pytest.CaptureFixture[str], document: dict[str, Any], how: str, *fields: str) -> str:
    Output(LETTERS if "letters" in document else ONE, how, fields).write(document)
    return capsys.readouterr().out


def test_a_document_is_json_with_a_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, DOCUMENT, "json")
    assert json.loads(text) == DOCUMENT
    assert text.splitlines()[:6] == [
        "{",
        '  "schema": "flowbook.letters/1",',
        '  "of": "latin",',
        '  "letters": [',
        '    {"name": "0", "value": null},',
        r'    {"name": "1", "value": "a, b\n"},',
    ]


@pytest.mark.parametrize("rows", [[], DOCUMENT["letters"][:1]])
def test_a_document_of_few_rows_is_json_too(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]]) -> None:
    document = LETTERS.document(rows, of="latin")
    assert json.loads(printed(capsys, document, "json")) == document


def test_chosen_fields_narrow_the_rows_and_leave_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(printed(capsys, DOCUMENT, "json", "name"))
    assert document == {**DOCUMENT, "letters": [{"name": str(at)} for at in range(5)]}


def test_a_document_that_is_one_row_is_narrowed_itself(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"schema": ONE.name, "name": "a", "value": [1]}
    assert json.loads(printed(capsys, document, "json")) == document
    assert json.loads(printed(capsys, document, "json", "value")) == {"schema": ONE.name, "value": [1]}
    assert json.loads(printed(capsys, document, "jsonl")) == document
    assert printed(capsys, document, "csv") == "name,value\na,[1]\n"


def test_each_line_of_json_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(map(json.loads, printed(capsys, DOCUMENT, "jsonl").splitlines()))
    assert lines[2] == {"schema": "flowbook.letters/1#letters", "of": "latin", "name": "2", "value": [1, {"x": "流"}]}
    assert len(lines) == 5


def test_csv_has_a_head_and_its_values_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(printed(capsys, DOCUMENT, "csv", "value", "name"))))
    assert rows[0] == ["value", "name"]
    assert [row[0] for row in rows[1:]] == ["", "a, b\n", '[1, {"x": "流"}]', "0.5", "true"]


def test_chosen_fields_make_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, DOCUMENT, "table", "name", "value").splitlines()
    assert lines[:3] == ["name  value", "0", r"1     a, b\n"]


def test_numbers_stand_at_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    document = LETTERS.document([{"name": "a", "value": 5}, {"name": "b", "value": None}], of="latin")
    assert printed(capsys, document, "table", "name", "value").splitlines() == ["name  value", "a         5", "b"]


def test_a_verb_tells_some_fields_of_a_table_better(capsys: pytest.CaptureFixture[str]) -> None:
    document = LETTERS.document([{"name": "a", "value": {"x": 1}}], of="latin")
    Output(LETTERS, "table", ("value",)).write(document, {"value": lambda value: f"x is {value['x']}"})
    assert capsys.readouterr().out.splitlines() == ["value", "x is 1"]


def test_a_table_has_at_most_200_lines_and_says_what_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [{"name": str(at), "value": at} for at in range(1500)]
    Output(LETTERS, "table", ("name",)).write(LETTERS.document(rows, of="latin"))
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 200
    assert printed.err == "1,301 more are not shown: --output jsonl prints them all\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_whatever_stdout_can_write(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stdout)
    document = LETTERS.document([{"name": "é 流 \U0001f600 \udc80", "value": None}], of="latin")
    Output(LETTERS, "json").write(document)
    stdout.seek(0)
    assert json.loads(stdout.read()) == document
