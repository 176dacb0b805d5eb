"""Any text becomes a safe name of a folder, a different one for each, and mostly comes back."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowbook.persistence.directory import names
from flowbook.persistence.directory.names import (
    LONGEST,
    epoch_name,
    epoch_of,
    folder_names,
    quoted,
    request_name,
    request_of,
    unquoted,
)

texts = st.text(st.characters(), max_size=300)
"""Of all characters, lone surrogates too."""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("r1", "r1"),
        ("Order-7_b.2", "Order-7_b.2"),
        ("", "%"),
        ("%", "%25"),
        (".", "%2E"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("../x", "%2E.%2Fx"),
        ("/etc/passwd", "%2Fetc%2Fpasswd"),
        ("a b\n\0", "a%20b%0A%00"),
        ("~", "%7E"),
        ("é", "%C3%A9"),
        ("e\u0301", "e%CC%81"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_what_is_not_plain_is_written_as_its_bytes(text: str, name: str) -> None:
    assert quoted(text) == name
    assert unquoted(name) == text


@given(texts)
@example("x" * LONGEST)
@example("x" * (LONGEST + 1))
@example("😀" * 1000)
def test_every_name_is_safe(text: str) -> None:
    name = quoted(text)
    assert re.fullmatch(r"[A-Za-z0-9_%-][A-Za-z0-9_.%~-]*", name)
    assert len(name) <= LONGEST
    assert unquoted(name) == (None if "~" in name else text)


@given(texts, texts)
def test_two_texts_have_two_names(one: str, other: str) -> None:
    assert (quoted(one) == quoted(other)) is (one == other)


@given(st.text(max_size=400), st.sampled_from(["", "x", "\0", "/", "é", "."]))
def test_long_texts_that_begin_alike_have_two_names(text: str, end: str) -> None:
    assert quoted("x" * 250 + text) != quoted("x" * 250 + text + end + "!")


@given(st.text("%0123456789ABCDEFabc~.-/é", max_size=12))
@example("%2e")
@example("%61")
@example("%")
@example("%%")
@example("%2")
@example("%FF")
@example("..")
@example("x" * 120 + "~" + "0" * 40)
def test_what_is_no_name_of_ours_stands_for_nothing(name: str) -> None:
    text = unquoted(name)
    assert text is None or quoted(text) == name


def test_a_key_has_a_folder_in_the_folder_of_its_kind() -> None:
    assert folder_names("flow:r1") == ("flow", "r1")
    assert folder_names("flow:a:b") == ("flow", "a%3Ab")
    assert folder_names("flow:") == ("flow", "%")


@pytest.mark.parametrize("kind", [names.DESTROYED, names.LIVING, names.MARK, "..", "."])
def test_no_kind_of_keys_has_the_root_s_own_names(kind: str) -> None:
    folder, _ = folder_names(f"{kind}:000099")
    assert folder not in (names.DESTROYED, names.LIVING, names.MARK, "..", ".")


@given(st.integers(0, 10**18 - 1))
def test_an_epoch_is_in_its_journal_s_name(epoch: int) -> None:
    assert epoch_of(epoch_name(epoch)) == epoch


@pytest.mark.parametrize(
    "name",
    [
        "epoch-1.jsonl",
        "epoch-0000007.jsonl",
        "epoch-000001.jsonl.new",
        "epoch-000001.jsonl\n",
        "epoch-00000\u0661.jsonl",
        "epoch--00001.jsonl",
        "Epoch-000001.jsonl",
        "epoch-9999999999999999999.jsonl",
        "",
    ],
)
def test_what_is_no_journal_has_no_epoch(name: str) -> None:
    assert epoch_of(name) is None


def test_a_request_s_id_is_in_its_name() -> None:
    assert request_of(request_name("0" * 19 + "7")) == "0" * 19 + "7"


@pytest.mark.parametrize(
    "name", ["request-7.json", "request-.json", "request-../../etc/pass.json", "epoch-000001.jsonl"]
)
def test_what_is_no_request_has_no_id(name: str) -> None:
    assert request_of(name) is None
