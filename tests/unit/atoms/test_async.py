"""Which atoms are async, and which may not be."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Generator
from functools import partial
from typing import Any

import pytest

from flowbook.atoms import Decision, History, Retry, Task, task
from flowbook.exceptions import NotPossible
from flowbook.states import Direction


class Called:
    async def __call__(self, value: int) -> int:
        return value

    async def method(self, value: int) -> int:
        return value

    def plain(self, value: int) -> int:
        return value


async def later(value: int) -> int:
    return value


@types.coroutine
def by_generator(value: int) -> Generator[None, None, int]:
    yield
    return value


def plain(value: int) -> int:
    return value


@pytest.mark.parametrize(
    "function",
    [later, by_generator, Called(), Called().method, partial(later, value=3), partial(partial(Called()), value=3)],
    ids=["async def", "generator", "object", "method", "partial", "partial of a partial of an object"],
)
def test_it_is_known_which_functions_are_async(function: Any) -> None:
    made = task(name="made")(function)
    assert made.awaits == {Direction.EXECUTE}
    assert made.atom(name="another").awaits == {Direction.EXECUTE}
    assert task(name="undone", revert=function)(plain).awaits == {Direction.REVERT}
    assert task(name="both", revert=later)(function).awaits == {Direction.EXECUTE, Direction.REVERT}


@pytest.mark.parametrize("function", [plain, Called().plain, partial(plain, value=3)], ids=["def", "method", "partial"])
def test_it_is_known_which_functions_are_not(function: Any) -> None:
    assert task(name="made")(function).awaits == set()


def test_it_is_known_which_methods_are_async() -> None:
    class Executes(Task):
        async def execute(self) -> None: ...

    class Reverts(Task):
        def execute(self) -> None: ...

        async def revert(self) -> None: ...

    class Neither(Executes):
        def execute(self) -> None: ...  # type: ignore[override]

    assert Executes("e").awaits == {Direction.EXECUTE}
    assert Reverts("r").awaits == {Direction.REVERT}
    assert Neither("n").awaits == set()


def test_an_async_generator_is_refused() -> None:
    with pytest.raises(NotPossible, match=r"many \(.*test_async\.py:\d+\) is an async generator"):

        @task
        async def many() -> AsyncIterator[int]:
            yield 1


def test_an_async_hook_is_refused() -> None:
    class Hooked(Task):
        async def pre_execute(self) -> None: ...  # type: ignore[override]

        def execute(self) -> None: ...

    with pytest.raises(NotPossible, match="pre_execute of 'h' is async") as raised:
        Hooked("h")
    assert "test_async.py:" in raised.value.where


def test_an_async_retry_is_refused() -> None:
    class Later(Retry):
        async def execute(self, history: History) -> None: ...

        def on_failure(self, history: History) -> Decision:
            return Decision.REVERT

    with pytest.raises(NotPossible, match=r"Later\.execute \(.*test_async\.py:\d+\) is async, which only tasks may be"):
        Later("l")
