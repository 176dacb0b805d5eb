"""Masking goes wherever values are inside one another."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from flowbook.listeners.masking import masked, shown

KEYS = ("secret",)


@dataclass
class Login:
    user: str
    secret: str


Pair = namedtuple("Pair", "user secret")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None),
        (0, 0),
        ("secret", "secret"),
        ({}, {}),
        ([], []),
        ({"secret": None, 1: 2}, {"secret": "***", 1: 2}),
        ([{"secret": 1}, ({"a": {"secret": 1}},)], [{"secret": "***"}, ({"a": {"secret": "***"}},)]),
        (MappingProxyType({"secret": 1}), {"secret": "***"}),
        ([Login("ann", "x")], [{"user": "ann", "secret": "***"}]),
        (Pair("ann", "x"), {"user": "ann", "secret": "***"}),
        (Login, Login),
    ],
)
def test_what_stands_under_a_key_is_masked_at_any_depth(value: object, told: object) -> None:
    assert masked(value, KEYS) == told


def test_without_keys_a_value_is_left_alone() -> None:
    value = [Login("ann", "x")]
    assert masked(value, ()) is value


def test_a_value_that_holds_itself_is_masked_too() -> None:
    value: dict[str, Any] = {"secret": 1}
    value["self"] = [value]
    told = masked(value, KEYS)
    assert told["secret"] == "***"
    assert told["self"][0] is told


def test_a_value_that_holds_others_many_times_is_looked_through_once() -> None:
    value: Any = {"secret": 1}
    for _ in range(60):
        value = (value, [value])
    assert "***" not in shown(masked(value, KEYS))  # it is deeper than what is shown
    told = masked(value, KEYS)
    for _ in range(60):
        told = told[0]
    assert told == {"secret": "***"}


def test_what_is_too_deep_is_left_out() -> None:
    value: Any = {"secret": 1}
    for _ in range(100_000):
        value = [value]
    assert shown(masked(value, KEYS)) == "[[[[[[[...]]]]]]]"
