"""Retries: what one must say, and what it is called with."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook.atoms import Decision, Retry
from flowbook.exceptions import NotPossible


class Times(Retry):
    def execute(self, history: Any, attempts: int = 3) -> int:
        return len(history) + 1

    def on_failure(self, history: Any, limit: int) -> Decision:
        return Decision.RETRY if len(history) < limit else Decision.REVERT


class Undoing(Times):
    def revert(self, history: Any, flow_failures: Any, reason: str) -> None: ...


def test_the_history_is_no_requirement() -> None:
    retry = Times("r", provides="attempt")
    assert (retry.requires, retry.optional) == ({"limit"}, {"attempts"})
    assert [one.name for one in retry.execute_arguments] == ["attempts"]
    assert [one.name for one in retry.on_failure_arguments] == ["limit"]
    assert retry.provides == {"attempt"}
    assert retry.kind == "retry"


def test_a_retry_is_rebound_in_all_its_methods() -> None:
    retry = Times("r", rebind={"attempts": "tries"})
    assert [one.symbol for one in retry.execute_arguments] == ["tries"]
    assert retry.requires == {"tries", "limit"}


def test_each_method_of_a_retry_gets_the_injected_values_that_it_takes() -> None:
    retry = Times("r", inject={"limit": 4, "attempts": 5})
    assert (retry.execute_inject, retry.on_failure_inject) == ({"attempts": 5}, {"limit": 4})
    assert (retry.requires, retry.optional) == (set(), set())


def test_a_retry_without_a_name_waits_for_that_of_its_flow() -> None:
    assert Times().name == ""


def test_a_retry_that_is_reverted_gets_history_and_failures() -> None:
    assert Undoing("u").has_revert
    assert Undoing("u").revert_takes == {"history", "flow_failures"}
    assert Undoing("u").requires == {"limit", "reason"}


def test_a_retry_must_say_what_it_does_and_decides() -> None:
    class Silent(Retry):
        def execute(self, history: Any) -> None: ...

    with pytest.raises(NotPossible, match="Silent has no on_failure"):
        Silent("s")


def test_a_retry_must_take_its_history() -> None:
    class Forgetful(Times):
        def on_failure(self) -> Decision:  # type: ignore[override]
            return Decision.RETRY

    with pytest.raises(NotPossible, match=r"Forgetful\.on_failure \(.*\) takes no 'history'"):
        Forgetful("f")


def test_decisions_are_their_own_names() -> None:
    assert list(Decision) == ["RETRY", "REVERT", "REVERT_ALL"]
