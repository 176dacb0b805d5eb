"""Whatever text is decoded: a value, or a named error; and nothing in it is run or imported."""

from __future__ import annotations

import builtins
import json
import pickle
import random
import sys
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowbook.exceptions import Damaged, DecodeError
from flowbook.persistence.codec import decode, decode_document, encode


class Color(Enum):
    RED = 1


class Perm(Flag):
    R = 1
    W = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Order:
    owner: str
    at: object


SAMPLE = encode(
    {
        "plain": [None, True, -1, 2.5, "é\n\x00", {"deep": [[]]}],
        "numbers": [1 << 300, float("inf"), 1j, Decimal("1.1"), Fraction(1, 3), range(3)],
        "texts": ["\ud800", b"bytes", bytearray(b"x"), UUID(int=1), Path("/a/b")],
        "times": [
            datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Oslo")),
            datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=1))),
            timezone(timedelta(hours=1), "mine"),
        ],
        "holders": [(1, (2,)), {1, 2}, frozenset("a"), deque([1], 2), Counter("a"), {1: {"!a": 2}}],
        "own": [Color.RED, Perm.R | Perm.W, Point(1, 2), Order("me", Order("you", ()))],
        "failure": ValueError("a", 1),
    }
)


def decode_or_name(text: str) -> object:
    """Return the value or the named error; any other error fails the test."""
    try:
        return decode(text)
    except (Damaged, DecodeError) as error:
        return error


def test_every_truncation_is_damaged() -> None:
    for end in range(len(SAMPLE)):
        with pytest.raises(Damaged):
            decode(SAMPLE[:end])


def test_every_bit_flip_gives_a_value_or_a_named_error() -> None:
    stored = SAMPLE.encode()
    for index in range(len(stored)):
        for bit in range(8):
            flipped = bytearray(stored)
            flipped[index] ^= 1 << bit
            decode_or_name(flipped.decode("utf-8", "surrogateescape"))


def test_every_piece_left_out_or_doubled_gives_a_value_or_a_named_error() -> None:
    chance = random.Random(5)
    for _ in range(3000):
        start, end = sorted(chance.choices(range(len(SAMPLE)), k=2))
        decode_or_name(SAMPLE[:start] + SAMPLE[end:])
        decode_or_name(SAMPLE[:end] + SAMPLE[start:])


def tags() -> list[str]:
    """Return all tags that the sample has."""

    def found(document: Any) -> set[str]:
        parts = document.values() if isinstance(document, dict) else document
        own = {key for key in document if key[:1] == "!"} if isinstance(document, dict) else set()
        return own.union(*(found(part) for part in parts if isinstance(part, dict | list)))

    return sorted(found(json.loads(SAMPLE)))


WRONG = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    "",
    "x",
    "ab",
    "9" * 400,
    [],
    [1],
    [None, None],
    [[], []],
    [[1], [1]],
    ["a", "b"],
    [1, 2, 3],
    [1.5, "x", None],
    [0, 0],
    [1, 0, 0],
    {},
    {"a": 1},
    {"!set": [[]]},
    {"!tuple": []},
    ["os:system", ["id"]],
    [["os:system"], {}],
    [f"{__name__}:Color", 1],
    [f"{__name__}:Color", ["RED"]],
    [f"{__name__}:Perm", ["RW", 0]],
    [f"{__name__}:Perm", [["R"], -1]],
    [f"{__name__}:Perm", [["R"], 64]],
    [f"{__name__}:Point", [1, 2]],
    [f"{__name__}:Order", {"__class__": 1}],
    [f"{__name__}:Order", {"owner": 1, "at": 2, "__dict__": {}}],
    {"version": 2, "exc_type_names": ["E"], "exception_str": "", "traceback_str": "", "exc_args": None, "causes": []},
]


