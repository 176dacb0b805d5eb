"""A program's own classes: stored by name, rebuilt only when this process knows them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import pytest

from flowbook.exceptions import DecodeError, EncodeError, NotPossible
from flowbook.persistence.codec import classes, decode, encode, register_type
from flowbook.persistence.codec.encoding import ENCODERS


class Color(Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: object = None


@dataclass
class Order:
    made: ClassVar[int] = 0
    owner: str
    lines: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        Order.made += 1


@dataclass(frozen=True)
class Key:
    name: str


def local_class() -> object:
    @dataclass
    class Local:
        x: int = 1

    return Local()


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


@pytest.fixture
def own_registrations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget afterwards what a test registers."""
    kept = dict(ENCODERS)
    for name in ("_by_name", "_names", "_from_data"):
        monkeypatch.setattr(classes, name, {})
    yield
    ENCODERS.clear()
    ENCODERS.update(kept)


def test_a_dataclass_is_rebuilt_without_its_init() -> None:
    order = Order("me", [1])
    text = encode(order)
    made = Order.made
    assert decode(text) == order
    assert Order.made == made


def test_a_class_that_is_not_imported_is_asked_for_when_its_value_is_decoded() -> None:
    with pytest.raises(DecodeError) as caught:
        decode('{"!dataclass":["billing.orders:Order",{}]}')
    assert caught.value.type_name == "billing.orders:Order"
    assert caught.value.todo.startswith("import billing.orders before resuming, or register the type")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"owner"', '"boss"', "has no field boss any more"),
        ('"owner":"me",', "", "its field owner is newer than the record"),
        (":Order", ":Gone", "has no class Gone"),
        ("!dataclass", "!namedtuple", "the class found is no namedtuple"),
    ],
)
def test_a_class_that_has_changed_is_named(old: str, new: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(encode(Order("me")).replace(old, new))


def test_a_newer_field_gets_its_plain_default() -> None:
    assert decode(encode(Order("me")).replace(',"lines":[]', "")) == Order("me")
    assert decode(encode(Point(1)).replace(',"y":null', "")) == Point(1)


def test_a_member_that_is_gone_is_named() -> None:
    with pytest.raises(DecodeError, match="has no member PINK any more"):
        decode(encode(Color.RED).replace("RED", "PINK"))


@pytest.mark.slow
def test_a_class_of_a_script_is_found_when_the_script_runs_again() -> None:
    script = (
        "import sys\nfrom dataclasses import dataclass\n"
        "from flowbook.persistence.codec import encode, decode\n"
        "@dataclass\nclass A: x: int\n"
        "print(decode(sys.argv[1]) if sys.argv[1:] else encode(A(1)))"
    )
    command = [sys.executable, "-c", script]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    again = subprocess.run([*command, text], capture_output=True, text=True, check=True).stdout.strip()
    assert again == "A(x=1)"


@pytest.mark.usefixtures("own_registrations")
def test_a_registered_type_is_stored_as_its_data() -> None:
    register_type(Money, "money", lambda money: (money.cents,), lambda data: Money(*data))
    text = encode([Money(5)])
    assert text == '[{"!object":["money",{"!tuple":[5]}]}]'
    again: Any = decode(text)
    assert again[0].cents == 5


@pytest.mark.usefixtures("own_registrations")
def test_errors_of_registered_functions_are_named() -> None:
    register_type(Money, "money", lambda money: money.euros, lambda data: data.cents)
    with pytest.raises(EncodeError, match=r"result\[0\]: taking it apart raised AttributeError"):
        encode([Money(5)])
    with pytest.raises(DecodeError, match="its from_data raised AttributeError"):
        decode('{"!object":["money",5]}')


@pytest.mark.usefixtures("own_registrations")
def test_a_registered_class_may_be_local_and_stand_in_for_an_old_one() -> None:
    value = local_class()
    register_type(type(value), "shop:Order")
    text = encode(value)
    assert text == '{"!dataclass":["shop:Order",{"x":1}]}'
    assert decode(text) == value


@pytest.mark.usefixtures("own_registrations")
def test_a_registration_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(NotPossible, match="int has its stored form"):
        register_type(int)
    with pytest.raises(NotPossible, match="both or none"):
        register_type(Money, to_data=vars)
    with pytest.raises(NotPossible, match="no dataclass, Enum or NamedTuple"):
        register_type(Money)
    register_type(Key, "k")
    register_type(Key, "k")
    with pytest.raises(NotPossible, match="registered already"):
        register_type(Order, "k")


def test_a_type_that_is_not_registered_here_is_asked_for() -> None:
    with pytest.raises(DecodeError, match="its type is not registered here"):
        decode('{"!object":["money",5]}')
