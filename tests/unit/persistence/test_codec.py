"""What is encoded comes back with its type and value, or is refused with the path to it."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbook.exceptions import EncodeError, TooLarge
from flowbook.failure import Failure
from flowbook.persistence.codec import MAX_DEPTH, decode, decode_document, encode

T = TypeVar("T")


class Color(Enum):
    RED = 1
    BLUE = "b"
    SKY = "b"  # noqa: PIE796  # an alias is meant


class Level(IntEnum):
    LOW = 1


class State(StrEnum):
    DONE = "done"


class Perm(Flag):
    R = 4
    W = 2
    RW = 6


class Mode(IntFlag):
    A = 1


class Point(NamedTuple):
    x: int
    y: object = None


Old = namedtuple("Old", "left right")


class Labelled(Point):  # not __slots__: it takes attributes
    pass


@dataclass
class Order:
    owner: str
    lines: list[Any] = field(default_factory=list)

    @cached_property
    def size(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    made: int = field(default=7, init=False)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Text(str):
    note: str = ""


def same(one: Any, other: Any) -> bool:
    """Say whether both are of one type and value, all through; NaN is NaN, and 0.0 is not -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, datetime | time):
        return repr(one) == repr(other)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if is_dataclass(one):
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    return bool(one == other)


NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**700), 10**700)
    | st.floats()
    | st.complex_numbers()
    | st.decimals()
    | st.fractions()
)
TIMES = (
    st.datetimes(timezones=st.none() | st.timezones() | st.just(timezone(timedelta(hours=-3), "Mine")))
    | st.dates()
    | st.times(timezones=st.none() | st.just(timezone(timedelta(seconds=1))))
    | st.timedeltas()
)
TEXTS = st.text(st.characters(codec=None), max_size=8) | st.binary(max_size=8) | st.uuids()
OWN = st.sampled_from([*Color, *Level, *State, Perm.R, Perm.RW, Perm(0), Mode(9), Path("/a"), range(3, 9, 2)])
HASHABLE = st.recursive(
    NUMBERS.filter(lambda number: not (isinstance(number, Decimal) and number.is_snan())) | TIMES | TEXTS | OWN,
    lambda inner: st.tuples(inner) | st.frozensets(inner, max_size=3) | st.builds(Key, st.text(max_size=3)),
    max_leaves=4,
)
VALUES = st.recursive(
    HASHABLE | st.decimals() | st.binary(max_size=8).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(lambda items: deque(items, 5))
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.just("!tuple"), inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3).map(OrderedDict)
        | st.builds(Point, st.integers(), inner)
        | st.builds(Order, st.text(max_size=3), st.lists(inner, max_size=2))
    ),
    max_leaves=12,
)


@given(VALUES)
@settings(deadline=None)
def test_values_come_back_as_they_were(value: object) -> None:
    text = encode(value)
    assert same(decode(text), value)
    assert same(decode_document(json.loads(text)), value)
    assert "\n" not in text
    text.encode()


@given(st.lists(st.integers() | st.integers(-(10**700), 10**700), min_size=16) | st.lists(st.floats(), min_size=16))
def test_long_lists_of_numbers_come_back_as_they_were(value: list[object]) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "value",
    [
        "\ud83d\ude00",
        ["\ud800"] * 20,
        ["a"] * 20,
        [True] * 20,
        [None] * 20,
        [1.0] * 20,
        [math.nan] * 20,
        {"\udcff": 1},
        {"!": 1},
        {"a!": 1},
        {"!tuple": [1]},
        {(1, "a"): {frozenset({1}): b"x"}},
        {1: "a", "1": "b"},
        {None: 1, True: 2},
        10**5000,
        -(10**5000),
        Decimal("1.10"),
        Decimal("sNaN12"),
        Decimal("-0E+7"),
        datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Oslo"), fold=1),
        datetime(2026, 1, 1, fold=1),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1), "UTC+01:00x")),
        time(1, 2, tzinfo=ZoneInfo("UTC")),
        UTC,
        ZoneInfo("America/Argentina/Ushuaia"),
        PurePosixPath("a/../b"),
        PureWindowsPath("C:\\a"),
        Path("/\udcff"),
        Counter("aab"),
        defaultdict(list, {1: [2]}),
        defaultdict(None, {}),
        Old(1, 2),
        Color.SKY,
        UUID(int=7),
        date(2026, 1, 1),
        range(10**100),
        Fraction(-1, 3),
        Box(Box(1)),
        Key("a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_this_comes_back_as_it_was(value: object) -> None:
    again = decode(encode(value))
    assert same(again, value)
    assert getattr(again, "default_factory", 0) is getattr(value, "default_factory", 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "é\x00"]}, '{"a":[1,2.5,null,true,"é\\u0000"]}'),
        ((1, (2,)), '{"!tuple":[1,{"!tuple":[2]}]}'),
        ({3, 1, 2}, '{"!set":[1,2,3]}'),
        ({1: "a"}, '{"!dict":[[1,"a"]]}'),
        (math.inf, '{"!float":"inf"}'),
        (datetime(2026, 1, 2, tzinfo=UTC), '{"!datetime":"2026-01-02T00:00:00+00:00"}'),
        (Color.RED, f'{{"!enum":["{__name__}:Color","RED"]}}'),
        (Perm.RW, f'{{"!flag":["{__name__}:Perm",[["R","W"],0]]}}'),
        (Order("me"), f'{{"!dataclass":["{__name__}:Order",{{"owner":"me","lines":[]}}]}}'),
    ],
    ids=repr,
)
def test_the_stored_form_is_this(value: object, text: str) -> None:
    assert encode(value) == text