@pytest.mark.parametrize("tag", [*tags(), "!object", "!defaultdict", "!ordereddict", "!windowspath", "!time"])
@pytest.mark.parametrize("body", WRONG, ids=lambda body: json.dumps(body)[:30])
def test_a_tag_with_a_wrong_body_gives_a_value_or_a_named_error(tag: str, body: object) -> None:
    decode_or_name(json.dumps({tag: body}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul",
        "NaN",
        "[Infinity]",
        "1 2",
        "\ufeff1",
        "'a'",
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"!tuple":[' * 5_000 + "]}" * 5_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "9" * 100_000,
        '{"!newer":1}',
        '{"!":1}',
        '{"!tuple":[],"a":1}',
        '{"a":1,"!tuple":[]}',
        '{"!set":[1,1]}',
        '{"!dict":[[1,1],[1,2]]}',
        '{"!dict":["ab"]}',
        '{"!dict":[[[],1]]}',
        '{"!enum":{"a:b":1,"RED":2}}',
        '{"!bytes":"a"}',
        '{"!bytes":"*"}',
        '{"!str":"/w=="}',
        '{"!decimal":"one"}',
        '{"!decimal":"1E+99999999999999999999"}',
        '{"!decimal":1.5}',
        '{"!fraction":[1,0]}',
        '{"!fraction":["1e999999999",1]}',
        '{"!int":1}',
        '{"!float":"1"}',
        '{"!range":[0,1,0]}',
        '{"!range":[0,true,1]}',
        '{"!timedelta":[999999999999,0,0]}',
        '{"!timezone":[{"!timedelta":[5,0,0]},null]}',
        '{"!datetime":["2026-01-01","UTC",0]}',
        '{"!datetime":["2026-01-01",null,2]}',
        '{"!zone":"../../../etc/passwd"}',
        '{"!zone":"/etc/passwd"}',
        '{"!zone":"os.path/x"}',
        '{"!zone":"a\\u0000b"}',
        '{"!uuid":"1"}',
        '{"!defaultdict":["eval",[]]}',
        '{"!failure":{"version":2}}',
        '{"!failure":[]}',
        '{"!counter":"ab"}',
        '{"!deque":[[],-1]}',
        pickle.dumps(Path("x"), 0).decode("ascii"),
        "cos\nsystem\n(S'id'\ntR.",
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_this_is_damaged(text: str) -> None:
    with pytest.raises(Damaged):
        decode(text)


HOSTILE = [
    '{"!dataclass":["os:system",{"command":"id"}]}',
    '{"!dataclass":["os:system",["id"]]}',
    '{"!dataclass":["subprocess:Popen",{"args":"id"}]}',
    '{"!enum":["os:system","id"]}',
    '{"!enum":["antigravity:X","RED"]}',
    '{"!flag":["antigravity:X",[["RED"],0]]}',
    '{"!namedtuple":["antigravity:X",{}]}',
    '{"!namedtuple":["builtins:tuple",{}]}',
    '{"!dataclass":["antigravity:fly",{}]}',
    '{"!dataclass":["builtins:type",{}]}',
    '{"!dataclass":["builtins:eval",{"x":"1"}]}',
    '{"!dataclass":["",{}]}',
    '{"!dataclass":[":",{}]}',
    '{"!dataclass":["os",{}]}',
    '{"!dataclass":["os:path.join",{}]}',
    '{"!dataclass":["sys:modules.os",{}]}',
    '{"!dataclass":["enum:Enum",{}]}',
    '{"!object":["os:system","id"]}',
    '{"!object":["builtins:eval","1"]}',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_record_names_is_imported_or_called(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> object:
        raise AssertionError(f"called with {args}")

    monkeypatch.setattr("os.system", refuse)
    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    monkeypatch.setattr(builtins, "__import__", refuse)
    before = set(sys.modules)
    with pytest.raises(DecodeError):
        decode(text)
    assert set(sys.modules) == before


def test_a_module_that_loads_on_first_use_stays_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy:
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"asked for {name}")

    monkeypatch.setitem(sys.modules, "lazy", Lazy())  # type: ignore[arg-type]
    with pytest.raises(DecodeError, match="the module lazy has no class Order"):
        decode('{"!dataclass":["lazy:Order",{}]}')


def test_a_class_met_under_the_name_of_another_is_not_taken() -> None:
    with pytest.raises(DecodeError, match="has no class ZoneInfo"):
        decode(f'{{"!dataclass":["{__name__}:ZoneInfo",{{}}]}}')


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.dictionaries(st.sampled_from(tags()), inner, min_size=1, max_size=1)
    ),
    max_leaves=10,
)


@given(DOCUMENTS)
@example({"!dict": [[{"!float": "nan"}, 1], [{"!float": "nan"}, 2]]})
def test_any_document_gives_a_value_or_a_named_error(document: object) -> None:
    before = repr(document)
    with suppress(Damaged, DecodeError):
        decode_document(document)
    assert repr(document) == before


@given(st.text(max_size=30))
def test_any_text_gives_a_value_or_a_named_error(text: str) -> None:
    decode_or_name(text)
