"""Masking: the texts of known secrets in whatever form, and passwords in URLs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from flowbook import Failure
from flowbook.listeners.masking import shown
from flowbook.persistence import codec
from flowbook.secrets import masking
from flowbook.secrets.masking import is_in_clear, masked, masked_json, masked_value, remember, shown_document

TEXT = 'p/ss "wörd"\\1'


@pytest.mark.parametrize(
    "written",
    [
        TEXT,
        repr(TEXT),
        repr(TEXT.encode()),
        json.dumps(TEXT),
        json.dumps(TEXT, ensure_ascii=False),
        quote(TEXT),
        quote(TEXT, safe=""),
        f"mid{TEXT}dle",
    ],
)
def test_a_text_is_masked_in_every_form_that_python_json_and_urls_write_it_in(written: str) -> None:
    remember(TEXT)
    hidden = masked(f"before {written} after")
    assert re.fullmatch(r"before .*\*\*\*.* after", hidden)
    assert "rd" not in hidden


def test_a_secret_in_another_one_uncovers_nothing_of_it() -> None:
    remember("tiger")
    remember("tigerlily")
    assert masked("a tigerlily and a tiger") == "a *** and a ***"


def test_the_lines_of_a_secret_are_masked_one_by_one() -> None:
    remember("-----BEGIN KEY-----\nMIIEpAIBAAKC\n-----END KEY-----\n")
    assert masked("bad line: MIIEpAIBAAKC") == "bad line: ***"


def test_texts_of_three_characters_are_not_masked() -> None:
    remember("abc")
    assert masked("abcdef") == "abcdef"


def test_only_so_many_texts_are_known_and_the_newest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "KEPT_MAX", 2)
    for text in ("first-one", "second-one", "third-one"):
        remember(text)
    assert masked("first-one second-one third-one") == "first-one *** ***"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("cannot reach postgresql://me:hunter2@db:5432/x now", "cannot reach postgresql://me:***@db:5432/x now"),
        ("mysql://me:p@ss/w:rd@db/x", "mysql://me:***@db/x"),
        ("'redis://:hunter2@h', 'a@b'", "'redis://:***@h', 'a@b'"),
        ("https://h/x?token=abc&page=2&apiKey=def", "https://h/x?token=***&page=2&apiKey=***"),
        ("http://h:80/x", "http://h:80/x"),
        ("me@example.org: x", "me@example.org: x"),
    ],
)
def test_passwords_in_urls_are_masked_though_nobody_has_told_of_them(text: str, hidden: str) -> None:
    assert masked(text) == hidden


def test_what_holds_no_secret_is_left_as_it_is() -> None:
    remember("tigerlily")
    text = '{"a":[1,2.5,null,true,"x"],"b":{"!bytes":"aGk="}}'
    assert masked_json(text) is text
    assert masked_value((1, "x", b"y", [2])) == (1, "x", b"y", [2])


def test_values_are_masked_deep_inside() -> None:
    remember("tigerlily")
    value = ("my tigerlily", [b"tigerlily\xff"], {"tigerlily": ("tigerlily",)}, 5)
    assert masked_value(value) == ("my ***", [b"***\xff"], {"***": ("***",)}, 5)


def test_stored_forms_are_masked_and_stay_readable() -> None:
    remember("tuple")  # a word of the stored form, too
    remember("12345")
    text = codec.encode({"x": ("a tuple", b"12345 in bytes", 12345), "y": "\ud800 tuple"})
    assert codec.decode(masked_json(text)) == {"x": ("a ***", b"*** in bytes", 12345), "y": "\ud800 ***"}


@pytest.mark.parametrize(
    "value",
    ["tigerlily", "x tigerlily y", ["a", {"b": "tigerlily"}], {"tigerlily": 1}, b"my tigerlily", ("t", {"tigerlily"})],
)
def test_a_value_with_the_text_of_a_secret_is_in_clear(value: object) -> None:
    assert not is_in_clear(codec.encode(value))
    remember("tigerlily")
    assert is_in_clear(codec.encode(value))


@pytest.mark.parametrize("value", ["tiger lily", 5, b"tiger", ("x",), {"!a": 1}])
def test_a_value_without_it_is_not(value: object) -> None:
    remember("tigerlily")
    remember("namedtuple")
    assert not is_in_clear(codec.encode(value))


def test_short_texts_are_masked_and_not_refused() -> None:
    remember("test")
    assert masked("a test") == "a ***"
    assert not is_in_clear('"latest"')


def test_a_reference_that_is_named_like_its_text_is_not_in_clear() -> None:
    remember("DB_PASSWORD")
    assert not is_in_clear('{"!secret":{"env":"DB_PASSWORD"}}')


def test_what_is_shown_has_no_tokens_and_keeps_references() -> None:
    document = {"a": {"!secret": {"sealed": "gAAAA"}}, "b": [{"!secret": {"env": "X"}}], "c": "x://u:p@h"}
    shown = {"a": {"!secret": {"sealed": "***"}}, "b": [{"!secret": {"env": "X"}}], "c": "x://u:***@h"}
    assert shown_document(document) == shown


@dataclass
class Account:
    """Holds a text that is nobody's business."""

    password: str


def test_a_failure_is_masked_when_it_is_stored_if_not_before() -> None:
    failure = Failure.from_exception(ValueError("a tigerlily", Account("tigerlily")))
    assert "tigerlily" in failure.traceback_str
    remember("tigerlily")
    stored = codec.decode(codec.encode(failure))
    assert isinstance(stored, Failure)
    assert stored.exception_args == ("a ***", Account("***"))
    assert "tigerlily" not in f"{stored.exception_str} {stored.traceback_str}"


def test_what_listeners_show_is_masked_before_it_is_cut() -> None:
    remember("tigerlily")
    told = shown({"text": "x" * 94 + "tigerlily" + "x" * 200, "account": Account("y" * 74 + "tigerlily" + "y" * 200)})
    assert "***" in told
    assert "tiger" not in told
    assert "lily" not in told


@pytest.mark.parametrize("document", [{"!bytes": "x"}, {"!bytes": "é"}, {"!secret": 7}, {"!secret": None}], ids=str)
def test_what_no_codec_wrote_is_shown_as_unreadable(document: object) -> None:
    assert shown_document(document) == {"!repr": "***"}


def test_what_is_too_deep_to_be_looked_through_is_taken_for_a_secret() -> None:
    remember(TEXT)
    deep: object = "x"
    for _ in range(2000):
        deep = [deep]
    text = f"{'[' * 2000}{json.dumps(TEXT)}{']' * 2000}"
    assert shown_document(deep) == {"!repr": "***"}
    assert is_in_clear(text)
    assert masked_json(text) == '"***"'