def test_bool_and_int_stay_apart() -> None:
    assert same(decode(encode([True, 1, 1.0, False, 0])), [True, 1, 1.0, False, 0])


def test_decoding_a_decimal_asks_no_traps_of_this_thread() -> None:
    with localcontext() as context:
        context.clear_traps()
        context.prec = 2
        assert decode(encode(Decimal("1.23456"))) == Decimal("1.23456")


def test_what_a_dataclass_has_computed_is_left_out() -> None:
    order = Order("me", [1])
    assert order.size == 1
    assert "size" not in vars(decode(encode(order)))
    assert decode(encode(Box[int](1))) == Box(1)


def test_an_exception_comes_back_as_its_failure() -> None:
    again = decode(encode({"error": ValueError("a", {1})}))
    assert isinstance(again, dict)
    assert isinstance(again["error"], Failure)
    assert again["error"].exception_args == ("a", {1})
    assert again["error"].exception is None


@pytest.mark.parametrize("argument", [object(), "x" * 100_000, [[[[[[1]]]]]]])
def test_a_failure_is_stored_without_arguments_that_cannot_be(argument: object) -> None:
    failure = Failure.from_exception(ValueError(argument))
    again = decode(encode([failure]))
    assert isinstance(again, list)
    assert again[0].matches(failure)
    assert again[0].exception_args == ()


def test_an_exception_that_holds_itself_is_stored() -> None:
    exception = ValueError("a")
    exception.args = (exception, exception, exception)
    assert isinstance(decode(encode(exception)), Failure)


def test_a_failure_is_read_where_the_classes_of_its_arguments_are_not() -> None:
    text = encode(ValueError(Key("a"))).replace(f"{__name__}:Key", "elsewhere:Key")
    again = decode(text)
    assert isinstance(again, Failure)
    assert again.exception_args == ()


def test_failures_nest_in_causes() -> None:
    try:
        raise ValueError("a") from KeyError("b")
    except ValueError as error:
        failure = Failure.from_exception(error)
    again = decode(encode(failure))
    assert isinstance(again, Failure)
    assert again.matches(failure)
    assert again.causes[0].exception_args == ("b",)


# -- what is refused, and where ------------------------------------------------------------------------------


def circle() -> list[object]:
    items: list[object] = [1]
    items.append({"back": items})
    return items


def nested(levels: int) -> list[object]:
    items: list[object] = []
    for _ in range(levels - 1):
        items = [items]
    return items


def local_class() -> object:
    @dataclass
    class Local:
        x: int = 1

    return Local()


def with_extra() -> Order:
    order = Order("me")
    order.note = 1
    return order


def without_field() -> Order:
    order = Order("me")
    del order.owner
    return order


def with_attribute() -> Labelled:
    labelled = Labelled(1)
    labelled.note = 1
    return labelled


class MyDateTime(datetime):
    pass


class MyList(list[object]):
    pass


class MyFailure(Failure):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "cannot store result: values of type object have no stored form"),
        ({"rows": [0, 1, 2, Order(len)]}, "result['rows'][3].owner: values of type"),
        ((1, {2: Point(object())}), "result[1][2].x: values"),
        ({Key("k"): object()}, "result.values()[0]: values"),
        ({10**5000: len, 1: 1}, 'result[{"!int":"0x'),
        ({(1, len): 1}, "result.keys()[0][1]: values of type builtin_function_or_method"),
        (deque([len]), "result[0]: values"),
        (defaultdict(lambda: 1), "result: the factory of a defaultdict can be one of None, bool"),
        (circle(), "result[1]['back']: it contains itself"),
        (nested(MAX_DEPTH + 1), "result[0][0][0][0][0][0][0][0]…: it is nested more than 200 levels deep"),
        (MyList(), f"{__name__}.MyList is more than a list, and would come back as one"),
        (MyDateTime.now(), "MyDateTime is more than a datetime"),
        (MyFailure(exception_str="", exc_type_names=("E",)), "MyFailure is more than a Failure"),
        (memoryview(b""), "values of type memoryview"),
        (local_class(), "define it at the top of a module, or register it"),
        (make_dataclass("Gone", ["x"])(1), "could not be rebuilt"),
        (with_extra(), "result: note would be lost"),
        (without_field(), "result: a field is not set"),
        (with_attribute(), "result: note would be lost"),
        (Text("a"), "result: Text is also a str, whose content would be lost"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_stored_is_named_with_its_path(value: object, message: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(value)
    assert message in str(caught.value)


def test_the_path_begins_with_what_the_caller_says() -> None:
    with pytest.raises(EncodeError, match=r"cannot store input 'x'\[0\]: "):
        encode([len], what="input 'x'")


def test_the_deepest_value_that_is_taken_comes_back() -> None:
    value = nested(MAX_DEPTH)
    assert decode(encode(value)) == value
    mixed: object = 1
    for level in range(MAX_DEPTH):
        mixed = (mixed,) if level % 2 else {level: mixed}
    assert decode(encode(mixed)) == mixed


def test_a_text_over_the_limit_is_too_large() -> None:
    assert encode("é" * 10, limit_bytes=22) == '"' + "é" * 10 + '"'
    with pytest.raises(TooLarge) as caught:
        encode("é" * 10, limit_bytes=21, what="x")
    assert (caught.value.what, caught.value.size_bytes, caught.value.limit_bytes) == ("x", 22, 21)
